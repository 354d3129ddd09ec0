"""What is measured of one fleet of one size: the lines of the results file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["simulated", "real"]

SIZES: dict[Kind, tuple[int, ...]] = {
    "simulated": (8, 16, 32, 64, 128, 256, 512, 1_000),
    "real": (8, 16, 32, 64, 128),
}

PAYLOAD = 400
"""Bytes of a state: what the simulator's agents report, and what `bench mesh` publishes unless it is told otherwise."""

UPDATE_EVERY = 2.0
"""Seconds between two states of an agent."""

KEPT_UP = 32
"""Real nodes that two cores carry with a state each 2 s: beyond it states come less often, as `pace` says."""


def pace(nodes: int) -> float:
    """Seconds between two states of a real node's agent. Each state costs each node: so the work of a whole fleet grows
    with the square of its size, and one machine has it all to do."""
    return UPDATE_EVERY * max(1.0, (nodes / KEPT_UP) ** 2)


class Late(msgspec.Struct, frozen=True):
    """How late something was, in seconds."""

    p50: float
    p99: float
    max: float


class Death(msgspec.Struct, frozen=True):
    """How late the survivors said `down` of nodes that died: over all of them and all deaths."""

    late: Late | None
    """None where nobody noticed."""
    deaths: int
    due: int
    """Verdicts that there should be: survivors times deaths."""
    seen: int

    @property
    def p50(self) -> float | None:
        """Half of the verdicts were there by then."""
        return None if self.late is None else self.late.p50

    @property
    def p99(self) -> float | None:
        """99 of 100."""
        return None if self.late is None else self.late.p99


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Bytes, datagrams and CPU are of one node; of the simulator CPU is a node's part of its process's."""

    kind: Kind
    nodes: int
    run: int
    """Counted from 0; of the simulator it is the seed."""
    version: str
    compiled: bool
    update_every_s: float
    joined_s: float | None
    """Until everybody knew everybody; None where they do from the start."""
    window_s: float
    """For how long each of idle and load was measured."""
    idle_bytes_s: float
    idle_datagrams_s: float
    idle_cpu_pct: float
    """Of one core; of the simulator, of a core through which virtual time passes as fast as real time."""
    load_bytes_s: float
    load_datagrams_s: float
    load_cpu_pct: float
    least_times: float
    """Bytes under load, over those of each state once to each node."""
    copies: float
    delivered_pct: float
    delay: Late
    age: Late
    """How old the states are that a node shows."""
    memory_mb: float
    crash: Death
    """A process is killed, its machine lives on."""
    host_gone: Death | None
    """A machine goes dark. None where that can't be had: real processes share one machine."""
    not_fresh: int
    """How often anybody that ran was called anything but fresh: in virtual time from when it had settled, else from the
    start."""
    details: tuple[str, ...] = ()
    """The first of them: when, who, of whom, why."""
    not_fresh_settling: int = 0
    """How often before that: all hear of all at one moment, which no fleet does, so it makes no failure."""


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The results file."""

    growth: Literal[1] = 1
    """Version of the file."""
    points: tuple[Point, ...] = ()

    def of(self, kind: Kind) -> list[tuple[int, list[Point]]]:
        """All runs of each size, the smallest fleet first."""
        sizes = sorted({point.nodes for point in self.points if point.kind == kind})
        return [(n, [p for p in self.points if (p.kind, p.nodes) == (kind, n)]) for n in sizes]


def late(values: Iterable[float]) -> Late | None:
    """Their shares; None where there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    last = len(ordered) - 1
    p50, p99 = (ordered[min(last, int(part * len(ordered)))] for part in (0.5, 0.99))
    return Late(round(p50, 6), round(p99, 6), round(ordered[-1], 6))


def amiss(point: Point) -> list[str]:
    """What makes this run a failure, in words; nothing where all was well."""
    said: list[str] = []
    if point.not_fresh:
        said.append(f"nodes that ran were called something else than fresh {point.not_fresh} times")
    if point.delivered_pct < 100:
        said.append(f"only {point.delivered_pct:.3f} % of all states arrived")
    for what, death in (("crash", point.crash), ("host gone", point.host_gone)):
        if death is not None and death.seen < death.due:
            said.append(f"{what}: {death.due - death.seen} of {death.due} verdicts never came")
    return said
