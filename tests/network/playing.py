"""A scenario file, played for real: its faults happen on a ground, to real nodes, at their seconds after the start.

What a kernel does here for a fault is in `docs/real-networks.md`, with what it can't do: a wall clock that is off, a
machine that sleeps (its monotonic clock can't be stopped), agents that exit.
"""

from __future__ import annotations

import heapq
import signal
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from meshfleet.sim.faults import (
    Crash,
    Cut,
    Degrade,
    Fault,
    Flap,
    HostDown,
    Leave,
    Move,
    NicDown,
    OutboundOnly,
    Partition,
    Pause,
    UdpBlocked,
)
from meshfleet.sim.scenario import ScenarioError
from meshfleet.sim.selectors import Cast, cast
from tests.network.ground import Quality, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.sim.scenario import Scenario
    from tests.network.fleet import Fleet

MOVED_TO = 100
"""Last part of the first address that a host moves to."""


def needs_wires(scenario: Scenario) -> bool:
    """Whether frames have to be delayed, doubled or overtaken."""
    faults = [fault for fault in scenario.fault if isinstance(fault, Degrade)]
    return bool(scenario.network.between) or any(f.delay or f.duplicate or f.reorder for f in faults)


def translated(scenario: Scenario) -> tuple[str, ...]:
    """Who sits behind a translator from the beginning."""
    faults = [fault for fault in scenario.fault if isinstance(fault, OutboundOnly) and fault.translated]
    return tuple(name for fault in faults for name in cast(scenario).nodes_of(fault.nodes, "nodes"))


class Player:
    """Plays one scenario."""

    def __init__(self, scenario: Scenario, fleet: Fleet) -> None:
        self._scenario = scenario
        self._fleet = fleet
        self._ground = fleet.ground
        self._cast: Cast = cast(scenario)
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._degraded: list[Degrade] = []
        self._moves = count(MOVED_TO)
        self.began = 0.0
        """Unix time of its second 0: when everybody saw everybody."""
        self.silent: dict[int, list[tuple[int, int]]] = {}
        """When each node's process did not run, by the plan, in microseconds: as the simulator has it."""
        for i, fault in enumerate(scenario.fault):
            self._schedule(fault, f"fault[{i}]")

    def play(self, say: Callable[[str], None]) -> None:
        """Assemble the fleet, let everything happen, and wait for the scenario's end."""
        self._fleet.assemble(self._cast.nodes)
        self.began, start = time.time(), time.monotonic()
        say(f"{len(self._cast.nodes)} nodes see each other; {self._scenario.duration:.0f} s of {self._scenario.name}")
        while self._plan:
            at, _, deed = heapq.heappop(self._plan)
            time.sleep(max(0.0, start + at - time.monotonic()))
            deed()
        time.sleep(max(0.0, start + self._scenario.duration - time.monotonic()))

    def _at(self, when: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (when, next(self._count), deed))

    def _schedule(self, fault: Fault, path: str) -> None:
        match fault:
            case Crash() | Leave() | Pause() | NicDown() | Move() | HostDown():
                self._schedule_one_by_one(fault, path)
            case OutboundOnly(translated=True):
                pass  # the ground is laid so
            case OutboundOnly():
                for name in self._cast.nodes_of(fault.nodes, path):
                    self._rule_for((name,), Rule(frozenset(), "unasked"), fault.at, fault.until)
            case Partition():
                groups = [self._cast.nodes_of(group, path) for group in fault.groups]
                for group in groups:
                    others = frozenset(name for other in groups if other is not group for name in other)
                    self._rule_for(group, Rule(others, "reject" if fault.reject else "drop"), fault.at, fault.until)
            case Cut() | UdpBlocked():
                source, target = self._ends(fault.source, fault.target, path)
                deed = "udp" if isinstance(fault, UdpBlocked) else "drop"
                self._rule_for(target, Rule(frozenset(source), deed), fault.at, fault.until)
            case Flap():
                self._schedule_flap(fault, path)
            case Degrade():
                self._schedule_degrade(fault, path)
            case _:
                raise ScenarioError(f"{path}: {type(fault).__name__.lower()} can't be played for real.")

    def _ends(
        self, source: tuple[str, ...], target: tuple[str, ...], path: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self._cast.nodes_of(source, path), self._cast.nodes_of(target, path)

    def _rule_for(self, hosts: Sequence[str], rule: Rule, begin: float, end: float | None) -> None:
        for name in hosts:
            self._at(begin, partial(self._ground.rule, name, rule))
            if end is not None:
                self._at(end, partial(self._ground.lift, name, rule))

    def _schedule_one_by_one(self, fault: Crash | Leave | Pause | NicDown | Move | HostDown, path: str) -> None:
        hosts = fault.hosts if isinstance(fault, HostDown) else ()
        for name in self._cast.machines(fault.nodes, hosts, path):
            begins, ends = self._deeds(fault, name)
            self._at(fault.at, begins)
            if fault.until is not None and ends is not None:
                self._at(fault.until, ends)
            if not isinstance(fault, NicDown | Move):
                until = self._scenario.duration + 1 if fault.until is None else fault.until
                span = (round(fault.at * 1e6), round(until * 1e6))
                self.silent.setdefault(int(name[1:]), []).append(span)

    def _deeds(
        self, fault: Crash | Leave | Pause | NicDown | Move | HostDown, name: str
    ) -> tuple[Callable[[], None], Callable[[], None] | None]:
        fleet, ground = self._fleet, self._ground
        match fault:
            case Crash():
                return partial(fleet.send, name, signal.SIGKILL), partial(fleet.start, name)
            case Leave():
                return partial(fleet.send, name, signal.SIGTERM), partial(fleet.start, name)
            case Pause():
                return partial(fleet.send, name, signal.SIGSTOP), partial(fleet.send, name, signal.SIGCONT)
            case NicDown():
                return partial(ground.card_down, name), partial(ground.card_up, name)
            case HostDown():
                return partial(self._power_off, name), partial(self._power_on, name)
            case Move():
                return partial(self._move, name), None

    def _power_off(self, name: str) -> None:
        self._ground.unplug(name)  # first, so that nothing of its end gets out
        self._fleet.send(name, signal.SIGKILL)

    def _power_on(self, name: str) -> None:
        self._ground.plug(name)
        self._fleet.reboot(name)
        self._fleet.start(name)

    def _move(self, name: str) -> None:
        self._power_off(name)
        self._ground.move(name, next(self._moves))
        self._power_on(name)

    def _schedule_flap(self, fault: Flap, path: str) -> None:
        source, target = self._ends(fault.source, fault.target, path)
        end = self._scenario.duration if fault.until is None else fault.until
        at = fault.at
        while at < end:
            stop = min(end, at + fault.period * fault.duty)
            self._rule_for(target, Rule(frozenset(source), "drop"), at, stop)
            self._rule_for(source, Rule(frozenset(target), "drop"), at, stop)
            at += fault.period

    def _schedule_degrade(self, fault: Degrade, path: str) -> None:
        source, target = self._ends(fault.source, fault.target, path)
        if fault.loss:
            for hosts, others in ((target, source), (source, target)):
                self._rule_for(hosts, Rule(frozenset(others), "loss", fault.loss), fault.at, fault.until)
        if needs_wires(self._scenario):
            self._at(fault.at, partial(self._degrade, fault, begins=True))
            if fault.until is not None:
                self._at(fault.until, partial(self._degrade, fault, begins=False))

    def _degrade(self, fault: Degrade, *, begins: bool) -> None:
        (self._degraded.append if begins else self._degraded.remove)(fault)
        given: list[Quality] = []
        for each in self._degraded:
            source, target = self._ends(each.source, each.target, "degrade")
            delay = each.delay or self._scenario.network.delay
            made = (delay.median, delay.p99, each.duplicate or 0.0, each.reorder or 0.0)
            given += [Quality(source, target, *made), Quality(target, source, *made)]
        self._ground.qualities(given)
