"""Testing the path to a peer: datagrams of three sizes each way, a connection each way, and who is seen where.

    here                            there
    PathProbe x 9, by datagram  ->  counted
    PathTest, by stream         ->  sends PathProbe x 9 here, connects to where this node says that it listens
    a connection                ->
    counted                     <-  PathReport, by stream: what came, from where, and how the connection was answered

Requests and reports go over the stream with that peer, so each half knows who asks; what stands over a datagram is
believed of counts alone. A test costs either side 9 datagrams, 8.5 kB, and is answered once a second for each peer.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.findings import OF_EACH, SIZES, Path
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import PathProbe, PathReport, PathTest, Via
from meshfleet.node.links import knock
from meshfleet.wire.codec import encode_packet
from meshfleet.wire.seal import OVERHEAD

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.messages import Connect, Packet
    from meshfleet.gossip.record import Record
    from meshfleet.node.driver import Driver
    from meshfleet.node.network import Network

GAP = 0.1
"""Seconds between two datagrams of one size: what is lost in a burst is not lost thrice."""

GATHER = 0.3
"""Seconds for which those that are under way are waited for: a stream may overtake them."""

PATIENCE = 6.0
"""Seconds that a peer has to report. A connection that nobody answers takes 3.5 of them."""

RUNS = 64
"""Runs whose probes are counted at once. The oldest goes."""

ANSWERING = 16
"""Tests that are answered at once. Further ones are not: `refused_path_test`."""

ANSWERED_EVERY = 1.0
"""Seconds between two tests that one peer gets answered."""

RIVAL_FOR = 120.0
"""Seconds for which an earlier life that was heard is told. One that still runs is heard each few seconds."""

OF_PATHS = (PathProbe, PathTest, PathReport)


class Arrived:
    """What came of one run."""

    def __init__(self) -> None:
        self.counts = [0] * len(SIZES)
        self.source: Address | None = None


class Paths:
    """Both halves of it. Lives in the driver's nursery."""

    def __init__(self, driver: Driver, network: Network, nursery: trio.Nursery) -> None:
        self._driver = driver
        self._network = network
        self._nursery = nursery
        self._run = random.SystemRandom().randrange(1 << 32)
        self._arrived: OrderedDict[tuple[str, int], Arrived] = OrderedDict()
        self._waiting: dict[tuple[str, int], trio.Event] = {}
        self._reports: dict[tuple[str, int], PathReport] = {}
        self._answered_at: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._answering = 0

    # Asking

    async def test(self, record: Record) -> Path:
        """Test the path to a member; takes a second where all is well, some seven at most."""
        await self._take_turns(record.name)
        self._run += 1
        number, there, event = self._run, record.address, trio.Event()
        run = (record.name, number)
        self._waiting[run] = event
        answers: list[Connect] = []
        try:
            async with trio.open_nursery() as nursery:
                if not record.info.relays:  # else nobody knocks there: another machine may have that address
                    nursery.start_soon(self._knock, record.name, there, answers)
                await self._send_probes(record, number)
                self._driver.links.send(record.name, there, (PathTest(number),))
                with trio.move_on_after(PATIENCE):
                    await event.wait()
                    await trio.sleep(GATHER)
        finally:
            del self._waiting[run]
            report, came = self._reports.pop(run, None), self._arrived.pop(run, Arrived())
        dialled = answers[0].value if answers else None
        if report is None or len(report.arrived) != len(SIZES):
            return Path(reported=False, back=tuple(came.counts), dialled=dialled)
        return Path(
            reported=True,
            there=report.arrived,
            back=tuple(came.counts),
            seen_from=report.source,
            dialled=dialled,
            dialled_back=report.answer,
            rival=report.rival,
        )

    async def _take_turns(self, name: NodeName) -> None:
        """Not to be refused, each peer is asked as seldom as it answers."""
        now, pause = trio.current_time(), 1.2 * ANSWERED_EVERY
        self._asked_at = {who: at for who, at in self._asked_at.items() if at + pause > now}
        turn = self._asked_at.get(name, now - pause) + pause
        self._asked_at[name] = turn
        await trio.sleep_until(turn)

    async def _knock(self, name: NodeName, there: Address, answers: list[Connect]) -> None:
        answers.append(await knock(self._network, there, lambda: self._driver.may_send(name)))

    async def _send_probes(self, record: Record, run: int) -> None:
        """To where it listens; where nobody gets through to it, to where it was last heard from."""
        where = record.address
        if record.info.relays and record.delivery.source is not None:
            where = record.delivery.source
        for turn in range(OF_EACH):
            if turn:
                await trio.sleep(GAP)
            for size in SIZES:
                self._driver.send_datagram(record.name, where, (self._probe(run, size),))

    def _probe(self, run: int, size: int) -> PathProbe:
        """One that makes a datagram of so many bytes, or a few less."""
        bare = len(encode_packet(self._driver.packet((PathProbe(run, size, b""),))))
        return PathProbe(run, size, bytes(max(0, min(size, DATAGRAM_BYTES) - OVERHEAD - bare - 4)))

    # Answering

    def without(self, packet: Packet, source: Address, via: Via) -> Packet:
        """Take what is of path tests from a packet; what is left of it."""
        for message in packet.messages:
            match message:
                case PathProbe() if via is Via.DATAGRAM and message.size in SIZES:
                    self._count(packet.source, message, source)
                case PathTest() if via is Via.STREAM:
                    self._asked(packet.source, message.run, source)
                case PathReport() if via is Via.STREAM and (packet.source, message.run) in self._waiting:
                    self._reports[packet.source, message.run] = message
                    self._waiting[packet.source, message.run].set()
                case PathProbe() | PathTest() | PathReport():
                    self._driver.count("stray_path_test")
                case _:
                    pass
        rest = tuple([message for message in packet.messages if not isinstance(message, OF_PATHS)])
        return msgspec.structs.replace(packet, messages=rest)

    def _count(self, name: str, probe: PathProbe, source: Address) -> None:
        run = (name, probe.run)
        if run not in self._arrived and len(self._arrived) >= RUNS:
            self._arrived.popitem(last=False)
        came = self._arrived.setdefault(run, Arrived())
        came.counts[SIZES.index(probe.size)] += 1
        came.source = source

    def _asked(self, name: str, run: int, source: Address) -> None:
        record, now = self._driver.member.roster.get(name), trio.current_time()
        recent = {who: at for who, at in self._answered_at.items() if now - at < ANSWERED_EVERY}
        if record is None or name in recent or self._answering >= ANSWERING:
            self._driver.count("refused_path_test")
            return
        self._answered_at = {**recent, name: now}
        self._answering += 1
        self._nursery.start_soon(self._answer, record, run, source)

    async def _answer(self, record: Record, run: int, source: Address) -> None:
        answers: list[Connect] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._knock, record.name, record.address, answers)
                nursery.start_soon(partial(self._send_probes, record, run))
                nursery.start_soon(trio.sleep, GATHER)
        finally:
            self._answering -= 1
        came = self._arrived.pop((record.name, run), Arrived())
        member = self._driver.member
        rival = record.rival
        told = rival is not None and member.heard_until - rival.at < RIVAL_FOR
        report = PathReport(
            run,
            tuple(came.counts),
            str(came.source or source),
            answers[0].value,
            str(rival.where) if told and rival is not None else None,
        )
        self._driver.links.send(record.name, source, (report,))  # by the stream that it was asked on
