"""`meshfleet sim table`: the catalogue against all detectors."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError
from meshfleet.sim.table import chosen, markdown, rows, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshfleet.sim.table import Row


def table(seeds: str, jobs: int | None, target: Path | None, *, slow: bool, as_json: bool) -> int:
    """Run it, print it or write it; 1 where meshfleet did not hold."""
    drawn = seeds_of(seeds)
    paths = chosen(slow=slow)
    if not paths:
        raise ConfigError("there are no scenarios here: they come with a checkout of the project, in its folder sims/.")
    with progress(shown=not as_json) as done:
        found = rows(paths, drawn, jobs or os.cpu_count(), done)
    if target is not None:
        write(target, markdown(found, drawn))
    if as_json:
        print_plain(msgspec.json.encode(found).decode())
    elif target is None:
        _print(found)
    broken = [row.scenario for row in found if any(c.ok < c.runs for c in row.cells if c.detector == "meshfleet")]
    if broken:
        print_plain(f"meshfleet did not hold in {', '.join(broken)}.", file=sys.stderr)
    return 1 if broken else 0


def seeds_of(seeds: str) -> range:
    """What --seeds means. ConfigError where it means nothing."""
    given = re.fullmatch(r"(\d+)(?::(\d+))?", seeds)
    if given:
        first, last = int(given[1]), given[2]
        drawn = range(first, int(last)) if last is not None else range(first, first + 1)
        if drawn:
            return drawn
    raise ConfigError(f"--seeds: {seeds!r} is no range of seeds. 0:3 means 0, 1 and 2; 7 means 7 alone.")


@contextmanager
def progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar of runs on a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from meshfleet.cli import showing

    columns = (TextColumn("runs"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=showing.console(to_errors=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _print(found: list[Row]) -> None:
    """One line a scenario and detector, in 80 columns."""
    print_plain(
        f"{'SCENARIO':24} {'DETECTOR':10} {'FALSE':>6} {'WRONG':>6} {'MISSED':>7} {'DEAD S':>8} {'HOST S':>8}  OK"
    )
    for row in found:
        for i, cell in enumerate(row.cells):
            late = (f"{v:.3g}" if v is not None else "-" for v in (cell.exited_p50_s, cell.host_down_p50_s))
            dead, host = late
            print_plain(
                f"{row.scenario if not i else '':24} {cell.detector:10} {cell.false_down:6} {cell.presumed_wrong:6} "
                f"{cell.missed_down:7} {dead:>8} {host:>8}  {cell.ok}/{cell.runs}"
            )
