"""Sets the stage: hosts, links, agents that publish, and each fault put to its time, with what undoes it.

Whatever plays the scenario is a `Theatre`: the world of the core, or the one of the full stack.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Protocol, assert_never

from meshfleet.sim.checking import check
from meshfleet.sim.faults import (
    AgentExit,
    Chatter,
    Crash,
    Cut,
    Degrade,
    Fault,
    Flap,
    HostDown,
    Join,
    Leave,
    Move,
    NicDown,
    OutboundOnly,
    Partition,
    Pause,
    Skew,
    Starve,
    Suspend,
    UdpBlocked,
)
from meshfleet.sim.network import MICROSECONDS, Barrier, Network, Quality, Worse
from meshfleet.sim.queueing import Capacity
from meshfleet.sim.scenario import Scenario, ScenarioError
from meshfleet.sim.selectors import cast, newcomers
from meshfleet.sim.talking import Talking

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from meshfleet.sim.expect import Span
    from meshfleet.sim.host import Host


FOREWARNED_US = 500_000
"""How long before a suspend that is announced a node is told: what its goodbyes take, and then it lets go."""


class Theatre(Protocol):
    """What a stage needs of the world that plays on it. Times are microseconds of virtual time."""

    network: Network
    hosts: list[Host]

    @property
    def now_us(self) -> int:
        """What time it is."""
        ...

    @property
    def bytes_sent(self) -> Counter[int]:
        """How many bytes each host has sent."""
        ...

    @property
    def events(self) -> int:
        """How much has happened."""
        ...

    def clock(self, here: Host) -> float:
        """The host's own monotonic clock, now."""
        ...

    def note(self, *what: object) -> None:
        """One line of the trace."""
        ...

    def at(self, when_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen."""
        ...

    def after(self, delay_us: int, action: Callable[..., None], *args: object) -> None:
        """Have something happen later."""
        ...

    def add(self, name: str, host: str, zone: str | None) -> Host:
        """A machine, with nothing running on it yet."""
        ...

    def start(self, here: Host, join: Host | None) -> None:
        """A node's process begins a life."""
        ...

    def kill(self, here: Host, *, silently: bool = False) -> None:
        """Its process ends; `silently`: its whole host goes dark."""
        ...

    def leave(self, here: Host) -> None:
        """A goodbye, and then the end."""
        ...

    def pause(self, here: Host) -> None:
        """SIGSTOP."""
        ...

    def resume(self, here: Host) -> None:
        """SIGCONT."""
        ...

    def sleep(self, here: Host) -> None:
        """The machine is suspended."""
        ...

    def wake(self, here: Host) -> None:
        """It wakes."""
        ...

    def tell_sleep(self, here: Host, *, begins: bool) -> None:
        """The system says that it is about to be suspended, or that it is awake again."""
        ...

    def readdress(self, here: Host, *, reused: bool) -> None:
        """It moves to a new address; at the old one is nobody, or (`reused`) a node of another fleet."""
        ...

    def publish(self, here: Host, agent: str, body: bytes) -> None:
        """An agent has news."""
        ...

    def barrier_changed(self) -> None:
        """Who reaches whom is not what it was."""
        ...


LONGEST_UP_US = 100 * 86_400 * MICROSECONDS
"""No monotonic clock means anything elsewhere: each host's shows another time since its boot, of up to 100 days."""


class Stage:
    """One scenario, one seed, on one world."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        try:
            self.cast = cast(scenario)
            check(scenario, self.cast)
        except ScenarioError as error:
            raise ScenarioError(f"{scenario.name}: {error}") from error
        plan = scenario.network
        self.network = Network(
            Quality.of(plan.delay, plan.loss, plan.duplicate, plan.reorder), Random(f"{seed}/network")
        )
        self._talking = Talking(scenario.fleet, Random(f"{seed}/agents"))
        self._stage = Random(f"{seed}/stage")
        self._clocks = Random(f"{seed}/clocks")
        self.silent: dict[int, list[Span]] = {}
        """When each host's process does not run, by the faults planned for it."""
        self.world: Theatre

    def set_on(self, world: Theatre) -> None:
        """Hosts, links, the first nodes, and every fault at its time."""
        self.world = self._talking.world = world
        for name in self.cast.nodes:
            added = self.world.add(name, self.cast.hosts[name], self.cast.zones.get(name))
            added.capacity = Capacity.of(self._scenario.fleet)
            added.up_us = self._clocks.randrange(LONGEST_UP_US)
        for i, between in enumerate(self._scenario.network.between):
            path = f"network.between[{i}]"
            usual = self._scenario.network
            self.network.set_between(
                self._numbers(between.a, f"{path}.a"),
                self._numbers(between.b, f"{path}.b"),
                Quality.of(
                    between.delay or usual.delay,
                    usual.loss if between.loss is None else between.loss,
                    usual.duplicate if between.duplicate is None else between.duplicate,
                    usual.reorder if between.reorder is None else between.reorder,
                ),
            )
        for host in self.world.hosts[: self._scenario.fleet.nodes]:
            first = self.world.hosts[0]
            self.world.start(host, None if host is first else first)
            self._talking.begin(host)
        for i, fault in enumerate(self._scenario.fault):
            self._plan(fault, f"fault[{i}]")
        for i, numbers in newcomers(self._scenario).items():
            begin = round(self._scenario.fault[i].at * MICROSECONDS)
            for number in numbers:
                self.world.at(begin, self._restart, self.world.hosts[number])
                self.silent.setdefault(number, []).append((0, begin))

    # Faults

    def _numbers(self, patterns: tuple[str, ...], path: str) -> frozenset[int]:
        return frozenset(int(name[1:]) for name in self.cast.nodes_of(patterns, path))

    def _host(self, name: str) -> Host:
        return self.world.hosts[int(name.partition("/")[0][1:])]

    def _plan(self, fault: Fault, path: str) -> None:
        begin = round(fault.at * MICROSECONDS)
        end = None if fault.until is None else round(fault.until * MICROSECONDS)
        match fault:
            case Crash() | Leave() | Pause() | NicDown() | OutboundOnly() | Starve() | Move() | Skew():
                for name in self.cast.nodes_of(fault.nodes, f"{path}.nodes"):
                    self._plan_one(fault, self._host(name), begin, end)
            case HostDown() | Suspend():
                for name in self.cast.machines(fault.nodes, fault.hosts, path):
                    self._plan_one(fault, self._host(name), begin, end)
            case Partition():
                groups = [self._numbers(g, f"{path}.groups[{i}]") for i, g in enumerate(fault.groups)]
                for left in groups:
                    for right in groups:
                        if left is not right:
                            self._wall(Barrier(left, right, reject=fault.reject), begin, end)
            case Cut() | UdpBlocked():
                left, right = self._ends(fault.source, fault.target, path)
                self._wall(Barrier(left, right, datagrams_only=isinstance(fault, UdpBlocked)), begin, end)
            case Flap():
                left, right = self._ends(fault.source, fault.target, path)
                self.world.at(begin, self._flap, fault, left, right, end)
            case Degrade():
                self._plan_degrade(fault, path, begin, end)
            case Join():
                pass  # set_on starts them all
            case AgentExit():
                for agent in self.cast.agents_of(fault.agents, f"{path}.agents"):
                    self.world.at(begin, self._talking.exit, self._host(agent), agent, fault.code)
                    if end is not None:
                        self.world.at(end, self._talking.restart, self._host(agent), agent)
            case Chatter():
                for agent in self.cast.agents_of(fault.agents, f"{path}.agents"):
                    self.world.at(begin, self._talking.chatter, self._host(agent), agent, fault)
                    if end is not None:
                        self.world.at(end, self._talking.hush, self._host(agent), agent)
            case _:
                assert_never(fault)

    def _ends(
        self, source: tuple[str, ...], target: tuple[str, ...], path: str
    ) -> tuple[frozenset[int], frozenset[int]]:
        return self._numbers(source, f"{path}.from"), self._numbers(target, f"{path}.to")

    def _wall(self, barrier: Barrier, begin: int, end: int | None) -> None:
        self.world.at(begin, self._raise, barrier)
        if end is not None:
            self.world.at(end, self._lift, barrier)

    def _raise(self, barrier: Barrier) -> None:
        self.network.raise_barrier(barrier)
        self.world.barrier_changed()

    def _lift(self, barrier: Barrier) -> None:
        self.network.lift(barrier)
        self.world.barrier_changed()

    def _flap(self, fault: Flap, left: frozenset[int], right: frozenset[int], end: int | None) -> None:
        now, period = self.world.now_us, round(fault.period * MICROSECONDS)
        if end is not None and now >= end:
            return
        stop = now + round(period * fault.duty)
        for barrier in (Barrier(left, right), Barrier(right, left)):
            self._wall(barrier, now, stop if end is None else min(stop, end))
        self.world.at(now + period, self._flap, fault, left, right, end)

    def _plan_degrade(self, fault: Degrade, path: str, begin: int, end: int | None) -> None:
        left, right = self._ends(fault.source, fault.target, path)
        if fault.loss == 1:  # then nothing passes, by streams neither
            self._wall(Barrier(left, right), begin, end)
            self._wall(Barrier(right, left), begin, end)
            return
        worse = Worse(fault.delay, fault.loss, fault.duplicate, fault.reorder)
        self.world.at(begin, self.network.degrade, left, right, worse)
        if end is not None:
            self.world.at(end, self.network.restore, left, right, worse)

    def _plan_one(self, fault: Fault, host: Host, begin: int, end: int | None) -> None:
        """A fault of one node: what begins, what ends it, and whether it can be held to its word meanwhile."""
        begins, ends = self._deeds(fault, host, end)
        self.world.at(begin, begins)
        if end is not None and ends is not None:
            self.world.at(end, ends)
        if isinstance(fault, Move):
            self.silent.setdefault(host.number, []).append((begin, begin + 1))
        elif not isinstance(fault, NicDown | OutboundOnly | Starve | Skew):
            last = round(self._scenario.duration * MICROSECONDS)
            self.silent.setdefault(host.number, []).append((begin, last + 1 if end is None else end))

    def _deeds(self, fault: Fault, host: Host, end: int | None) -> tuple[Callable[[], None], Callable[[], None] | None]:
        """What begins a fault of one node, and what undoes it."""
        world = self.world
        match fault:
            case Crash():
                return partial(world.kill, host), partial(self._restart, host)
            case HostDown():
                return partial(world.kill, host, silently=True), partial(self._restart, host)
            case Leave():
                return partial(world.leave, host), partial(self._restart, host)
            case Pause():
                return partial(world.pause, host), partial(world.resume, host)
            case Suspend():
                deeds = partial(world.sleep, host), partial(world.wake, host)
                return (partial(self._doze, host), partial(self._rouse, host)) if fault.announced else deeds
            case NicDown():
                return partial(self._nic, host, True), partial(self._nic, host, False)
            case OutboundOnly():
                return partial(self._nat, host, True, fault.translated), partial(self._nat, host, False, False)
            case Starve():
                sated = None if fault.packets is None else partial(self._sated, host)
                return partial(self._starve, fault, host, end), sated
            case Move():
                return partial(self._move, fault, host), None
            case Skew():
                return partial(self._skew, host, fault.offset, fault.drift), partial(self._skew, host, 0.0, 0.0)
            case _:
                raise AssertionError(f"{fault} is not a fault of one node")

    def _restart(self, host: Host) -> None:
        if host.dark:  # it is booted, and its monotonic clock begins anew
            host.dark, host.up_us = False, self._clocks.randrange(LONGEST_UP_US)
        others = [h for h in self.world.hosts if h.listens and h is not host]
        # Who starts while all others are stopped was told of one as well, and tries it again (plan 5392).
        others = others or [h for h in self.world.hosts if h.running and h is not host]
        self.world.start(host, self._stage.choice(others) if others else None)
        self._talking.begin(host)

    def _move(self, fault: Move, host: Host) -> None:
        self.world.kill(host, silently=True)
        self.world.readdress(host, reused=fault.reused_by is not None)
        self._restart(host)

    def _skew(self, host: Host, offset: float, drift: float) -> None:
        host.set_wall(self.world.now_us, offset, drift)

    def _doze(self, host: Host) -> None:
        self.world.tell_sleep(host, begins=True)
        self.world.after(FOREWARNED_US, self.world.sleep, host)

    def _rouse(self, host: Host) -> None:
        self.world.wake(host)
        self.world.tell_sleep(host, begins=False)

    def _nic(self, host: Host, down: bool) -> None:
        host.nic_down = down
        self.world.barrier_changed()

    def _nat(self, host: Host, behind: bool, translated: bool) -> None:
        host.outbound_only, host.translated = behind, translated
        self.world.barrier_changed()

    def _starve(self, fault: Starve, host: Host, end: int | None) -> None:
        now = self.world.now_us
        if end is not None and now >= end:
            return
        self.world.pause(host)
        run_again = now + round((fault.every - fault.slice) * MICROSECONDS)
        self.world.at(run_again if end is None else min(run_again, end), self._run_slice, fault, host, end)
        self.world.at(now + round(fault.every * MICROSECONDS), self._starve, fault, host, end)

    def _run_slice(self, fault: Starve, host: Host, end: int | None) -> None:
        host.reads = None if end is not None and self.world.now_us >= end else fault.packets
        self.world.resume(host)

    def _sated(self, host: Host) -> None:
        """It may read all that came. Stopped, it will when it runs again."""
        host.reads = None
        if host.listens:
            self.world.resume(host)
