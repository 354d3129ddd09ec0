"""`meshfleet bench pace`: what agents cost that say too much, in virtual time: bytes, and seconds until deaths show.

Fleets of ten nodes over links of 75 kB/s that may say 15 kB/s (a sixtieth of the default, and of what such a fleet's
links carry, so that a run takes seconds); in each a process is killed and a host loses power.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.faults import Chatter, Crash, HostDown
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import FleetPlan, Pace, Scenario
from meshfleet.sim.score import shares
from meshfleet.sim.spreading import over_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.sim.faults import Fault

BEGINS, ENDS = 30.0, 110.0
"""Virtual seconds between which agents say more."""

SAID_BY = ("n001/a0", "n006/a1")
"""Who changes once or fifty times a second, where only some do."""

CASES = {"quiet": "none says more", "once": "two agents change once a second", "fifty": "two change 50 times a second",
         "overload": "all say five times too much"}  # fmt: skip


class Case(msgspec.Struct, frozen=True):
    """One fleet, one seed."""

    name: str
    seed: int


class Shown(msgspec.Struct, frozen=True):
    """What one run showed. Seconds are those until each observer said down."""

    bytes_per_node_s: float
    exited_s: tuple[float, ...]
    host_down_s: tuple[float, ...]
    false_down: int
    every: tuple[float, float, float] | None
    """Of those that say more, or of all: the shortest, the median and the longest mean interval."""
    late_p99: float | None


class Line(msgspec.Struct, frozen=True):
    """One fleet's line of the JSON, over all seeds."""

    case: str
    bytes_per_node_s: float
    exited_s: dict[str, float | None]
    host_down_s: dict[str, float | None]
    false_down: int
    every: tuple[float, float] | None
    """The shortest and the longest mean interval of an agent in any run."""
    unevenness: float | None
    """The worst of any run: the longest over the shortest."""
    late_p99: float | None


def scenario(name: str) -> Scenario:
    """The fleet of a case."""
    louder = {
        "quiet": (),
        "once": (Chatter(at=BEGINS, until=ENDS, agents=SAID_BY, every=1.0),),
        "fifty": (Chatter(at=BEGINS, until=ENDS, agents=SAID_BY, every=0.02),),
        "overload": (Chatter(at=BEGINS, until=ENDS, agents=("*/*",), every=0.5, size=900),),
    }[name]
    deaths: tuple[Fault, ...] = (Crash(at=60.0, nodes=("n002",)), HostDown(at=70.0, nodes=("n005",)))
    asked = ("*/*", "!n002/*", "!n005/*") if name in ("quiet", "overload") else SAID_BY
    return Scenario(
        name=name,
        duration=ENDS,
        timing={"state_rate": 15_000.0},
        fleet=FleetPlan(nodes=10, agents_per_node=6, update_every=10.0, bandwidth=75_000.0, packet_cost=0.0005),
        fault=(*louder, *deaths),
        pace=(Pace(agents=asked, start=BEGINS + 15, end=ENDS, every=(0.001, 1e6)),),
    )


def play(case: Case) -> Shown:
    """One run."""
    run = Run(scenario(case.name), case.seed)
    report = run.run()
    (pace,) = report.pace
    exited, dark = (
        tuple(s for seen in run.score.seen[kind].values() for s in seen) for kind in ("exited", "host_down")
    )
    return Shown(pace.bytes_per_node_s, exited, dark, report.false_down, pace.every, pace.late_p99)


def bench(seeds: range, jobs: int | None, say: Callable[[str], None]) -> list[Line]:
    """All of them. `say` is told how far it is."""
    work = [Case(name, seed) for name in CASES for seed in seeds]
    shown = over_processes(work, play, jobs, partial(_tell, say))
    return [_line(name, [shown[Case(name, seed)] for seed in seeds]) for name in CASES]


def _tell(say: Callable[[str], None], done: int, of: int) -> None:
    say(f"{done} of {of} runs")


def _line(name: str, runs: Sequence[Shown]) -> Line:
    every = [run.every for run in runs if run.every is not None]
    return Line(
        name,
        round(sum(run.bytes_per_node_s for run in runs) / len(runs), 1),
        shares([s for run in runs for s in run.exited_s]),
        shares([s for run in runs for s in run.host_down_s]),
        sum(run.false_down for run in runs),
        (min(e[0] for e in every), max(e[2] for e in every)) if every else None,
        round(max(e[2] / e[0] for e in every), 3) if every else None,
        max([run.late_p99 for run in runs if run.late_p99 is not None], default=None),
    )


def summary(lines: list[Line]) -> str:
    """For people."""
    told = [f"{'':29} BYTES/S   PROCESS DEAD, S      HOST DOWN, S      FALSE   EACH, S      UNEVEN  LATE, S"]
    told += [f"{'':29} A NODE    P50     P99        P50     P99       DOWN                          P99"]
    for line in lines:
        each = "-" if line.every is None else f"{line.every[0]:.2f} to {line.every[1]:.2f}"
        dead = f"{line.exited_s['p50'] or 0:5.3f}  {line.exited_s['p99'] or 0:6.3f}"
        dark = f"{line.host_down_s['p50'] or 0:6.2f}  {line.host_down_s['p99'] or 0:6.2f}"
        cost = f"{CASES[line.case]:29} {line.bytes_per_node_s:7,.0f}   {dead}     {dark}    {line.false_down:5}"
        told.append(f"{cost}   {each:14} {line.unevenness or 1:5.2f}  {line.late_p99 or 0:6.3f}")
    return "\n".join(told)
