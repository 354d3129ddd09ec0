"""Which runs are wanted, what each measures, and the file that keeps them whatever ends it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet import __version__
from meshfleet.cli.bench import mesh
from meshfleet.cli.growth.figures import PAYLOAD, Death, Kind, Late, Point, Results, amiss, pace
from meshfleet.cli.growth.simulated import Order, is_compiled
from meshfleet.errors import ConfigError, MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshfleet.cli.bench_figures import Result

REAL_S = 20.0
"""Seconds of rest and of load on real processes: as `bench mesh` has it."""

Job = tuple[Kind, int, int]
"""What kind, how many nodes, which run."""


def load(path: Path | None) -> Results:
    """What was measured before; nothing where there is no file yet. ConfigError where it is another file."""
    if path is None or not path.exists():
        return Results()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise ConfigError(f"--results: {path} can't be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"--results: {path} is no file of this command's results ({error}). Give another name, or remove it."
        ) from error


def save(path: Path | None, results: Results) -> None:
    """Put them into the file, all or none."""
    if path is None:
        return
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"--results: {path} can't be written: {error.strerror}.") from error


def missing(sizes: dict[Kind, Sequence[int]], runs: int, results: Results) -> list[Job]:
    """Runs that are wanted and not there: all sizes once before any a second time, so that what is there when somebody
    stops it is whole curves."""
    there = {(point.kind, point.nodes, point.run) for point in results.points}
    wanted = [(kind, nodes, run) for run in range(runs) for kind in sizes for nodes in sorted(sizes[kind])]
    return [job for job in wanted if job not in there]


def all_of(jobs: Sequence[Job], results: Results, path: Path | None, say: Callable[[str], None]) -> Measured:
    """Measure one after the other, and keep each as soon as it is there. A size that can't be measured does not end
    the others."""
    wrong: list[str] = []
    for i, (kind, nodes, run) in enumerate(jobs):
        say(f"[{i + 1}/{len(jobs)}] {kind}, {nodes:,} nodes, run {run + 1}")
        try:
            point = one(kind, nodes, run, say)
        except KeyboardInterrupt:
            return Measured(results, tuple(wrong), left=len(jobs) - i)
        except MeshfleetError as error:
            wrong.append(f"{kind}, {nodes:,} nodes, run {run + 1}: {error}")
            continue
        results = msgspec.structs.replace(results, points=(*results.points, point))
        save(path, results)
    return Measured(results, tuple(wrong), left=0)


class Measured(msgspec.Struct, frozen=True):
    """How it ended."""

    results: Results
    wrong: tuple[str, ...]
    """Runs that could not be measured, and why."""
    left: int
    """Runs that were not come to: somebody stopped it."""


def one(kind: Kind, nodes: int, run: int, say: Callable[[str], None]) -> Point:
    """One run. KeyboardInterrupt where somebody stops it, whatever it came out of."""
    if kind == "simulated":
        return _simulated(nodes, run)
    try:
        seconds = max(REAL_S, pace(nodes))
        measure = partial(
            mesh, nodes, update_every=pace(nodes), seconds=seconds, payload=PAYLOAD, beside_unsealed=False,
            say=lambda text: say(f"    {text}"),
        )  # fmt: skip
        return of_real(trio.run(measure), run, seconds)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        found = group.subgroup(MeshfleetError)
        if found is None:
            raise
        raise _first(found) from None


def _first(group: BaseExceptionGroup[MeshfleetError]) -> MeshfleetError:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, MeshfleetError)
    return first


def _simulated(nodes: int, run: int) -> Point:
    """In a fresh process: memory that another fleet has left behind would count."""
    order = msgspec.json.encode(Order(nodes, run)).decode()
    command = [sys.executable, "-m", "meshfleet.cli.growth.simulated", order]
    # In a session of its own: a Ctrl-C is for this process, which ends that one.
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, start_new_session=True)
    if done.returncode:
        raise MeshfleetError(f"the simulation of {nodes} nodes ended with {done.returncode}; its error is above.")
    return msgspec.json.decode(done.stdout, type=Point)


def of_real(result: Result, run: int, seconds: float) -> Point:
    """What `bench mesh` measured, in the terms of both kinds."""
    idle, load, crash = result.idle, result.load, result.crash
    noticed = Late(crash.p50_s, crash.p99_s, crash.max_s) if crash.seen else None
    return Point(
        kind="real",
        nodes=result.nodes,
        run=run,
        version=__version__,
        compiled=is_compiled(),
        update_every_s=pace(result.nodes),
        joined_s=result.join_s,
        window_s=seconds,
        idle_bytes_s=idle.bytes_per_s,
        idle_datagrams_s=idle.datagrams_per_s,
        idle_cpu_pct=idle.cpu_pct,
        load_bytes_s=load.bytes_per_s,
        load_datagrams_s=load.datagrams_per_s,
        load_cpu_pct=load.cpu_pct,
        least_times=load.bytes_over_minimum,
        copies=load.copies_per_snapshot,
        delivered_pct=load.delivered_pct,
        delay=Late(load.p50_s, load.p99_s, load.max_s),
        age=Late(load.age_shown_p50_s, load.age_shown_p99_s, load.age_shown_max_s),
        memory_mb=result.rss_mb.p50,
        crash=Death(noticed, 1, crash.due, crash.seen),
        host_gone=None,
        not_fresh=result.not_fresh,
    )


def failures(results: Results) -> list[str]:
    """Runs that show something that must not be."""
    return [
        f"{point.kind}, {point.nodes:,} nodes, run {point.run + 1}: {said}"
        for point in sorted(results.points, key=lambda p: (p.kind, p.nodes, p.run))
        for said in amiss(point)
    ]
