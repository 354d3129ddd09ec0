"""`meshfleet sim`: outages in virtual time, and whether the truth was told of them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError
from meshfleet.sim.catalogue import files, plan
from meshfleet.sim.lanes import barred, lanes
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.record import Record
from meshfleet.sim.report import page as report_page
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import load
from meshfleet.sim.sweep import altered
from meshfleet.sim.telling import alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import RenderableType

    from meshfleet.sim.scenario import Scenario


PATIENCE = 1.0
"""Seconds after which a run tells how far it is."""


def run(
    name: str,
    seed: int | None,
    detector: str | None,
    mode: str | None = None,
    *,
    as_json: bool,
    page: Path | None = None,
    timeline: bool = False,
) -> int:
    """Run one scenario and print what came of it; 0 if all expectations held and nobody was wrongly called dead."""
    scenario = altered(plan(name), detector=detector, mode=mode)
    if page is not None and not page.parent.is_dir():
        raise ConfigError(f"--report: there is no folder {page.parent} to write {page.name} to.")
    record = Record() if page is not None or timeline else None
    began = time.perf_counter()
    with _progress(scenario, shown=not as_json) as say:
        played = Run(scenario, scenario.seed if seed is None else seed, record=record)
        report = played.run(say=say)
    report = msgspec.structs.replace(report, wall_s=round(time.perf_counter() - began, 3))
    if page is not None and record is not None:
        _write(page, report_page(scenario, report, record, played.score, played.world.hosts))
    if as_json:
        fields = msgspec.to_builtins(report)
        for detail in fields.pop("details"):
            print_plain(detail, file=sys.stderr)
        print_plain(msgspec.json.encode(fields).decode())
    else:
        from meshfleet.cli import showing, sim_shown

        showing.console().print(sim_shown.outcome(scenario, report))
        if timeline and record is not None:
            showing.console().print()
            showing.console().print(_timeline(scenario, record, played))
    return 0 if report.ok else 1


def _timeline(scenario: Scenario, record: Record, played: Run) -> RenderableType:
    from meshfleet.cli import showing, sim_shown
    from meshfleet.sim.timeline import timeline

    end_us = round(scenario.duration * MICROSECONDS)
    patience_us = round(scenario.patience().heartbeat * MICROSECONDS)
    every = lanes(record, played.world.hosts, end_us, patience_us)
    faults = alike(scenario.fault, scenario.duration)
    width = max(60, min(160, showing.console().width))
    return sim_shown.lanes(timeline(every, barred(record.walls, end_us), faults, end_us, width))


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--report: {page} can't be written: {error.strerror}.") from error


@contextmanager
def _progress(scenario: Scenario, *, shown: bool) -> Iterator[Callable[[float], None] | None]:
    """A bar of virtual time on a terminal, once a run has taken a second; nothing elsewhere."""
    if not (shown and sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from meshfleet.cli import showing

    columns = (TextColumn("{task.completed:.0f} of {task.total:.0f} virtual s"), BarColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=showing.console(to_errors=True), transient=True)
    task = progress.add_task("", total=scenario.duration)
    began = time.perf_counter()

    def say(virtual_s: float) -> None:
        progress.update(task, completed=virtual_s)
        if time.perf_counter() - began > PATIENCE:
            progress.start()

    try:
        yield say
    finally:
        progress.stop()


def catalogue(*, as_json: bool) -> None:
    """The scenarios that there are, with what each is about."""
    scenarios = [(file.stem, " ".join(load(file).about.split())) for file in files()]
    if as_json:
        print_plain(msgspec.json.encode([{"name": name, "about": about} for name, about in scenarios]).decode())
        return
    for name, about in scenarios:
        print_plain(f"{name:24}  {about}")
    if not scenarios:
        print_plain("No scenarios here: they come with a checkout of the project, in its folder sims/.")
