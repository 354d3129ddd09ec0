"""What goes wrong in a soak, and when: drawn from a seed, printed, kept in a file and played again from there.

A plan is rounds. In each, faults come and go at random moments, over each other; then all is mended, and the fleet has
to be of one mind about what is so, and right. Who was killed may stay dead over that, and is then to be called dead.
"""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOSTS = 12
ROUND = 90.0
"""Seconds in which things go wrong, unless told otherwise."""
SETTLING = 50.0
"""Seconds that a round's end takes, as a rule: what ten heartbeats of the preset `lan` are."""
FAULTS = (5, 9)
"""Faults in a round."""
STEADY = 4
"""Hosts whose process is never ended: only a long life shows whether memory grows."""
CLOCKS = 3
"""Hosts whose wall clock can be stepped."""
STEP = 7_200.0
"""Seconds by which a clock is off at the most. Certificates want clocks that agree within a day."""


class Kind(str, Enum):
    """What can go wrong."""

    CRASH = "crash"
    LEAVE = "leave"
    HOST_DOWN = "host_down"
    PAUSE = "pause"
    PARTITION = "partition"
    WALL = "wall"
    """A partition by a firewall that rejects."""
    CUT = "cut"
    """One way."""
    FLAP = "flap"
    UDP_BLOCKED = "udp_blocked"
    LOSS = "loss"
    NIC_DOWN = "nic_down"
    DISK_FULL = "disk_full"
    CLOCK = "clock"
    ROTATE = "rotate"
    RELOAD = "reload"
    """The file that names nodes is written anew: others, none, or nonsense."""
    API_KEY = "api_key"
    """One is made and revoked."""


ENDS = (Kind.CRASH, Kind.LEAVE, Kind.HOST_DOWN)
"""What ends a process."""
OF_A_HOST = (*ENDS, Kind.PAUSE, Kind.NIC_DOWN)
"""What a host can have one of at a time."""
AT_A_MOMENT = (Kind.CLOCK, Kind.ROTATE, Kind.RELOAD, Kind.API_KEY)

DISK = "the small disk"

OFTEN = {
    Kind.CRASH: 4, Kind.LEAVE: 2, Kind.HOST_DOWN: 2, Kind.PAUSE: 4,
    Kind.PARTITION: 3, Kind.WALL: 2, Kind.CUT: 2, Kind.FLAP: 1, Kind.UDP_BLOCKED: 2, Kind.LOSS: 2, Kind.NIC_DOWN: 2,
    Kind.DISK_FULL: 2, Kind.CLOCK: 3, Kind.ROTATE: 3, Kind.RELOAD: 2, Kind.API_KEY: 1,
}  # fmt: skip
"""How often each is drawn, beside the others."""


class Fault(msgspec.Struct, frozen=True):
    """One of them, in seconds after its round began."""

    kind: Kind
    at: float
    until: float | None = None
    """None: it lasts over the end of the round (a crash), or has no end (a clock's step)."""
    nodes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """The other side, where there are two."""
    amount: float = 0.0
    """Share of datagrams lost; seconds that a clock is off; a flap's period; 1: the node of a full disk is killed."""

    def __str__(self) -> str:
        span = f"{self.at:.1f}" if self.until is None else f"{self.at:.1f} to {self.until:.1f}"
        ends = " | ".join(",".join(names) for names in (self.nodes, self.others) if names)
        return f"{span} s: {self.kind.value} {ends}" + (f" ({self.amount:g})" if self.amount else "")


class Round(msgspec.Struct, frozen=True):
    """Faults, in order."""

    seconds: float
    faults: tuple[Fault, ...]


class Plan(msgspec.Struct, frozen=True):
    """All of it."""

    seed: int
    names: tuple[str, ...]
    steady: tuple[str, ...]
    clocks: tuple[str, ...]
    small_disk: str
    """The host whose state dir is a file system of its own, which can be filled."""
    rounds: tuple[Round, ...]

    def write(self, path: Path) -> None:
        """Keep it, to be played again."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2))

    def told(self) -> str:
        """For people."""
        head = f"steady: {', '.join(self.steady)}; clocks: {', '.join(self.clocks)}; small disk: {self.small_disk}"
        lines = [f"  round {i}\n" + "\n".join(f"    {f}" for f in r.faults) for i, r in enumerate(self.rounds, 1)]
        return "\n".join([f"seed {self.seed}: {head}", *lines])


def read(path: Path) -> Plan:
    """What `Plan.write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def rounds_in(minutes: float) -> int:
    """How many fit."""
    return max(1, round(minutes * 60.0 / (ROUND + SETTLING)))


def draw(seed: int, rounds: int, *, seconds: float = ROUND, each: Sequence[Kind] = tuple(Kind)) -> Plan:
    """The plan of that seed: the same on every machine. `each`: what is drawn from."""
    rng = Random(seed)
    names = tuple(f"n{i:03}" for i in range(HOSTS))
    steady = tuple(sorted(rng.sample(names, STEADY)))
    clocks = tuple(sorted(rng.sample(names, CLOCKS)))
    small_disk = rng.choice(names)
    drawn = tuple(_Drawing(rng, names, steady, clocks, small_disk, seconds, each).round() for _ in range(rounds))
    return Plan(seed, names, steady, clocks, small_disk, drawn)


class _Drawing:
    """Draws one round."""

    def __init__(
        self, rng: Random, names: Sequence[str], steady: Sequence[str], clocks: Sequence[str], small_disk: str,
        seconds: float, each: Sequence[Kind],
    ) -> None:  # fmt: skip
        self._rng = rng
        self._names = names
        self._steady = steady
        self._clocks = clocks
        self._small_disk = small_disk
        self._seconds = seconds
        self._kinds = [kind for kind in each for _ in range(OFTEN[kind])]
        self._busy: set[str] = set()

    def round(self) -> Round:
        """Its faults."""
        count = self._rng.randint(*FAULTS)
        faults = [self._one(self._rng.choice(self._kinds)) for _ in range(count)]
        return Round(self._seconds, tuple(sorted(faults, key=lambda fault: fault.at)))

    def _one(self, kind: Kind) -> Fault:
        rng = self._rng
        at = round(rng.uniform(0.0, 0.7 * self._seconds), 1)
        until = round(min(self._seconds, at + rng.choice((2.0, 8.0, 20.0, 45.0)) * rng.uniform(0.5, 1.5)), 1)
        match kind:
            case Kind.CRASH | Kind.LEAVE | Kind.HOST_DOWN | Kind.PAUSE | Kind.NIC_DOWN:
                return self._of_a_host(kind, at, until)
            case Kind.PARTITION | Kind.WALL | Kind.CUT | Kind.FLAP | Kind.UDP_BLOCKED | Kind.LOSS:
                shuffled = rng.sample(self._names, len(self._names))
                size = rng.randint(1, len(shuffled) // 2)
                one, other = tuple(sorted(shuffled[:size])), tuple(sorted(shuffled[size:]))
                amount = {Kind.LOSS: round(rng.uniform(0.1, 0.4), 2), Kind.FLAP: round(rng.uniform(2.0, 12.0), 1)}
                return Fault(kind, at, until, one, other, amount.get(kind, 0.0))
            case Kind.DISK_FULL:
                return self._full(at, until)
            case Kind.CLOCK:
                return Fault(kind, at, None, (rng.choice(self._clocks),), amount=round(rng.uniform(-STEP, STEP)))
            case Kind.RELOAD | Kind.API_KEY:
                return Fault(kind, at, None, (rng.choice(self._names),), amount=float(rng.randrange(4)))
            case Kind.ROTATE:
                return Fault(kind, at, None, (self._names[0],))

    def _reload(self, at: float) -> Fault:
        """In place of what there is nobody left for."""
        return Fault(Kind.RELOAD, at, None, (self._names[0],))

    def _full(self, at: float, until: float) -> Fault:
        """Half of the times its node is killed meanwhile, and has to start on it."""
        name = self._small_disk
        if DISK in self._busy:
            return self._reload(at)
        self._busy.add(DISK)
        is_killed = self._rng.random() < 0.5 and name not in self._busy and name not in self._steady
        if is_killed:
            self._busy.add(name)
        return Fault(Kind.DISK_FULL, at, until, (name,), amount=float(is_killed))

    def _of_a_host(self, kind: Kind, at: float, until: float) -> Fault:
        free = [n for n in self._names if n not in self._busy and not (kind in ENDS and n in self._steady)]
        if not free:
            return self._reload(at)
        name = self._rng.choice(free)
        self._busy.add(name)
        stays_dead = kind in (Kind.CRASH, Kind.LEAVE) and self._rng.random() < 0.25 and name != self._names[0]
        return Fault(kind, at, None if stays_dead else until, (name,))
