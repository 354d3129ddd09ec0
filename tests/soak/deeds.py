"""Plays a plan's rounds: does what goes wrong, tells the truth of it, and mends it."""

from __future__ import annotations

import heapq
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from meshfleet.cli.local import administer
from meshfleet.errors import MeshfleetError
from meshfleet.fleet.access import Scope
from meshfleet.node.admin import Rotate
from meshfleet.node.keyfile import KeyFile
from tests.network.ground import Rule
from tests.soak.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.soak.fleet import SoakFleet
    from tests.soak.plan import Fault, Plan, Round
    from tests.soak.watching import Findings

AGAIN = 3.0
"""Seconds after which a node that could not start is started again, as systemd would do it."""
STARTING = 20.0
"""Seconds after there is room again within which a node may still end that began to start before."""
ROTATES_IN = 5.0
"""Seconds for the owner's node to take the wish for a rotation."""

RELOADS = (
    "endpoints: []\n",
    "endpoints:\n  - name: somewhere\n    gossip: 10.77.0.250:7878\n",
    "endpoints: [{name: [\n",
    "endpoints:\n  - name: n000\n    gossip: {owner}:7878\n",
)
"""None; one that nobody is at; nonsense; one that is there."""


class Player:
    """See the module."""

    def __init__(self, plan: Plan, fleet: SoakFleet, findings: Findings) -> None:
        self._plan = plan
        self._fleet = fleet
        self._truth = fleet.truth
        self._ground = fleet.ground
        self._findings = findings
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._dead: set[str] = set()
        """Who stays dead over the end of a round."""
        self._no_room_until = 0.0
        self._pace = threading.Event()
        self.done: dict[str, int] = {}
        """What went wrong -> how often. Not what could not be done."""

    def play(self, of: Round, meanwhile: Callable[[], None]) -> None:
        """One round; all is mended at its end, but for who stays dead. `meanwhile` is called each second."""
        start = time.monotonic()
        for name in sorted(self._dead):
            self._at(start, partial(self._start, name))
        self._dead.clear()
        for fault in of.faults:
            self._schedule(start, fault)
        end = start + of.seconds
        while time.monotonic() < end or self._due:
            self.tend()
            meanwhile()
            self._pace.wait(max(0.01, min(1.0, (self._due[0][0] if self._due else end) - time.monotonic())))

    def tend(self) -> None:
        """Do what is due, and start again whoever ended by itself: where its disk is full it may, and elsewhere it may
        not."""
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
        for name in self._plan.names:
            if self._truth.now(name).running and not self._fleet.alive(name):
                self._truth.ends(name, time.monotonic())
                if not (name == self._plan.small_disk and time.monotonic() < self._no_room_until):
                    code = self._fleet.process(name).returncode
                    self._findings.add(f"{name} ended by itself, with exit code {code}")
                self._at(time.monotonic() + AGAIN, partial(self._start, name))

    @property
    def dead(self) -> tuple[str, ...]:
        """Who is dead over the end of the round."""
        return tuple(sorted(self._dead))

    def _at(self, when: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._count), deed))

    def _schedule(self, start: float, fault: Fault) -> None:
        begin, end = self._deeds(fault)
        if fault.kind is Kind.FLAP:
            assert fault.until is not None
            at, step = fault.at, fault.amount / 2
            while at + step <= fault.until:
                self._at(start + at, begin)
                self._at(start + at + step, end)
                at += 2 * step
            self._counted(fault)
            return
        self._at(start + fault.at, partial(self._begin, fault, begin))
        if fault.until is not None:
            self._at(start + fault.until, end)

    def _begin(self, fault: Fault, deed: Callable[[], None]) -> None:
        deed()
        if fault.kind not in (Kind.ROTATE, Kind.CLOCK):
            self._counted(fault)

    def _counted(self, fault: Fault) -> None:
        self.done[fault.kind.value] = self.done.get(fault.kind.value, 0) + 1

    def _deeds(self, fault: Fault) -> tuple[Callable[[], None], Callable[[], None]]:
        one, other = fault.nodes, fault.others
        match fault.kind:
            case Kind.CRASH | Kind.LEAVE:
                number = signal.SIGKILL if fault.kind is Kind.CRASH else signal.SIGTERM
                return partial(self._end, one[0], number, stays=fault.until is None), partial(self._start, one[0])
            case Kind.HOST_DOWN:
                return partial(self._power, one[0], on=False), partial(self._power, one[0], on=True)
            case Kind.PAUSE:
                return partial(self._stop, one[0]), partial(self._go_on, one[0])
            case Kind.PARTITION | Kind.WALL | Kind.FLAP | Kind.LOSS:
                deed = {Kind.WALL: "reject", Kind.LOSS: "loss"}.get(fault.kind, "drop")
                both = ((one, other), (other, one))
                return self._rules(both, deed, fault.amount)
            case Kind.CUT | Kind.UDP_BLOCKED:
                return self._rules(((one, other),), "udp" if fault.kind is Kind.UDP_BLOCKED else "drop", 0.0)
            case Kind.NIC_DOWN:
                return partial(self._card, one[0], down=True), partial(self._card, one[0], down=False)
            case Kind.DISK_FULL:
                return partial(self._fill, one[0], is_killed=fault.amount > 0), self._empty
            case Kind.CLOCK:
                return partial(self._step, fault), _nothing
            case Kind.ROTATE:
                return partial(self._rotate, fault), _nothing
            case Kind.RELOAD:
                return partial(self._reload, one[0], int(fault.amount)), _nothing
            case Kind.API_KEY:
                return partial(self._api_key, one[0]), _nothing

    # Processes

    def _end(self, name: str, number: signal.Signals, *, stays: bool) -> None:
        self._go_on(name)
        if self._truth.now(name).running:
            self._fleet.end(name, number)
        if stays:
            self._dead.add(name)

    def _start(self, name: str) -> None:
        if not self._truth.now(name).running:
            self._fleet.start(name)

    def _power(self, name: str, *, on: bool) -> None:
        if on:
            self._ground.plug(name)
            self._truth.darkens(name, time.monotonic(), dark=False)
            self._fleet.reboot(name)
            self._start(name)
            return
        self._truth.darkens(name, time.monotonic(), dark=True)
        self._ground.unplug(name)  # first, so that nothing of its end gets out
        self._end(name, signal.SIGKILL, stays=False)

    def _stop(self, name: str) -> None:
        if self._truth.now(name).running:
            self._truth.stops(name, time.monotonic())
            self._fleet.send(name, signal.SIGSTOP)

    def _go_on(self, name: str) -> None:
        if self._truth.now(name).stopped:
            self._fleet.send(name, signal.SIGCONT)
            self._truth.goes_on(name, time.monotonic())

    # The network

    def _rules(
        self, ways: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], deed: str, share: float
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        return partial(self._wall, ways, deed, share, by=1), partial(self._wall, ways, deed, share, by=-1)

    def _wall(
        self, ways: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], deed: str, share: float, *, by: int
    ) -> None:
        if by > 0:
            self._tell(ways, deed, by)
        for sources, targets in ways:
            rule = Rule(frozenset(sources), deed, share)
            for name in targets:
                (self._ground.rule if by > 0 else self._ground.lift)(name, rule)
        if by < 0:
            self._tell(ways, deed, by)

    def _tell(self, ways: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], deed: str, by: int) -> None:
        for sources, targets in ways:
            if deed != "loss":  # what loses some is a way
                self._truth.blocks(sources, targets, time.monotonic(), by, udp=deed == "udp")

    def _card(self, name: str, *, down: bool) -> None:
        if down:
            self._truth.card(name, time.monotonic(), down=True)
            self._ground.card_down(name)
        else:
            self._ground.card_up(name)
            self._truth.card(name, time.monotonic(), down=False)

    # What a node keeps and goes by

    def _fill(self, name: str, *, is_killed: bool) -> None:
        self._no_room_until = inf
        self._fleet.fill()
        if is_killed:
            now = time.monotonic()
            self._at(now + 1.0, partial(self._end, name, signal.SIGKILL, stays=False))
            self._at(now + 1.0 + AGAIN, partial(self._start, name))

    def _empty(self) -> None:
        self._fleet.empty()
        self._no_room_until = time.monotonic() + STARTING

    def _step(self, fault: Fault) -> None:
        if self._fleet.can_step:
            self._fleet.step(fault.nodes[0], fault.amount)
            self._counted(fault)

    def _rotate(self, fault: Fault) -> None:
        owner = fault.nodes[0]
        now = self._truth.now(owner)
        if now.running and not now.stopped:
            with suppress(MeshfleetError):  # it is just starting, or another rotation is under way
                administer(self._fleet.state_dir(owner), Rotate(), f"{owner} does not run", patience=ROTATES_IN)
                self._counted(fault)

    def _reload(self, name: str, which: int) -> None:
        path = self._fleet.nodes_file(name)
        path.write_text(RELOADS[which].replace("{owner}", self._ground.address(self._plan.names[0])))

    def _api_key(self, name: str) -> None:
        keys = KeyFile(self._fleet.state_dir(name))
        with suppress(MeshfleetError):  # its disk may be full
            keys.create(Scope.READ, "soak", "2026-01-01T00:00:00Z")
            keys.revoke("soak")


def _nothing() -> None:
    pass
