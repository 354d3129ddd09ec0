"""Testing the paths to peers, between real nodes on loopback: what is told, and what a test may cost whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.findings import OF_EACH, SIZES, Path
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import Packet, PathProbe, PathReport, PathTest, Via
from meshfleet.node.opening import open_node
from meshfleet.node.paths import ANSWERING, RUNS
from tests.node.meshing import config, sees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshfleet.node.node import Node

from contextlib import asynccontextmanager

PATIENCE = 60.0


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that know each other."""
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            await sees(n1, "n2", Presence.FRESH)
            await sees(n2, "n1", Presence.FRESH)
            yield n1, n2


async def path(of: Node, to: str) -> Path:
    record = of.member.roster.get(to)
    assert record is not None
    return await of._driver.paths.test(record)


def said(source: Node, *messages: PathProbe | PathTest | PathReport) -> Packet:
    return source._driver.packet(messages)


async def test_a_path_is_tested_by_both_its_ends() -> None:
    async with two() as (n1, _n2):
        sent: list[int] = []
        send = n1._driver._datagrams.send

        def records(data: bytes, to: Address) -> object:
            sent.append(len(data))
            return send(data, to)

        n1._driver._datagrams.send = records  # type: ignore[method-assign, assignment]  # a tap on the wire
        found = await path(n1, "n2")
        every = (OF_EACH,) * len(SIZES)
        assert found == Path(
            reported=True,
            there=every,
            back=every,
            seen_from=str(n1.address),
            dialled="accepted",
            dialled_back="accepted",
        )
        assert max(sent) <= DATAGRAM_BYTES
        assert [sum(size - 10 <= length <= size for length in sent) >= OF_EACH for size in SIZES] == [True] * len(SIZES)
        told = await n1.examine()
        assert (told.peers, told.tested, told.findings) == (1, (NodeName("n2"),), ())


async def test_a_peer_is_answered_once_a_second_and_only_so_many_at_once() -> None:
    async with two() as (n1, n2):
        paths = n2._driver.paths
        there = Address("127.0.0.1", 1)
        paths.without(said(n1, PathTest(1)), there, Via.STREAM)
        paths.without(said(n1, PathTest(2)), there, Via.STREAM)
        assert n2.counters()["refused_path_test"] == 1
        paths._answered_at.clear()
        paths._answering = ANSWERING
        paths.without(said(n1, PathTest(3)), there, Via.STREAM)
        assert n2.counters()["refused_path_test"] == 2


async def test_what_nobody_asked_for_is_counted_and_left() -> None:
    async with two() as (n1, n2):
        paths, there = n2._driver.paths, Address("127.0.0.1", 1)
        strays = (PathReport(7, (3, 3, 3), None, "accepted"), PathProbe(7, 200, b""), PathTest(7))
        rest = paths.without(said(n1, strays[0], strays[1]), there, Via.STREAM)
        assert rest.messages == ()
        paths.without(said(n1, strays[2]), there, Via.DATAGRAM)
        paths.without(said(n1, PathProbe(7, 777, b"")), there, Via.DATAGRAM)
        assert n2.counters()["stray_path_test"] == 4


async def test_probes_are_counted_of_so_many_runs_at_once() -> None:
    async with two() as (n1, n2):
        paths = n2._driver.paths
        for run in range(RUNS + 5):
            paths.without(said(n1, PathProbe(run, SIZES[0], b"")), n1.address, Via.DATAGRAM)
        assert len(paths._arrived) == RUNS
        assert ("n1", 0) not in paths._arrived


async def test_a_peer_that_tells_nothing_is_no_finding() -> None:
    async with two() as (n1, n2):
        n2._driver.paths._answering = ANSWERING
        told = await n1.examine()
        assert (told.tested, told.findings) == ((), ())


async def test_without_trying_only_what_is_known_is_looked_at() -> None:
    async with two() as (n1, _):
        told = await n1.examine(tries=False)
        assert (told.peers, told.tested, told.findings) == (1, (), ())
