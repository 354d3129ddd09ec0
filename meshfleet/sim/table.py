"""The whole catalogue against all detectors, as one table: what each gets wrong, and how late it sees a death.

Runs are spread over processes; the table is the same however many there are.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.catalogue import files, is_slow
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import load
from meshfleet.sim.score import shares
from meshfleet.sim.spreading import over_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BEGIN = "<!-- results: begin; written by `make sims` -->"
END = "<!-- results: end -->"
"""Between these lines of a file the table is written."""


class Cell(msgspec.Struct, frozen=True):
    """What one detector showed in one scenario, over all seeds: counts are sums, times are medians in seconds over
    deaths until the last observer said down."""

    detector: str
    runs: int
    ok: int
    false_down: int
    presumed_wrong: int
    missed_down: int
    exited_p50_s: float | None
    host_down_p50_s: float | None


class Row(msgspec.Struct, frozen=True):
    """One scenario."""

    scenario: str
    about: str
    cells: tuple[Cell, ...]


Job = tuple[str, str, int]
"""File, detector, seed."""


def play(job: Job) -> Report:
    """One run, in whichever process."""
    file, detector, seed = job
    from pathlib import Path

    return Run(msgspec.structs.replace(load(Path(file)), detector=detector), seed).run()


def chosen(paths: Sequence[Path] | None = None, *, slow: bool = False) -> list[Path]:
    """The catalogue's files that are run: without those that take minutes, unless `slow`."""
    found: list[Path] = []
    for path in files() if paths is None else paths:
        scenario = load(path)
        if scenario.mode == "core" and (slow or not is_slow(scenario)):
            found.append(path)
    return found


def rows(paths: Sequence[Path], seeds: range, jobs: int | None, done: Callable[[int, int], None]) -> list[Row]:
    """Run all of it. `done` is told how many of how many runs are over."""
    work: list[Job] = [(str(path), detector, seed) for path in paths for detector in DETECTORS for seed in seeds]
    reports = over_processes(work, play, jobs, done)
    return [
        Row(
            path.stem,
            first_sentence(load(path).about),
            tuple(_cell(detector, [reports[str(path), detector, seed] for seed in seeds]) for detector in DETECTORS),
        )
        for path in paths
    ]


def _cell(detector: str, reports: Sequence[Report]) -> Cell:
    counts: Counter[str] = Counter()
    late: dict[str, list[float]] = {"exited": [], "host_down": []}
    for report in reports:
        for name in ("ok", "false_down", "presumed_wrong", "missed_down"):
            counts[name] += int(getattr(report, name))
        for kind, seconds in late.items():
            if (median := report.detect_s[kind]["last_p50"]) is not None:
                seconds.append(median)
    return Cell(
        detector, len(reports), counts["ok"], counts["false_down"], counts["presumed_wrong"], counts["missed_down"],
        shares(late["exited"])["p50"], shares(late["host_down"])["p50"],
    )  # fmt: skip


def first_sentence(about: str, most: int = 90) -> str:
    """What a scenario is about, short enough for a row."""
    text = " ".join(about.split())
    end = re.search(r"(?<=[.:;])\s", text)
    sentence = text[: end.start()] if end else text
    if len(sentence) > most:
        sentence = sentence[:most].rpartition(" ")[0] + " …"
    return sentence.rstrip(".:;")


def markdown(found: Sequence[Row], seeds: range) -> str:
    """The table for sims/README.md."""
    names = list(DETECTORS)
    lines = [
        f"Sums over {len(seeds)} seed{'' if len(seeds) == 1 else 's'} ({seeds.start} to {seeds.stop - 1}), "
        f"in the order {', '.join(names)}. `·` stands for none. Detection is the median over deaths of the time until "
        "the last observer said down.",
        "",
        "| scenario | about | wrongly down | presumed, cut off | deaths missed | process dead, s | host down, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        about = row.about.replace("|", "\\|")
        counts = [
            _three([getattr(cell, name) or None for cell in row.cells])
            for name in ("false_down", "presumed_wrong", "missed_down", "exited_p50_s", "host_down_p50_s")
        ]
        lines.append(f"| `{row.scenario}` | {about} | {' | '.join(counts)} |")
    return "\n".join(lines)


def _three(values: Sequence[float | None]) -> str:
    if all(value is None for value in values):
        return "·"
    return " / ".join("·" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:.3g}" for v in values)


def write(path: Path, table: str, begin: str = BEGIN) -> None:
    """Put the table between the marks of a file. ConfigError where they are missing."""
    before, after = around(path, begin)
    path.write_text(f"{before}{begin}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def around(path: Path, begin: str = BEGIN) -> tuple[str, str]:
    """What stands before and after the marks: asked before anything is run that takes long. ConfigError where they are
    missing."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--write: {path} can't be read: {error.strerror}.") from error
    if text.count(begin) != 1 or text.count(END) != 1 or text.index(begin) > text.index(END):
        raise ConfigError(f"--write: {path} needs the lines {begin!r} and {END!r}, once each, around the table.")
    return text.partition(begin)[0], text.partition(END)[2]
