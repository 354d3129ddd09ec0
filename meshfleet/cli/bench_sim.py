"""`meshfleet bench sim`: how fast virtual time passes, on one core.

Each fleet runs in a fresh process, or one would pay for the memory of the one before. What counts is the CPU time of
that process: it does not grow when the machine has other things to do.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.saying import print_plain
from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Callable


SETTLE_S = 10.0
"""Virtual seconds before measuring begins: a fleet that joins says more than one that runs."""


class Case(msgspec.Struct, frozen=True):
    """A fleet in which nothing goes wrong."""

    nodes: int
    update_every_s: float
    virtual_s: float
    goal: float
    """Virtual seconds a CPU second."""


CASES = (Case(8, 2.0, 600.0, 1_000.0), Case(128, 10.0, 120.0, 40.0), Case(1_000, 60.0, 60.0, 4.0))
QUICK = (Case(8, 2.0, 60.0, 1_000.0), Case(128, 10.0, 20.0, 40.0))
"""Without the fleet of a thousand, which takes long to begin."""


class Speed(msgspec.Struct, frozen=True):
    """What one process showed. Times are seconds of its CPU, memory is its greatest."""

    nodes: int
    update_every_s: float
    virtual_s: float
    set_up_cpu_s: float
    """Until every process of the fleet had begun and all had joined."""
    cpu_s: float
    events: int
    rss_mb: float
    goal: float

    @property
    def virtual_per_cpu_s(self) -> float:
        """Virtual seconds that pass in one second of CPU, the setting up not counted."""
        return self.virtual_s / max(1e-9, self.cpu_s)


class Result(msgspec.Struct, frozen=True):
    """One fleet's line of the JSON."""

    nodes: int
    update_every_s: float
    virtual_s: float
    set_up_cpu_s: float
    cpu_s: float
    virtual_s_per_cpu_s: float
    goal: float
    events_per_cpu_s: float
    rss_mb: float


def measure(case: Case) -> Result:
    """One fleet, in a process of its own."""
    command = [sys.executable, "-m", "meshfleet.cli.bench_sim", msgspec.json.encode(case).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise MeshfleetError(f"the simulation of {case.nodes} nodes ended with {done.returncode}; its error is above.")
    speed = msgspec.json.decode(done.stdout, type=Speed)
    return Result(
        speed.nodes,
        speed.update_every_s,
        speed.virtual_s,
        round(speed.set_up_cpu_s, 3),
        round(speed.cpu_s, 3),
        round(speed.virtual_per_cpu_s, 2),
        speed.goal,
        round(speed.events / max(1e-9, speed.cpu_s)),
        round(speed.rss_mb, 1),
    )


def bench(cases: tuple[Case, ...], say: Callable[[str], None]) -> list[Result]:
    """One fleet after the other. `say` is told how far it is."""
    results: list[Result] = []
    for case in cases:
        say(f"{case.nodes} nodes for {case.virtual_s:g} virtual s")
        results.append(measure(case))
        say(f"    {results[-1].virtual_s_per_cpu_s:,.1f} virtual s a second of CPU, {results[-1].rss_mb:,.0f} MB")
    return results


def summary(results: list[Result]) -> str:
    """For people."""
    lines = ["NODES  UPDATES  VIRTUAL S/CPU S   GOAL  EVENTS/CPU S  SET UP S  RSS MB"]
    lines += [
        f"{r.nodes:5,}  {r.update_every_s:5g} s  {r.virtual_s_per_cpu_s:15,.1f}  {r.goal:5,g}  "
        f"{r.events_per_cpu_s:12,.0f}  {r.set_up_cpu_s:8.2f}  {r.rss_mb:6,.0f}"
        for r in results
    ]
    return "\n".join(lines)


def main(case: Case) -> None:
    """What the fresh process does: run the fleet and print its Speed."""
    import time

    from meshfleet.sim.network import MICROSECONDS
    from meshfleet.sim.running import Run
    from meshfleet.sim.scenario import FleetPlan, Scenario

    fleet = FleetPlan(nodes=case.nodes, update_every=case.update_every_s)
    began = time.process_time()
    run = Run(Scenario(name="bench", duration=SETTLE_S + case.virtual_s, fleet=fleet), 0)
    run.world.run(round(SETTLE_S * MICROSECONDS))
    set_up, before = time.process_time(), run.world.events
    report = run.run()
    cpu_s = time.process_time() - set_up
    events = report.events - before
    speed = Speed(
        case.nodes, case.update_every_s, case.virtual_s, set_up - began, cpu_s, events, peak_rss() / 2**20, case.goal
    )
    print_plain(msgspec.json.encode(speed).decode())


def peak_rss() -> int:
    """The most memory that this process has had resident, in bytes."""
    import resource
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():  # getrusage also counts what the parent had when it started this process
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Case))
