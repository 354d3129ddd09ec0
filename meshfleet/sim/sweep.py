"""Many seeds of many plans, run by whatever Executor there is, and what they come to together.

A run is a pure function of its job, so it does not matter where it runs: in this process, in a pool of processes
(spawned, so that nothing is inherited by chance), or on a cluster whose client has an Executor, as Dask's does.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TYPE_CHECKING, Literal

import msgspec

from meshfleet.sim.marks import MARKS
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import Scenario
from meshfleet.sim.swarm import SWARM, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Word = Literal["ok", "failed", "unknown"]

ENOUGH = 200
"""Swarm seeds from which on a mark that was never hit means that the plans miss something, and not that few ran."""

AHEAD = 4
"""Jobs handed out for each worker before the first is done: more would only delay an interrupt."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One seed of one plan. Without a scenario the seed draws the plan too."""

    name: str
    """What `sim run` calls the plan: a file, a name of the catalogue."""
    seed: int
    scenario: Scenario | None = None
    detector: str | None = None

    @property
    def plan(self) -> Scenario:
        """What is run."""
        plan = draw(self.seed) if self.scenario is None else self.scenario
        return altered(plan, detector=self.detector)

    @property
    def replay(self) -> str:
        """The command that shows this run again."""
        seed = "" if self.scenario is None else f" --seed {self.seed}"
        chosen = "" if self.detector is None else f" --detector {self.detector}"
        return f"meshfleet sim run {self.name}{seed}{chosen}"


def swarm_jobs(seeds: range, detector: str | None = None) -> Iterator[Job]:
    """A drawn plan for each seed."""
    return (Job(name=f"{SWARM}{seed}", seed=seed, detector=detector) for seed in seeds)


def file_jobs(plans: dict[str, Scenario], seeds: range, detector: str | None = None) -> Iterator[Job]:
    """Each of `plans`, by what `sim run` calls it, with each seed."""
    for seed in seeds:
        for name, scenario in plans.items():
            yield Job(name=name, seed=seed, scenario=scenario, detector=detector)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to."""

    name: str
    seed: int
    word: Word
    why: tuple[str, ...] = ()
    false_down: int = 0
    presumed_wrong: int = 0
    missed_down: int = 0
    detect_s: dict[str, list[float]] = {}
    """Kind of death -> seconds until the last observer said down, for each death."""
    spread_s: dict[float, int] = {}
    """Seconds, to two digits -> snapshots that took so long."""
    spread_max_s: float = 0.0
    bytes_sent: int = 0
    node_seconds: float = 0.0
    wall_s: float = 0.0
    marks: dict[str, int] = {}


class Sum(msgspec.Struct, kw_only=True):
    """What many runs came to. Adding up takes them in any order."""

    runs: int = 0
    words: Counter[str] = msgspec.field(default_factory=Counter)
    false_down: int = 0
    presumed_wrong: int = 0
    missed_down: int = 0
    detect_s: dict[str, list[float]] = msgspec.field(default_factory=dict)
    spread_s: Counter[float] = msgspec.field(default_factory=Counter)
    spread_max_s: float = 0.0
    bytes_sent: int = 0
    node_seconds: float = 0.0
    wall_s: float = 0.0
    """Of all runs together, wherever they ran."""
    marks: Counter[str] = msgspec.field(default_factory=Counter)
    swarm: int = 0
    """How many of the runs were drawn."""
    failures: list[tuple[Job, Result]] = msgspec.field(default_factory=list)
    interrupted: bool = False

    def add(self, job: Job, result: Result) -> None:
        """Count one more."""
        self.runs += 1
        self.words[result.word] += 1
        self.false_down += result.false_down
        self.presumed_wrong += result.presumed_wrong
        self.missed_down += result.missed_down
        for kind, seconds in result.detect_s.items():
            self.detect_s.setdefault(kind, []).extend(seconds)
        self.spread_s.update(result.spread_s)
        self.spread_max_s = max(self.spread_max_s, result.spread_max_s)
        self.bytes_sent += result.bytes_sent
        self.node_seconds += result.node_seconds
        self.wall_s += result.wall_s
        self.marks.update(result.marks)
        self.swarm += job.scenario is None
        if result.word == "failed":
            self.failures.append((job, result))
            self.failures.sort(key=lambda failure: (failure[0].name, failure[0].seed))

    @property
    def unmarked(self) -> list[str]:
        """Marks that no drawn plan hit, where enough were drawn for that to mean something."""
        return [mark for mark in MARKS if not self.marks[mark]] if self.swarm >= ENOUGH else []

    @property
    def ok(self) -> bool:
        """Whether everything held. A sweep that put nothing to the test has shown nothing."""
        return not self.failures and not self.unmarked and self.words["ok"] > 0

    def spread(self, share: float) -> float | None:
        """Seconds within which this share of all snapshots arrived."""
        left = share * sum(self.spread_s.values())
        for seconds in sorted(self.spread_s):
            left -= self.spread_s[seconds]
            if left <= 0:
                return seconds
        return None


def altered(scenario: Scenario, *, detector: str | None = None, mode: str | None = None) -> Scenario:
    """The same plan, judged by another detector or played in another mode."""
    instead = {key: word for key, word in (("detector", detector), ("mode", mode)) if word is not None}
    return msgspec.convert({**msgspec.to_builtins(scenario), **instead}, Scenario) if instead else scenario


def play(job: Job) -> Result:
    """Run one job, wherever this is called."""
    began = time.perf_counter()
    plan = job.plan
    run = Run(plan, job.seed)
    report = run.run()
    why = [report.broken] if report.broken else []
    why += [*(held.detail for held in report.expect if not held.ok), *report.liveness, *report.details]
    return Result(
        name=job.name,
        seed=job.seed,
        word="unknown" if report.showed_nothing else "ok" if report.ok else "failed",
        why=() if report.ok else tuple(why[:5]),
        false_down=report.false_down,
        presumed_wrong=report.presumed_wrong,
        missed_down=report.missed_down,
        detect_s={kind: [max(each) for each in seen.values()] for kind, seen in run.score.seen.items() if seen},
        spread_s=Counter(float(f"{seconds:.1e}") for seconds in run.score.spread_s),
        spread_max_s=max(run.score.spread_s, default=0.0),
        bytes_sent=sum(run.world.bytes_sent.values()),
        node_seconds=plan.duration * len(run.world.hosts),
        wall_s=time.perf_counter() - began,
        marks=report.marks,
    )


def sweep(
    jobs: Iterable[Job],
    executor: Executor | None = None,
    *,
    workers: int | None = None,
    done: Callable[[Sum], None] | None = None,
) -> Sum:
    """Run all of `jobs` on `executor`, which has about so many workers, and add up; `done` is told after each.

    Without an executor they run in processes of this machine, one for each core unless `workers` says otherwise. An
    interrupt ends it with what is there by then. An error in a job is raised here: runs count what breaks in them, so
    it is one of the plan or of the program.
    """
    workers = workers or os.cpu_count() or 1
    if executor is None:
        own = processes(workers)
        try:
            return sweep(jobs, own, workers=workers, done=done)
        finally:
            own.shutdown(wait=False, cancel_futures=True)
    total, waiting = Sum(), iter(jobs)
    under_way: dict[Future[Result], Job] = {}
    most = AHEAD * workers if workers > 1 else 1
    try:
        _hand_out(waiting, executor, under_way, most)
        while under_way:
            ready, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in [future for future in under_way if future in ready]:
                total.add(under_way.pop(future), future.result())
                if done is not None:
                    done(total)
            _hand_out(waiting, executor, under_way, most)
    except KeyboardInterrupt:
        total.interrupted = True
    finally:
        for future in under_way:
            future.cancel()
    return total


def _hand_out(jobs: Iterator[Job], executor: Executor, under_way: dict[Future[Result], Job], most: int) -> None:
    while len(under_way) < most and (job := next(jobs, None)) is not None:
        under_way[executor.submit(play, job)] = job


def processes(workers: int) -> Executor:
    """A pool of fresh processes; with one worker this very process."""
    if workers == 1:
        return Here()
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Ctrl-C reaches all processes of a terminal: workers end at once and silently, whoever waits for them tells."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Here(Executor):
    """Runs each job when it is handed in."""

    def submit(self, fn: Callable[..., Result], /, *args: object, **kwargs: object) -> Future[Result]:  # type: ignore[override]  # Executor's own is generic; here it is always play
        """Run it now. What it raises, the future holds; an interrupt goes through."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
