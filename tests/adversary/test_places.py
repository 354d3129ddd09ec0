"""A member that names places which are none: in its Alive, and in its report of a path. Over real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.names import Address, is_listener
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Alive, NodeInfo, PathReport, Via
from meshfleet.node.examining import _is_own
from meshfleet.node.sockets import RealNetwork
from tests.node.meshing import counted, sees
from tests.node.rogue import ROGUE, Rogue, three

if TYPE_CHECKING:
    from meshfleet.node.node import Node

PATIENCE = 30.0

NOWHERE = {
    "a zero byte": "10.0.0.1\0",
    "a label too long": "x" * 100,
    "no ASCII": "é" * 80,
    "no label": "10..1",
    "a name that a server would be asked for": "box.example",
    "everybody": "255.255.255.255",
    "a group": "224.0.0.251",
    "anywhere": "0.0.0.0",
    "an interface that is none": "fe80::1%\x1b",
    "nothing": "",
}


@pytest.mark.parametrize("host", NOWHERE.values(), ids=NOWHERE)
async def test_a_member_that_names_no_address_is_not_met_and_harms_nobody(host: str) -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with three() as (n1, n2, _):
            nowhere = rogue.trust.notary.sign(Alive(ROGUE, 1, 5, NodeInfo("h9", host, 7878)))
            async with rogue.stream(n1) as frames:
                await frames.send(rogue.packet(nowhere))
                rogue.say_as(nowhere, n2, nowhere)
                await counted(n1, "no_address", 1)
                await counted(n2, "no_address", 1)
            assert _known(n1, ROGUE) == rogue.alive.info.gossip_host
            assert _known(n2, ROGUE) in (None, rogue.alive.info.gossip_host)
            await sees(n1, "n2", Presence.FRESH)
            await sees(n2, "n1", Presence.FRESH)


def _known(node: Node, name: str) -> str | None:
    record = node.member.roster.get(name)
    return None if record is None else record.address.host


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.0", "::1", "fe80::1%eth0", "172.16.0.255"])
def test_an_address_of_one_machine_can_be_sent_to(host: str) -> None:
    assert is_listener(host)


@pytest.mark.parametrize("host", NOWHERE.values(), ids=NOWHERE)
async def test_a_peer_that_reports_to_see_this_node_at_no_address_is_not_looked_into(host: str) -> None:
    assert not _is_own(f"{host}:7878")
    with trio.fail_after(PATIENCE):
        async with three() as (n1, n2, _):
            record = n1.member.roster.get("n2")
            assert record is not None
            paths = n1._driver.paths
            lie = PathReport(paths._run + 1, (3, 3, 3), f"{host}:7878", host, host)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(paths.test, record)
                await trio.testing.wait_all_tasks_blocked()
                paths.without(n2._driver.packet((lie,)), record.address, Via.STREAM)
            diagnosis = await n1.examine(tries=True)
            assert set(diagnosis.tested) == {"n2", "n3"}


@pytest.mark.parametrize("name", ["x" * 100, "a..b", "é" * 80, "box.invalid"])
async def test_a_name_that_no_host_can_have_is_an_error_of_the_network(name: str) -> None:
    with pytest.raises(socket.gaierror):
        await RealNetwork().resolve(Address(name, 7878))
