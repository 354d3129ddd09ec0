"""The Lifeguard paper's experiments (arXiv 1707.00788) with all detectors: how many of the healthy are called dead
while others are ill, and how soon it is seen that somebody does nothing.

The paper counts otherwise than the score: whoever is blocked is rightly called failed, however alive its process is.
False is what is said of members that are well. FP counts these events at all members, FP- at those that are well
themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.presence import Presence
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.catalogue import FOLDER
from meshfleet.sim.faults import Pause, Starve
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import Scenario, load
from meshfleet.sim.score import shares
from meshfleet.sim.spreading import over_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

BEGIN = "<!-- results: begin; written by `make lifeguard` -->"

ILL = (1, 4, 8, 16, 32)
"""How many members are ill at once, of 128: five of the paper's nine."""

EXPERIMENTS = ("interval", "threshold")

PAPER = {1: (900, 18), 4: (6_000, 145), 8: (11_000, 110), 16: (34_000, 570), 32: (82_000, 1_200)}
"""Ill at once -> FP of SWIM and of Lifeguard: the paper's figure 2, read off to about a tenth. Sums over all of its
pairs of D and I and ten repetitions, so that only their ratio compares with one run."""

PAPER_ALL = {"fp": (339_002, 5_193), "fp_healthy": (1_326, 25)}
"""Its table of all controlled experiments: SWIM, Lifeguard."""

GONE = (Presence.UNREACHABLE, Presence.DOWN)
"""Words that say that nothing of a member answers. Only the baselines say `down` of a process that is stopped."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What one detector said with so many ill at once. Counts are sums over all runs, times medians over the ill."""

    experiment: str
    ill: int
    detector: str
    runs: int
    fp: int
    """`down` said of a member that is well, by anybody."""
    fp_healthy: int
    """The same, said by members that are well: the paper's FP-."""
    of_the_ill: int
    """`down` said of a member whose process runs, slowly. The paper counts it as detection."""
    first_s: float | None
    """Seconds until the first of the healthy said `unreachable` or `down` of one that is ill; None: nobody did."""
    full_s: float | None
    """Until the last of them did; None where some never did."""
    broken: tuple[str, ...] = ()
    """Runs that ended early, and why."""


Job = tuple[str, int, str, int]
"""Experiment, number of ill, detector, seed."""


def plan(experiment: str, ill: int, detector: str) -> Scenario:
    """The experiment's file, with the first `ill` nodes ill."""
    scenario = load(FOLDER / "lifeguard" / f"{experiment}.toml")
    return adapted(scenario, ill, detector)


def adapted(scenario: Scenario, ill: int, detector: str) -> Scenario:
    """A scenario with its first `ill` nodes starved or paused as it says, and without expectations: nothing stands
    or falls with an experiment."""
    if not 1 <= ill < scenario.fleet.nodes:
        raise ConfigError(f"{scenario.name}: {ill} of {scenario.fleet.nodes} nodes can't be ill, and somebody well.")
    names = tuple(f"n{number:03}" for number in range(ill))
    faults = tuple(
        msgspec.structs.replace(fault, nodes=names) if isinstance(fault, Starve | Pause) else fault
        for fault in scenario.fault
    )
    return msgspec.structs.replace(scenario, detector=detector, fault=faults, expect=())


def play(job: Job) -> Cell:
    """One run, in whichever process."""
    experiment, ill, detector, seed = job
    return measured(plan(experiment, ill, detector), experiment, ill, seed)


def measured(scenario: Scenario, experiment: str, ill: int, seed: int) -> Cell:
    """Run an adapted scenario, and count."""
    run = Run(scenario, seed)
    report = run.run()
    fp = fp_healthy = of_the_ill = 0
    began_us = round(min(fault.at for fault in scenario.fault) * MICROSECONDS)
    noticed: dict[int, list[float]] = {subject: [] for subject in range(ill)}
    for (observer, subject), told in run.score.said.items():
        deaths = _beginnings(told)
        if subject < ill:
            of_the_ill += deaths
            when = next((at for at, word in told if word in GONE and at >= began_us), None)
            if observer >= ill and when is not None:
                noticed[subject].append((when - began_us) / MICROSECONDS)
        else:
            fp += deaths
            fp_healthy += deaths if observer >= ill else 0
    healthy = scenario.fleet.nodes - ill
    return Cell(
        experiment=experiment, ill=ill, detector=scenario.detector, runs=1, fp=fp, fp_healthy=fp_healthy,
        of_the_ill=of_the_ill, first_s=_median(min(seen) for seen in noticed.values() if seen),
        full_s=_median(max(seen) for seen in noticed.values() if len(seen) == healthy),
        broken=(report.broken,) if report.broken else (),
    )  # fmt: skip


def _beginnings(told: Iterable[tuple[int, Presence]]) -> int:
    """How often `down` was said of one who was not down before."""
    count, before = 0, Presence.FRESH
    for _, word in told:
        count += word is Presence.DOWN and before is not Presence.DOWN
        before = word
    return count


def _median(values: Iterable[float]) -> float | None:
    return shares(list(values))["p50"]


def cells(seeds: range, jobs: int | None, done: Callable[[int, int], None], ill: Sequence[int] = ILL) -> list[Cell]:
    """Run all of it, the longest first. `done` is told how many of how many runs are over."""
    work: list[Job] = [
        (experiment, count, detector, seed)
        for experiment in EXPERIMENTS
        for count in sorted(ill, reverse=True)
        for detector in DETECTORS
        for seed in seeds
    ]
    found = over_processes(work, play, jobs, done)
    return [
        _sum([found[experiment, count, detector, seed] for seed in seeds])
        for experiment in EXPERIMENTS
        for count in ill
        for detector in DETECTORS
    ]


def _sum(runs: Sequence[Cell]) -> Cell:
    first = runs[0]
    return Cell(
        experiment=first.experiment, ill=first.ill, detector=first.detector, runs=len(runs),
        fp=sum(run.fp for run in runs), fp_healthy=sum(run.fp_healthy for run in runs),
        of_the_ill=sum(run.of_the_ill for run in runs),
        first_s=_median(run.first_s for run in runs if run.first_s is not None),
        full_s=_median(run.full_s for run in runs if run.full_s is not None),
        broken=tuple(why for run in runs for why in run.broken),
    )  # fmt: skip


def markdown(found: Sequence[Cell], seeds: range) -> str:
    """The tables for sims/lifeguard/README.md."""
    by = {(cell.experiment, cell.ill, cell.detector): cell for cell in found}
    counts = sorted({cell.ill for cell in found})
    plural = "" if len(seeds) == 1 else "s"
    lines = [
        f"Sums over {len(seeds)} seed{plural} ({seeds.start} to {seeds.stop - 1}). FP / FP- / said of the ill. The "
        "last two columns are FP of Lifeguard in per cent of SWIM's, here and in the paper.",
        "",
        "| ill of 128 | SWIM | Lifeguard | meshfleet | here | paper |",
        "|---|---|---|---|---|---|",
    ]
    total = {detector: [0, 0, 0] for detector in DETECTORS}
    for count in counts:
        row = {detector: by["interval", count, detector] for detector in DETECTORS}
        for detector, cell in row.items():
            total[detector] = [sum(pair) for pair in zip(total[detector], _three(cell), strict=True)]
        here = _percent(row["swim"].fp, row["lifeguard"].fp)
        said = " | ".join(_shown(_three(row[detector])) for detector in ("swim", "lifeguard", "meshfleet"))
        lines.append(f"| {count} | {said} | {here} | {_percent(*PAPER[count]) if count in PAPER else '·'} |")
    said = " | ".join(_shown(total[detector]) for detector in ("swim", "lifeguard", "meshfleet"))
    here = _percent(total["swim"][0], total["lifeguard"][0])
    lines.append(f"| all | {said} | {here} | {_percent(*PAPER_ALL['fp'])} |")
    lines += [
        "",
        "Seconds until one that stands still is noticed, first / by all of the healthy. The last column is Lifeguard's "
        "time by all in per cent of SWIM's.",
        "",
        "| ill of 128 | SWIM | Lifeguard | meshfleet (`unreachable`) | here |",
        "|---|---|---|---|---|",
    ]
    for count in counts:
        row = {detector: by["threshold", count, detector] for detector in DETECTORS}
        said = " | ".join(
            f"{_seconds(row[d].first_s)} / {_seconds(row[d].full_s)}" for d in ("swim", "lifeguard", "meshfleet")
        )
        swim, other = row["swim"].full_s, row["lifeguard"].full_s
        lines.append(
            f"| {count} | {said} | {'·' if swim is None or other is None else f'{100 * other / swim:.0f} %'} |"
        )
    return "\n".join(lines)


def _three(cell: Cell) -> list[int]:
    return [cell.fp, cell.fp_healthy, cell.of_the_ill]


def _shown(counts: Sequence[int]) -> str:
    return " / ".join(f"{count:,}" for count in counts)


def _percent(swim: int, lifeguard: int) -> str:
    return f"{100 * lifeguard / swim:.1f} %" if swim else "·"


def _seconds(value: float | None) -> str:
    return "·" if value is None else f"{value:.1f}"
