"""`meshfleet sim …` as typed."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.flags import AsJson, Detector, chosen
from meshfleet.cli.outcome import WRONG_USAGE, complain

app = typer.Typer(help="Runs outages in virtual time.", rich_markup_mode=None)


@app.callback()
def sim() -> None:
    """Run outages in virtual time, and see whether the truth was told of them."""


@app.command("run")
def sim_run(
    scenario: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A scenario file, a name from `sim list`, or swarm:SEED.")
    ],
    seed: Annotated[int | None, typer.Option(metavar="N", help="What everything random is drawn from. [0]")] = None,
    detector: Detector = None,
    mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="core or stack (the real node), instead of the file's.")
    ] = None,
    report: Annotated[str | None, typer.Option(metavar="FILE.html", help="Write a page of what happened.")] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw the swimlanes in characters.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run one scenario. Exits 1 where an expectation did not hold or somebody alive was called dead."""
    from pathlib import Path

    from meshfleet.cli.sim import run as run_sim

    if mode not in (None, "core", "stack"):
        complain(f"--mode: {mode!r} is neither core nor stack.")
        raise typer.Exit(WRONG_USAGE)
    if timeline and as_json:
        complain("--timeline is drawn for people, and --json prints one object: give one of them.")
        raise typer.Exit(WRONG_USAGE)
    page = None if report is None else Path(report)
    raise typer.Exit(run_sim(scenario, seed, chosen(detector), mode, as_json=as_json, page=page, timeline=timeline))


@app.command("list")
def sim_list(as_json: AsJson = False) -> None:
    """The scenarios that come with the project."""
    from meshfleet.cli.sim import catalogue

    catalogue(as_json=as_json)


@app.command("table")
def sim_table(
    seeds: Annotated[str, typer.Option(metavar="FROM:TO", help="Which seeds: from the first up to before TO.")] = "0:3",
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes. [one for each core]")] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table between the marks of FILE.")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Also the scenarios that take minutes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the catalogue with every detector, and put them side by side. Exits 1 where meshfleet did not hold."""
    from pathlib import Path

    from meshfleet.cli.sim_table import table

    target = None if write is None else Path(write)
    raise typer.Exit(table(seeds, jobs, target, slow=slow, as_json=as_json))


@app.command()
def sweep(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|NAME", help="Scenario files, or names from `sim list`.")
    ] = None,
    swarm: Annotated[bool, typer.Option("--swarm", help="Draw a plan from each seed, instead of or besides.")] = False,
    seeds: Annotated[
        str, typer.Option(metavar="FROM:TO", help="Which seeds: from the first up to before TO.")
    ] = "0:100",
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes. [one for each core]")] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write each plan that fails into this folder.")
    ] = None,
    detector: Detector = None,
    as_json: AsJson = False,
) -> None:
    """Run many seeds and add up. Exits 1 where something broke, or drawn plans never reached a rule of the mesh."""
    from meshfleet.cli.sweeping import sweep as run_sweep

    names = tuple(scenarios or ())
    raise typer.Exit(
        run_sweep(names, seeds, swarm=swarm, jobs=jobs, keep=keep, detector=chosen(detector), as_json=as_json)
    )


@app.command()
def check(
    scenario: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A scenario file, a name from `sim list`, or swarm:SEED.")
    ],
    seed: Annotated[int | None, typer.Option(metavar="N", help="What everything random is drawn from. [0]")] = None,
    as_json: AsJson = False,
) -> None:
    """Run one seed in two fresh processes; exits 1 where the runs differ, and says where they begin to."""
    from meshfleet.cli.sweeping import check as run_check

    raise typer.Exit(run_check(scenario, seed, as_json=as_json))


@app.command()
def shrink(
    scenario: Annotated[
        str | None, typer.Argument(metavar="FILE|NAME", help="The plan that fails: a file, a name, swarm:17.")
    ] = None,
    swarm_seed: Annotated[int | None, typer.Option(metavar="N", help="The plan drawn from this seed.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The seed that it fails with. [the plan's own]")] = None,
    tries: Annotated[int, typer.Option(min=1, metavar="N", help="Runs that this may take.")] = 400,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here, not to stdout.")
    ] = None,
) -> None:
    """Make a plan that fails smaller, as long as it fails in the same way."""
    from meshfleet.cli.sweeping import shrink as run_shrink

    raise typer.Exit(run_shrink(scenario, swarm_seed, seed, tries=tries, out=out))


@app.command()
def lifeguard(
    seeds: Annotated[str, typer.Option(metavar="FROM:TO", help="Which seeds: from the first up to before TO.")] = "0:1",
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes. [one for each core]")] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables between the marks of FILE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The Lifeguard paper's experiments with every detector. Exits 1 where meshfleet said down of anybody."""
    from pathlib import Path

    from meshfleet.cli.sim_lifeguard import experiments

    target = None if write is None else Path(write)
    raise typer.Exit(experiments(seeds, jobs, target, as_json=as_json))
