"""Certificates that are not what they say, over real sockets. Those of the fleet itself: tests/node/test_trust.py."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import JoinError
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Ping
from meshfleet.node import tending
from meshfleet.node.opening import open_node
from meshfleet.node.trust import Identity, Trust, seeded
from meshfleet.wire.identity import LIFETIME, Authority, Certificate, Fleet, NodeKey
from tests.node.meshing import FLEET, config, counted, owner, see, sees
from tests.node.rogue import ROGUE, Rogue

if TYPE_CHECKING:
    from meshfleet.node.node import Node

PATIENCE = 30.0


class Taken(Fleet):
    """Another fleet's name and authority's name, for who issues certificates in them."""

    def read_certificate(self, der: bytes) -> Certificate:
        return Certificate(der, NodeName("n9"), "agent", b"", 0, 0.0, 0.0, b"")


def forged(by: NodeKey) -> Identity:
    """An identity as the fleet's authority would make one, to the letter, but that `by` signed the certificate."""
    real = seeded(FLEET, "n9", time.time())
    authority = Authority.begin(by, time.time())
    authority.fleet = Taken(real.fleet.der)
    certificate = authority.issue(NodeName("n9"), "agent", real.key.public, time.time())
    return msgspec.structs.replace(real, certificate=certificate)


@pytest.mark.parametrize(
    "signer", [NodeKey.of(b"s" * 32), seeded(FLEET, "n2", 0.0).key], ids=["another authority", "a member"]
)
async def test_a_certificate_that_somebody_else_signed_in_the_authoritys_name_opens_no_stream(signer: NodeKey) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1:
            posing = msgspec.structs.replace(config("n9"), identity=forged(signer))
            async with open_node(posing) as n9:
                with pytest.raises(JoinError):
                    await n9.join(n1.address)
                await counted(n1, "stream_unproven", 1)
                with pytest.raises(JoinError, match="another fleet"):
                    await n1.join(n9.address)
            assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_the_word_of_a_member_whose_certificate_ended_is_taken_by_nobody() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        late = seeded(FLEET, ROGUE, time.time() - LIFETIME - 1)
        alive = Trust(late, time.time).notary.sign(rogue.alive)
        async with open_node(config("n1")) as n1:
            rogue.say_as(alive, n1, alive)
            await counted(n1, "unvouched", 1)
            assert [node.name for node in n1.fleet().nodes] == ["n1"]


async def test_who_was_thrown_out_is_not_listened_to_while_it_still_has_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tending, "DRAIN", 1e9)  # the old key opens for ever: the rotation does not help here
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(owner("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            await see(n1, 2)
            rogue.say_as(rogue.alive, n1, rogue.alive)
            for node in (n1, n2):
                await see(node, 3)
            await n1.office.revoke(NodeName(ROGUE))
            for node in (n1, n2):
                await sees(node, ROGUE, Presence.LEFT)
                await _is_deaf_to(node, rogue)
                assert node.counters().get("drop_unsealed", 0) == 0


async def _is_deaf_to(node: Node, rogue: Rogue) -> None:
    again = rogue.trust.notary.sign(msgspec.structs.replace(rogue.alive, incarnation=7))
    rogue.say_as(again, node, again, Ping(5, node.name))
    await counted(node, "revoked_source", 1)
    assert next(each for each in node.fleet().nodes if each.name == ROGUE).presence is Presence.LEFT
    with pytest.raises(trio.BrokenResourceError):
        await _read_on(rogue, node)


async def _read_on(rogue: Rogue, node: Node) -> None:
    async with rogue.stream(node) as frames:
        while True:
            await frames.receive()
