"""`meshfleet sim sweep`, `check` and `shrink`: many runs, what they come to, and what is left of one that failed."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.outcome import INTERRUPTED, complain
from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError
from meshfleet.sim.catalogue import plan
from meshfleet.sim.running import Run
from meshfleet.sim.score import shares
from meshfleet.sim.swarm import SWARM
from meshfleet.sim.sweep import Sum, file_jobs, swarm_jobs
from meshfleet.sim.sweep import sweep as run_jobs
from meshfleet.sim.writing import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshfleet.sim.scenario import Scenario
    from meshfleet.sim.sweep import Job, Result

SHOWN = 20
"""Failures that are shown to people. JSON has them all."""


def sweep(
    names: tuple[str, ...],
    seeds: str,
    *,
    swarm: bool,
    jobs: int | None,
    keep: str | None,
    detector: str | None,
    as_json: bool,
) -> int:
    """Run every plan with every seed, and print what it came to: 0 where all held, 1 where something broke."""
    if not names and not swarm:
        raise ConfigError("what is to be run? Name scenarios, or draw them with --swarm.")
    chosen = _seeds(seeds)
    plans = {name: plan(name) for name in names}
    for name, scenario in plans.items():  # whoever is meant by nobody is told before the first of thousands of runs
        Run(scenario, 0)
        if name.startswith(SWARM):
            raise ConfigError(f"{name} is one plan with one seed: `meshfleet sim run {name}` runs it.")
    todo = chain(file_jobs(plans, chosen, detector), swarm_jobs(chosen, detector) if swarm else ())
    with _progress(len(chosen) * (len(plans) + swarm), as_json=as_json) as shown:
        total = run_jobs(todo, workers=jobs, done=_keeping(keep, shown))
    print_plain(msgspec.json.encode(_told(total)).decode() if as_json else _shown(total))
    if total.interrupted:
        return INTERRUPTED
    return 0 if total.ok else 1


def _seeds(text: str) -> range:
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None or int(found[1]) >= int(found[2]):
        raise ConfigError(f"--seeds: {text!r} is no range of seeds; 0:100 runs the seeds 0 to 99.")
    return range(int(found[1]), int(found[2]))


@contextmanager
def _progress(runs: int, *, as_json: bool) -> Iterator[Callable[[Sum], None] | None]:
    """A bar on a terminal, and nothing anywhere else."""
    if as_json or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from meshfleet.cli import showing

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=showing.console(to_errors=True), transient=True) as bar:
        task = bar.add_task("runs", total=runs)

        def done(total: Sum) -> None:
            failed = f", {len(total.failures)} failed" if total.failures else ""
            bar.update(task, completed=total.runs, description=f"runs{failed}")

        yield done


def _keeping(folder: str | None, shown: Callable[[Sum], None] | None) -> Callable[[Sum], None]:
    """Write each plan that failed as soon as it has, and pass on what is to be shown."""
    kept: set[tuple[str, int]] = set()

    def done(total: Sum) -> None:
        for job, result in total.failures:
            if folder is not None and (job.name, job.seed) not in kept:
                kept.add((job.name, job.seed))
                _keep(job, result, Path(folder))
        if shown is not None:
            shown(total)

    return done


def _keep(job: Job, result: Result, folder: Path) -> None:
    """A plan that failed, as a file that runs with the seed that it failed with."""
    scenario = msgspec.structs.replace(job.plan, seed=job.seed, about=f"{job.plan.about} {_why(result.why)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{scenario.name}-{job.seed}.toml").write_text(to_toml(scenario), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--keep: {folder} can't be written: {error.strerror}.") from error


def _why(why: tuple[str, ...]) -> str:
    return why[0] if why else "it failed and said no reason"


def _told(total: Sum) -> dict[str, object]:
    return {
        "ok": total.ok,
        "interrupted": total.interrupted,
        "runs": {"all": total.runs, **{word: total.words[word] for word in ("ok", "failed", "unknown")}},
        "false_down": total.false_down,
        "presumed_wrong": total.presumed_wrong,
        "missed_down": total.missed_down,
        "detect_s": {kind: shares(seconds) for kind, seconds in sorted(total.detect_s.items())},
        "spread_s": {"p50": total.spread(0.5), "p99": total.spread(0.99), "max": round(total.spread_max_s, 4)},
        "cost": {"bytes_per_node_s": round(total.bytes_sent / total.node_seconds, 1) if total.node_seconds else None},
        "wall_s": round(total.wall_s, 3),
        "marks": dict(sorted(total.marks.items())),
        "marks_never_hit": total.unmarked,
        "failures": [
            {"scenario": job.name, "seed": job.seed, "why": result.why, "replay": job.replay}
            for job, result in total.failures
        ],
    }


def _shown(total: Sum) -> str:
    words = ", ".join(f"{total.words[word]} {word}" for word in ("ok", "failed", "unknown") if total.words[word])
    head = "stopped early: " if total.interrupted else ""
    lines = [
        f"{head}{total.runs} runs: {words or 'none done'}; {total.wall_s:.1f} s of computing",
        f"wrongly down {total.false_down}; presumed of who was cut off {total.presumed_wrong}; "
        f"deaths missed {total.missed_down}",
    ]
    for kind, seconds in sorted(total.detect_s.items()):
        seen = shares(seconds)
        lines.append(f"{kind}: the last said down after {seen['p50']} s (p50), {seen['p99']} s (p99)")
    lines.append(f"snapshots: p50 {total.spread(0.5)} s, p99 {total.spread(0.99)} s, max {total.spread_max_s:.3g} s")
    if total.node_seconds:
        lines.append(f"cost: {total.bytes_sent / total.node_seconds:.0f} bytes/s a node")
    for job, result in total.failures[:SHOWN]:
        lines += [f"{job.name}, seed {job.seed}: {_why(result.why)}", f"    {job.replay}"]
    if len(total.failures) > SHOWN:
        lines.append(f"and {len(total.failures) - SHOWN} more; --json has them all")
    if total.unmarked:
        lines.append(f"never exercised: {', '.join(total.unmarked)}")
    return "\n".join(lines)


def check(name: str, seed: int | None, *, as_json: bool) -> int:
    """Run one seed twice; 0 where the runs are the same."""
    from meshfleet.sim.determinism import compare

    chosen = plan(name).seed if seed is None else seed
    difference, lines = compare(name, chosen)
    if as_json:
        told = {"same": difference is None, "lines": lines, "first": difference and difference._asdict()}
        print_plain(msgspec.json.encode(told).decode())
    elif difference is None:
        print_plain(f"{name}, seed {chosen}: the same in both processes, {lines} lines of trace")
    else:
        print_plain(f"{name}, seed {chosen}: line {difference.line}, at {difference.at_s:.6f} s, differs:")
        print_plain(f"  {difference.one or '(ended)'}\n  {difference.other or '(ended)'}")
    return 0 if difference is None else 1


def shrink(name: str | None, swarm_seed: int | None, seed: int | None, *, tries: int, out: str | None) -> int:
    """Make a plan that fails smaller, and write what is left of it."""
    from meshfleet.sim.shrink import shrink as run_shrink

    if (name is None) is (swarm_seed is None):
        raise ConfigError("which plan? Give a file or a name, or --swarm-seed N.")
    chosen = plan(f"{SWARM}{swarm_seed}" if name is None else name)
    told = sys.stderr.isatty()

    def said(runs: int, smaller: Scenario) -> None:
        if told:
            complain(f"{runs} runs: {len(smaller.fault)} faults, {smaller.fleet.nodes} nodes, {smaller.duration} s")

    smallest, kind = run_shrink(chosen, chosen.seed if seed is None else seed, tries=tries, said=said)
    about = f"Shrunk from {chosen.name}, seed {smallest.seed}; fails with: {kind}."
    text = to_toml(msgspec.structs.replace(smallest, name=f"{chosen.name}-small", about=about))
    if out is None:
        print_plain(text, end="")
        return 0
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: {out} can't be written: {error.strerror}.") from error
    print_plain(f"{out}: {len(smallest.fault)} faults, {smallest.fleet.nodes} nodes; {kind}. meshfleet sim run {out}")
    return 0
