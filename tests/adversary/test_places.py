"""A member that names places which are none: in its Alive, and in its report of a path. Over real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.errors import JoinError
from meshfleet.fleet.names import Address, Epoch, NodeName, is_listener
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Alive, NodeInfo, PathReport, Via
from meshfleet.gossip.orders import TryConnect
from meshfleet.node.examining import _is_own
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork, TcpStream
from tests.node.meshing import config, counted, sees
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
    "an interface with a name too long": "fe80::1%" + "a" * 100,
    "an interface whose name has an empty part": "fe80::1%a..b",
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


SOMEWHERE = ["127.0.0.1", "10.0.0.0", "::1", "172.16.0.255", "fe80::1%eth0", "fe80::1%2", "fe80::1%br-0_a.100"]


@pytest.mark.parametrize("host", [*SOMEWHERE, "fe80::1%a234567890123.5"])
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


NO_HOSTS = ["x" * 100, "a..b", "é" * 80, "box.invalid", "a\0b", "fe80::1%" + "a" * 100, "fe80::1%a..b"]


@pytest.mark.parametrize("name", NO_HOSTS)
async def test_a_name_that_no_host_can_have_is_an_error_of_the_network(name: str) -> None:
    with pytest.raises(socket.gaierror):
        await RealNetwork().resolve(Address(name, 7878))
    with pytest.raises(socket.gaierror):
        await RealNetwork().dial(Address(name, 7878))


async def test_a_dial_or_a_knock_that_fails_as_none_should_harms_the_dialled_peer_alone() -> None:
    bad = Address("192.0.2.1", 9)

    class Odd(RealNetwork):
        async def dial(self, address: Address) -> TcpStream:
            if address == bad:
                raise ZeroDivisionError("a bug")
            return await super().dial(address)

    with trio.fail_after(PATIENCE):
        async with open_node(config("n1"), network=Odd()) as n1, open_node(config("n2", n1.address)) as n2:
            n1._driver.send(TryConnect(*bad, NodeName("n8"), Epoch(1)))
            await counted(n1, "fault", 1)
            with pytest.raises(JoinError):
                await n1._driver.links.reach(bad)
            assert n1.counters()["fault"] == 2
            await sees(n1, "n2", Presence.FRESH)
            await sees(n2, "n1", Presence.FRESH)
