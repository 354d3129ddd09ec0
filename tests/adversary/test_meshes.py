"""A fleet on two levels is two meshes with one set of keys: what is said in one of them proves nothing in the other."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import JoinError, Unsealed
from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.gossip.messages import Alive, Finding, NodeInfo
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.trust import Above, Trust, seeded
from tests.node.meshing import FLEET, config, counted, see

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.node.network import Stream

PATIENCE = 60.0


def trust(name: str) -> Trust:
    """A member's."""
    return Trust(seeded(FLEET, name, time.time()), time.time)


def test_a_datagram_of_one_mesh_opens_in_no_other() -> None:
    n1, n2 = trust("n1"), trust("n2")
    below, above = n1.sealer().seal(b"below"), n1.above().sealer().seal(b"above")
    assert n2.sealer().open(below) == b"below"
    assert n2.above().sealer().open(above) == b"above"
    for sealer, sealed in ((n2.sealer(), above), (n2.above().sealer(), below)):
        with pytest.raises(Unsealed):
            sealer.open(sealed)


def test_what_a_delegate_signs_above_it_did_not_sign_in_its_zone() -> None:
    n1, n2 = trust("n1"), trust("n2")
    info = NodeInfo("h", "10.0.0.1", 7880, "eu", "agent")
    alive = Alive(NodeName("n1"), Epoch(9), 0, info)
    below, above = n1.vouching().sign(alive), n1.above().vouching().sign(alive)
    assert n2.vouching().examine(below, below) is Finding.GENUINE
    assert n2.vouching().examine(above, above) is Finding.FORGED
    assert n2.above().vouching().examine(above, above) is Finding.GENUINE
    assert n2.above().vouching().examine(below, below) is Finding.FORGED


def test_a_heartbeat_of_one_mesh_is_none_in_another() -> None:
    n1, n2 = trust("n1"), trust("n2")
    for mine, other in ((n1.vouching(), n2.above().vouching()), (n1.above().vouching(), n2.vouching())):
        known, beat = (100, mine.prove(9, 4_096, 100)), (103, mine.prove(9, 4_096, 103))
        assert not other.follows("n1", 9, 4_096, known, beat)


async def test_no_stream_leads_from_one_mesh_into_another() -> None:
    plain = msgspec.structs.replace(config("n1"), zone="eu", levels=2)
    with trio.fail_after(PATIENCE):
        async with open_node(plain) as n1:
            while not n1.zoning.delegates():
                await trio.lowlevel.checkpoint()
            (above,) = n1.zoning.delegates()
            other = msgspec.structs.replace(config("n2"), zone="eu", levels=2)
            async with open_node(other) as n2:
                with pytest.raises(JoinError):
                    await n2._driver.links.reach(above)
                await n2.join(n1.address)
                await see(n2, 2)


async def test_nobody_of_another_zone_is_taken_in_whatever_it_says() -> None:
    """A node on one level: it knows no zones, and tells of itself to whomever it meets."""
    with trio.fail_after(PATIENCE):
        async with (
            open_node(msgspec.structs.replace(config("n1"), zone="eu", levels=2)) as n1,
            open_node(msgspec.structs.replace(config("n2"), zone="us")) as n2,
        ):
            await n2.join(n1.address)
            await counted(n1, "other_zone", 1)
            assert [node.name for node in n1.fleet().nodes] == ["n1"]
            assert {node.name for node in n2.fleet().nodes} == {"n1", "n2"}


async def test_a_new_certificate_that_can_not_be_shown_above_yet_breaks_no_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below, peer = trust("n1"), trust("n2").above()
    above, before = below.above(), below.certificate
    below.renew(seeded(FLEET, "n1", time.time() + 60).certificate)
    with monkeypatch.context() as machine:
        machine.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
        assert await _shown(above, peer) == before.der
    assert await _shown(above, peer) == below.certificate.der != before.der


async def _shown(by: Above, to: Above) -> bytes | None:
    """The certificate that is shown in a handshake above."""
    network, shown, seen = RealNetwork(), list[bytes | None](), trio.Event()

    async def accept(stream: Stream, _source: Address) -> None:
        shown.append((await to.greet(stream, dialled=False)).certificate)
        seen.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            there = await nursery.start(network.listen, Address("127.0.0.1", 0), accept)
            async with await network.dial(there) as stream:
                await by.greet(stream, dialled=True)
                await seen.wait()
            nursery.cancel_scope.cancel()
    return shown[0]
