"""Plans that nobody would think of: a fleet, a network and faults, drawn from a seed.

Swarm testing (Groce et al., ISSTA 2012): each kind of fault is on or off for a whole run, with even chances. Runs that
have all kinds at once are all alike; one that leaves some out gets further with those that are left.

Each plan has two phases. First anything may break. Then a random core, more than half of the nodes, is healed, and the
rest is left broken for good: dark, stopped, starved, or deaf while it talks. Of the core it is known what must come
(see liveness). A fleet that is only ever healed whole would never show that one sick member keeps the others ill.
"""

from __future__ import annotations

from math import inf
from random import Random
from typing import TYPE_CHECKING

from meshfleet.fleet.timing import PRESETS
from meshfleet.sim.faults import (
    AgentExit,
    Crash,
    Cut,
    Degrade,
    Delay,
    Fault,
    Flap,
    HostDown,
    Join,
    Leave,
    NicDown,
    OutboundOnly,
    Partition,
    Pause,
    Starve,
    Suspend,
    UdpBlocked,
)
from meshfleet.sim.liveness import until_buried, until_fresh
from meshfleet.sim.scenario import FleetPlan, Liveness, NetworkPlan, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.timing import Preset

SWARM = "swarm:"
"""Before a seed, where a name is asked for: the plan that is drawn from it."""

SIZES = (*2 * (2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 8, 8, 9, 10, 12), 14, 17, 20)
"""Nodes. Most trouble needs few of them, and small fleets cost little: the last three take as much time as the first
twenty."""

TIMINGS: tuple[Preset, ...] = ("local", "local", "lan")
"""`local` passes through the same rules in less than half the virtual time."""

SPARE = 2.0
"""Seconds at least between two faults of one node's process: a goodbye takes half a second, a starving one's last
turn up to one and a half."""

GOOD = Delay(0.001, 0.005)
"""Links within the healed core."""


def draw(seed: int) -> Scenario:
    """The plan of one seed, to be run with that seed."""
    return _Drawing(seed).plan()


class _Drawing:
    """One plan in the making. Times are seconds; T is the heartbeat interval of its timing."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = rng = Random(f"{seed}/swarm")
        self._preset = rng.choice(TIMINGS)
        self._timing = PRESETS[self._preset]
        self._t = self._timing.heartbeat
        self._heal = round(self._t * rng.uniform(12, 24), 1)
        self._first = rng.choice(SIZES)
        self._faults: list[Fault] = []
        joining = rng.randint(1, 3) if rng.random() < 0.5 else 0
        self._nodes = tuple(f"n{i:03}" for i in range(self._first + joining))
        self._busy: dict[str, list[tuple[float, float]]] = {}
        """When each node's process, and each agent, is in the hands of a fault already."""
        self._natted: dict[str, list[tuple[float, float]]] = {}
        if joining:
            at = round(rng.uniform(self._t, self._heal / 2), 1)
            self._faults.append(Join(at=at, count=joining))
            for node in self._nodes[self._first :]:
                self._busy.setdefault(node, []).append((0.0, at))
        self._core = tuple(sorted(rng.sample(self._nodes, rng.randint(len(self._nodes) // 2 + 1, len(self._nodes)))))
        self._outside = tuple(node for node in self._nodes if node not in self._core)
        self._agents = rng.choice((0, 1, 1, 2, 4))  # four snapshots at once fit no datagram
        self._hosts = self._groups("h", rng.randint(2, 3)) if rng.random() < 0.5 else {}
        self._zones = self._groups("z", rng.randint(2, 8)) if rng.random() < 0.5 else {}

    def plan(self) -> Scenario:
        """All of it."""
        rng = self._rng
        network = self._network()
        kinds: tuple[Callable[[], None], ...] = (
            self._crash, self._host_down, self._leave, self._partition, self._cut, self._flap, self._degrade,
            self._udp_blocked, self._nic_down, self._pause, self._starve, self._suspend, self._agent_exit,
            self._outbound_only,
        )  # fmt: skip
        for kind in kinds:
            if rng.random() < 0.5:
                for _ in range(rng.choice((1, 1, 2))):
                    kind()
        for node in self._outside:
            self._leave_broken(node)
        if network.loss or network.duplicate or network.reorder or network.delay.p99 > GOOD.p99:
            good = Degrade(
                at=self._heal, source=self._core, target=self._core, loss=0.0, duplicate=0.0, reorder=0.0, delay=GOOD
            )
            self._faults.append(good)
        within, deaths = until_fresh(self._timing), until_buried(self._timing, len(self._nodes))
        # Where nobody is dead in the end there is nobody to bury: most such plans end sooner, and more can be played.
        dead = any(isinstance(f, Crash | HostDown) and f.until is None for f in self._faults)
        deaths = deaths if dead or rng.random() < 0.3 else within
        return Scenario(
            name=f"swarm-{self._seed}",
            about=f"Drawn from seed {self._seed}: {len(self._nodes)} nodes, {len(self._core)} of them healed.",
            duration=round(self._heal + max(within, deaths) + 4 * self._t, 1),
            timing=self._preset,
            fleet=FleetPlan(self._first, self._agents, round(rng.uniform(1, 5), 1), self._zones, self._hosts),
            network=network,
            fault=tuple(sorted(self._faults, key=lambda fault: fault.at)),
            liveness=Liveness(self._core, self._heal, within, deaths),
            seed=self._seed,
        )

    # Fleet and network

    def _groups(self, letter: str, size: int) -> dict[str, tuple[str, ...]]:
        """Some of the nodes in groups of `size`, the rest in none."""
        shuffled = self._rng.sample(self._nodes, len(self._nodes))
        count = self._rng.randint(1, max(1, len(shuffled) // size))
        return {f"{letter}{i}": tuple(sorted(shuffled[i * size : (i + 1) * size])) for i in range(count)}

    def _network(self) -> NetworkPlan:
        rng = self._rng
        median = rng.choice((0.0003, 0.001, 0.002, 0.005, 0.02))
        return NetworkPlan(
            delay=Delay(median, round(median * rng.uniform(2, 10), 5)),
            loss=self._share(0.3),
            duplicate=self._share(0.1),
            reorder=self._share(0.2),
        )

    def _share(self, most: float) -> float:
        return round(self._rng.uniform(0, most), 3) if self._rng.random() < 0.5 else 0.0

    # When, and whom

    def _span(self) -> tuple[float, float]:
        """From and to, in the first phase: short, some T, or long."""
        rng = self._rng
        at = round(rng.uniform(0.2 * self._t, self._heal - self._t), 2)
        length = self._t * rng.uniform(*rng.choice(((0.1, 1), (1, 4), (4, 12))))
        return at, round(min(self._heal, at + length), 2)

    def _some(self, most: int) -> tuple[str, ...]:
        return tuple(sorted(self._rng.sample(self._nodes, self._rng.randint(1, max(1, min(most, len(self._nodes)))))))

    def _free(self, names: tuple[str, ...], at: float, until: float) -> tuple[str, ...]:
        """Those of `names` that no fault has in its hands then; from now on this one has."""
        return _take(self._busy, names, at, until)

    def _whole(self, machine: tuple[str, ...], at: float, until: float) -> bool:
        """Whether no fault has any of a machine's nodes in its hands then; from now on this one has them all."""
        free = all(_is_free(self._busy, node, at, until) for node in machine)
        return free and bool(self._free(machine, at, until))

    def _for_good(self, nodes: tuple[str, ...]) -> bool:
        """Whether a death of these may be final: the core is to run in the end."""
        return all(node in self._outside for node in nodes) and self._rng.random() < 0.5

    # Processes and hosts

    def _die(self, kind: type[Crash | Leave], nodes: tuple[str, ...]) -> None:
        at, until = self._span()
        final = self._for_good(nodes)
        free = self._free(nodes, at, inf if final else until)
        if free:
            self._faults.append(kind(at=at, until=None if final else until, nodes=free))

    def _crash(self) -> None:
        self._die(Crash, self._some(2))

    def _leave(self) -> None:
        self._die(Leave, self._some(2))

    def _host_down(self) -> None:
        machine = self._machine(self._rng.choice(self._nodes))
        at, until = self._span()
        final = self._for_good(machine)
        if self._whole(machine, at, inf if final else until):
            self._faults.append(HostDown(at=at, until=None if final else until, nodes=machine))

    def _machine(self, node: str) -> tuple[str, ...]:
        """All nodes of that one's host."""
        return next((nodes for nodes in self._hosts.values() if node in nodes), (node,))

    def _hold(self, kind: type[NicDown | Pause], nodes: tuple[str, ...]) -> None:
        at, until = self._span()
        free = self._free(nodes, at, until)
        if free:
            self._faults.append(kind(at=at, until=until, nodes=free))

    def _pause(self) -> None:
        self._hold(Pause, self._some(3))

    def _nic_down(self) -> None:
        self._hold(NicDown, self._some(2))

    def _suspend(self) -> None:
        machine = self._machine(self._rng.choice(self._nodes))
        at, until = self._span()
        if self._whole(machine, at, until):
            self._faults.append(Suspend(at=at, until=until, nodes=machine))

    def _starve(self) -> None:
        at, until = self._span()
        free = self._free(self._some(3), at, until)
        if free:
            self._faults.append(self._starving(free, at, until))

    def _starving(self, nodes: tuple[str, ...], at: float, until: float | None) -> Starve:
        every = round(self._rng.uniform(0.5, 1.5), 2)
        return Starve(
            at=at, until=until, nodes=nodes, slice=round(every * self._rng.uniform(0.05, 0.5), 3), every=every
        )

    def _agent_exit(self) -> None:
        if self._agents:
            at, until = self._span()
            agent = f"{self._rng.choice(self._nodes[: self._first])}/a{self._rng.randrange(self._agents)}"
            back = self._rng.random() < 0.5
            if self._free((agent,), at, until if back else inf):
                self._faults.append(AgentExit(at=at, until=until if back else None, agents=(agent,)))

    # Links

    def _two_sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Two sets of nodes without a common one, together not always all."""
        shuffled = self._rng.sample(self._nodes, len(self._nodes))
        size = self._rng.randint(1, len(shuffled) - 1)
        rest = shuffled[size : size + self._rng.randint(1, len(shuffled) - size)]
        return tuple(sorted(shuffled[:size])), tuple(sorted(rest))

    def _partition(self) -> None:
        at, until = self._span()
        groups = self._two_sides()
        self._faults.append(Partition(at=at, until=until, groups=groups, reject=self._rng.random() < 0.3))

    def _cut(self) -> None:
        at, until = self._span()
        source, target = self._two_sides()
        self._faults.append(Cut(at=at, until=until, source=source, target=target))

    def _flap(self) -> None:
        at, until = self._span()
        source, target = self._two_sides()
        rng = self._rng
        period, duty = round(rng.uniform(0.5, 2 * self._t), 2), round(rng.uniform(0.2, 0.8), 2)
        self._faults.append(Flap(at=at, until=until, source=source, target=target, period=period, duty=duty))

    def _degrade(self) -> None:
        at, until = self._span()
        source, target = self._two_sides()
        self._faults.append(self._worse(source, target, at, until, 0.5))

    def _worse(
        self, source: tuple[str, ...], target: tuple[str, ...], at: float, until: float | None, loss: float
    ) -> Degrade:
        median = round(self._rng.uniform(0.005, 0.15), 3)
        delay = Delay(median, round(median * self._rng.uniform(2, 5), 3))
        return Degrade(
            at=at, until=until, source=source, target=target, loss=self._share(loss), delay=delay,
            duplicate=self._share(0.2), reorder=self._share(0.3),
        )  # fmt: skip

    def _udp_blocked(self) -> None:
        at, until = self._span()
        source, target = self._two_sides()
        self._faults.append(UdpBlocked(at=at, until=until, source=source, target=target))

    def _outbound_only(self) -> None:
        at, until = self._span()
        free = _take(self._natted, self._some(max(1, len(self._nodes) // 2)), at, until)
        if free:
            self._faults.append(OutboundOnly(at=at, until=until, nodes=free))

    # The second phase

    def _leave_broken(self, node: str) -> None:
        """What is wrong from now on, for good, with one that is not of the core; sometimes nothing is."""
        at, rng = self._heal, self._rng
        others = tuple(other for other in self._nodes if other != node)
        half = tuple(sorted(rng.sample(others, (len(others) + 1) // 2)))
        me, machine = (node,), self._machine(node)
        broken: tuple[Callable[[], Fault], ...] = (
            lambda: Cut(at=at, source=others, target=me),  # deaf, and it talks
            lambda: Cut(at=at, source=others, target=me),
            lambda: Cut(at=at, source=me, target=others),
            lambda: Partition(at=at, groups=(me, others)),
            lambda: Cut(at=at, source=half, target=me),
            lambda: Partition(at=at, groups=(me, half), reject=True),
            lambda: UdpBlocked(at=at, source=others, target=me),
            lambda: self._worse(me, others, at, None, 0.9),
            lambda: Crash(at=at, nodes=me),
            lambda: HostDown(at=at, nodes=machine),
            lambda: Pause(at=at, nodes=me),
            lambda: NicDown(at=at, nodes=me),
            lambda: Suspend(at=at, nodes=machine),
            lambda: self._starving(me, at, None),
        )
        made = rng.choice(broken)()
        if isinstance(made, Cut | Partition | UdpBlocked | Degrade):
            self._faults.append(made)
        elif isinstance(made, HostDown | Suspend):
            if not set(machine) & set(self._core) and self._whole(machine, at, inf):
                self._faults.append(made)
        elif self._free(me, at, inf):
            self._faults.append(made)


def _is_free(busy: dict[str, list[tuple[float, float]]], name: str, at: float, until: float) -> bool:
    return all(until + SPARE < begin or end + SPARE < at for begin, end in busy.get(name, ()))


def _take(
    busy: dict[str, list[tuple[float, float]]], names: tuple[str, ...], at: float, until: float
) -> tuple[str, ...]:
    free = tuple(name for name in names if _is_free(busy, name, at, until))
    for name in free:
        busy.setdefault(name, []).append((at, until))
    return free
