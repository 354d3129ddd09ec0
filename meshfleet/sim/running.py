"""Runs one scenario on a world, and adds up what came of it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshfleet import __version__
from meshfleet.fleet.presence import Presence
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.expect import Held, check
from meshfleet.sim.faults import BODY, Starve
from meshfleet.sim.invariants import Broken, Guard
from meshfleet.sim.liveness import (
    Latest,
    amiss,
    claims_taken_before,
    lives_taken_before,
    missed,
    snapshots_taken_before,
)
from meshfleet.sim.marks import SUSPICIOUS, Marks, Overheard
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.paces import Paces, PaceTold
from meshfleet.sim.queueing import Capacity
from meshfleet.sim.scenario import Scenario, ScenarioError
from meshfleet.sim.score import Score, shares
from meshfleet.sim.staging import Stage
from meshfleet.sim.truth import Truth
from meshfleet.sim.views import Views, wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.rules import Rules
    from meshfleet.sim.record import Record
    from meshfleet.sim.stack import StackWorld
    from meshfleet.sim.world import Watcher, World

STEPS = 100
"""In how many steps a run tells how far it is."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed; docs/simulator.md explains each field."""

    scenario: str
    seed: int
    version: str
    mode: str
    detector: str
    ok: bool
    trace_sha256: str
    virtual_s: float
    wall_s: float
    events: int
    false_down: int
    presumed_wrong: int
    missed_down: int
    detect_s: dict[str, dict[str, float | None]]
    spread_s: dict[str, float | None]
    cost: dict[str, float]
    confusion: dict[str, dict[str, float]]
    expect: tuple[Held, ...]
    pace: tuple[PaceTold, ...] = ()
    """What came of each expectation of pace."""
    details: tuple[str, ...] = ()
    broken: str = ""
    """The invariant that broke, and ended the run: when, who, of whom, what."""
    liveness: tuple[str, ...] = ()
    """What had not come about in the healed core."""
    marks: dict[str, int] = {}
    """What of the mesh the run exercised."""

    @property
    def showed_nothing(self) -> bool:
        """Whether nothing was put to the test: no expectation, and nothing went wrong."""
        return self.ok and not (self.expect or self.pace) and not any(mark in self.marks for mark in SUSPICIOUS)


class Run:
    """One scenario, one seed. A `record` remembers what a picture needs. `rules` judge instead of those of the
    scenario's detector; `world` is what core mode is played on."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        record: Record | None = None,
        rules: Rules | None = None,
        world: type[Overheard] = Overheard,
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._stage = Stage(scenario, seed)
        timing = scenario.patience()
        self.score = Score(timing)
        self.score.views = Views(wanted(scenario.expect, self._stage.cast))
        end_us = round(scenario.duration * MICROSECONDS)
        self._paces = Paces(scenario.pace, self._stage.cast, end_us)
        self.score.paces = self._paces if scenario.pace else None
        self._marks = Marks()
        guard = Guard(self.score, self._marks)
        watcher = guard if record is None else record.beside(guard)
        self.world = self._world(timing, watcher, rules, world)
        self.score.attach(self.world)
        guard.attach(self.world, len(self._stage.cast.nodes))
        if record is not None:
            record.attach(self.world)
        self._stage.set_on(self.world)
        self._paces.attach(self.world)

    def _world(
        self, timing: Timing, watcher: Watcher, rules: Rules | None, world: type[Overheard]
    ) -> World | StackWorld:
        """The world that plays it."""
        scenario = self._scenario
        if scenario.mode == "core":
            made = world(self._stage.network, timing, rules or DETECTORS[scenario.detector], str(self._seed), watcher)
            made.marks = self._marks
            return made
        if scenario.detector != "meshfleet":
            raise ScenarioError(
                f"{scenario.name}: the detector {scenario.detector!r} is there for comparison in mode 'core'; "
                "the nodes of mode 'stack' judge by meshfleet's rules alone."
            )
        if Capacity.of(scenario.fleet) is not None:
            raise ScenarioError(
                f"{scenario.name}: fleet.bandwidth and fleet.packet_cost are of core mode; in mode 'stack' leave them "
                "out: there a node takes the time that it takes."
            )
        for i, fault in enumerate(scenario.fault):
            if isinstance(fault, Starve) and fault.packets is not None:
                raise ScenarioError(
                    f"{scenario.name}: fault[{i}].packets counts what core mode's kernel hands over; in mode 'stack' "
                    "leave it out: there a starved process reads as much as its slice allows."
                )
        from meshfleet.sim.stack import StackWorld

        return StackWorld(self._stage.network, timing, str(self._seed), watcher)

    def run(self, wall: float = 0.0, *, say: Callable[[float], None] | None = None) -> Report:
        """Let it happen. `wall` is filled in by who has a clock; `say` is told how many virtual seconds have passed."""
        end_us = round(self._scenario.duration * MICROSECONDS)
        steps = 0 if say is None else STEPS
        for step in range(steps):
            self.world.at(end_us * step // STEPS, self._tell, say)
        broken = ""
        live: list[str] = []
        dead: list[str] = []
        try:
            live, dead = self._play(end_us)
        except Exception as error:  # whatever the core raises, it must not
            broken = _told(error) or f"{self.world.now_us / MICROSECONDS:.3f} s: raised {_where(error)}"
        late = self.score.finish(self.world.now_us)
        missed = late if self._scenario.liveness is None else len(dead)
        held = tuple(
            check(i, expect, self._stage.cast, self.score, self._stage.silent, end_us)
            for i, expect in enumerate(self._scenario.expect)
        )
        score, plan, paces = self.score, self._scenario, self._paces.told()
        return Report(
            scenario=plan.name,
            seed=self._seed,
            version=__version__,
            mode=plan.mode,
            detector=plan.detector,
            ok=not (broken or live)
            and all(h.ok for h in held)
            and all(p.ok for p in paces)
            and not (plan.detector == "meshfleet" and (score.false_down or missed)),
            trace_sha256=self.world.trace.hexdigest(),
            virtual_s=plan.duration,
            wall_s=wall,
            events=self.world.events - steps,
            false_down=score.false_down,
            presumed_wrong=score.presumed_wrong,
            missed_down=missed,
            detect_s={kind: _latencies(list(seen.values())) for kind, seen in score.seen.items()},
            spread_s=shares(score.spread_s),
            cost=self._cost(),
            confusion=_table(score),
            expect=held,
            pace=paces,
            details=(*score.details, *dead[:20]),
            broken=broken,
            liveness=tuple(live[:20]),
            marks=self._marks.total(),
        )

    def _play(self, end_us: int) -> tuple[list[str], list[str]]:
        """Let it happen to the end; what is amiss then in a healed core, and which deaths it has missed."""
        plan = self._scenario.liveness
        if plan is None:
            self.world.run(end_us)
            return [], []
        core = [self.world.hosts[int(name[1:])] for name in self._stage.cast.select(plan.core, "liveness.core")]
        timing = self._scenario.patience()
        latest = Latest(timing)
        for take, before in (
            (latest.take_claims, claims_taken_before(timing)),
            (latest.take_lives, lives_taken_before(timing)),
            (latest.take_snapshots, snapshots_taken_before(timing)),
        ):
            self.world.at(max(round(plan.start * MICROSECONDS), end_us - round(before * MICROSECONDS)), take, core)
        self.world.run(end_us)
        wrong = [*amiss(plan, latest.core, self.world, self.score, timing), *latest.missing()]
        return wrong, list(missed(plan, latest.core, self.world, self.score))

    def _tell(self, say: Callable[[float], None]) -> None:
        say(self.world.now_us / MICROSECONDS)

    def _cost(self) -> dict[str, float]:
        world, plan = self.world, self._scenario
        nodes, seconds = plan.fleet.nodes, plan.duration
        sent = sum(world.bytes_sent.values()) / nodes / seconds
        agents = plan.fleet.nodes * plan.fleet.agents_per_node
        least = max(1.0, (nodes - 1) / nodes * agents * BODY / plan.fleet.update_every)
        copies = sum(h.member.counts["snapshots_in"] for h in world.hosts if h.member is not None)
        return {
            "bytes_per_node_s": round(sent, 1),
            "datagrams_per_node_s": round(sum(world.datagrams_sent.values()) / nodes / seconds, 2),
            "copies_per_snapshot": round(copies / max(1, self.score.arrived), 3),
            "bytes_over_minimum": round(sent / least, 3),
        }


def _told(error: Exception) -> str:
    """What the invariant says that broke, maybe within Trio's group of errors; nothing if it was none."""
    if isinstance(error, ExceptionGroup):
        return next(filter(None, map(_told, error.exceptions)), "")
    return str(error) if isinstance(error, Broken) else ""


def _where(error: Exception) -> str:
    """An error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _latencies(deaths: list[list[float]]) -> dict[str, float | None]:
    first, last = shares([min(seen) for seen in deaths]), shares([max(seen) for seen in deaths])
    return {"first_p50": first["p50"], "first_p99": first["p99"], "last_p50": last["p50"], "last_p99": last["p99"]}


def _table(score: Score) -> dict[str, dict[str, float]]:
    return {
        truth.value: {
            said.value: round(score.confusion_us[truth.value, said.value] / MICROSECONDS, 1) for said in Presence
        }
        for truth in Truth
    }
