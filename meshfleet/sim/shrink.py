"""The smallest plan that still fails in the same way, found by trying: greedy delta debugging (Zeller and Hildebrandt,
2002), with the moves that a plan has.

Deterministic: a plan, its seed and this version always shrink to the same. What is smaller need not fail for the
same reason; it is held to the same kind of failure, which most often is the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.altering import ending, explicit, joining, narrower, without_nodes
from meshfleet.sim.faults import Delay, Join
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import NetworkPlan, Scenario, ScenarioError
from meshfleet.sim.writing import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshfleet.gossip.rules import Rules

TRIES = 400
"""Runs that a shrinking may take. What it has by then is what it gives."""


class NothingToShrink(ScenarioError):
    """The plan does not fail."""


def kind_of(report: Report) -> str:
    """In which way a run failed, without names and numbers; empty where it held."""
    if report.broken:
        return "broken: " + re.sub(r"n\d+(/a\d+)?|[\d.]+", "#", report.broken)
    if report.detector == "meshfleet" and report.false_down:
        return "false_down"
    failed = [held.index for held in report.expect if not held.ok]
    if failed:
        return "expect"
    if report.liveness:
        return "liveness"
    return "missed_down" if report.detector == "meshfleet" and report.missed_down else ""


def shrink(
    plan: Scenario,
    seed: int,
    *,
    rules: Rules | None = None,
    tries: int = TRIES,
    said: Callable[[int, Scenario], None] | None = None,
) -> tuple[Scenario, str]:
    """The smallest plan found, and in which way it fails. `said` is told of each smaller one, with the runs so far."""
    return _Shrinking(plan, seed, rules, tries, said).result()


class _Shrinking:
    def __init__(
        self,
        plan: Scenario,
        seed: int,
        rules: Rules | None,
        tries: int,
        said: Callable[[int, Scenario], None] | None,
    ) -> None:
        self._seed, self._rules, self._left, self._tries, self._said = seed, rules, tries, tries, said
        self._known: set[str] = set()
        self._plan = msgspec.structs.replace(explicit(plan), seed=seed)
        self._report = Run(self._plan, seed, rules=rules).run()
        self._kind = kind_of(self._report)
        if not self._kind:
            raise NothingToShrink(f"{plan.name} with seed {seed} holds: there is nothing to make smaller.")

    def result(self) -> tuple[Scenario, str]:
        """Try every move until none helps any more. The end comes nearer last: what is simpler may fail later."""
        self._sooner(4 * self._plan.patience().heartbeat)
        while self._left:
            before = to_toml(self._plan)
            for moves in (self._fewer_faults, self._fewer_nodes, self._simpler, self._narrower):
                moves()
            if to_toml(self._plan) == before:
                break
        self._sooner(0.1)
        return self._plan, self._kind

    def _try(self, smaller: Scenario) -> bool:
        """Whether a smaller plan fails in the same way. Then it takes the place of the larger."""
        text = to_toml(smaller)
        if not self._left or text in self._known:
            return False
        self._known.add(text)
        self._left -= 1
        try:
            report = Run(smaller, self._seed, rules=self._rules).run()
        except ScenarioError:
            return False
        if kind_of(report) != self._kind:
            return False
        self._plan, self._report = smaller, report
        if self._said is not None:
            self._said(self._tries - self._left, smaller)
        return True

    def _sooner(self, spare: float) -> None:
        """End so many seconds after the failure was first seen."""
        seen = [self._report.broken, *self._report.details, *(held.detail for held in self._report.expect)]
        times = [float(found[1]) for text in seen if (found := re.search(r"(?:^|at )(\d+\.\d+) s", text))]
        if times and min(times) + spare < self._plan.duration:
            self._try(ending(self._plan, round(min(times) + spare, 1)))

    def _fewer_faults(self) -> None:
        """Without half of them, a quarter, one."""
        size = max(1, len(self._plan.fault) // 2)
        while size:
            start = 0
            while start < len(self._plan.fault):
                faults = self._plan.fault
                if not self._try(self._without_faults(start, start + size)) or self._plan.fault == faults:
                    start += size
            size //= 2

    def _without_faults(self, start: int, end: int) -> Scenario:
        """Without some; who would have joined by one of them does not play at all."""
        plan = self._plan
        smaller = msgspec.structs.replace(plan, fault=plan.fault[:start] + plan.fault[end:])
        fewer = joining(plan) - joining(smaller)
        if fewer:
            last = plan.fleet.nodes + joining(plan)
            return without_nodes(_but_joins(plan, start, end), frozenset(f"n{i:03}" for i in range(last - fewer, last)))
        return smaller

    def _fewer_nodes(self) -> None:
        number = self._plan.fleet.nodes + joining(self._plan) - 1
        while number >= 0 and self._plan.fleet.nodes > 2:
            self._try(without_nodes(self._plan, frozenset({f"n{number:03}"})))
            number -= 1

    def _simpler(self) -> None:
        """No losses, no zones, few agents, one expectation."""
        for smaller in self._simplifications():
            self._try(smaller)

    def _simplifications(self) -> Iterator[Scenario]:
        replace = msgspec.structs.replace
        yield replace(self._plan, network=NetworkPlan())
        quiet: dict[str, object] = {"loss": 0.0, "duplicate": 0.0, "reorder": 0.0, "between": (), "delay": Delay()}
        for field, least in quiet.items():
            yield replace(self._plan, network=replace(self._plan.network, **{field: least}))
        plain: tuple[tuple[str, object], ...] = (
            ("zones", {}), ("hosts", {}), ("agents_per_node", 0), ("agents_per_node", 1),
        )  # fmt: skip
        for field, least in plain:
            yield replace(self._plan, fleet=replace(self._plan.fleet, **{field: least}))
        for i in range(len(self._plan.expect)):
            if i < len(self._plan.expect):
                yield replace(self._plan, expect=self._plan.expect[:i] + self._plan.expect[i + 1 :])

    def _narrower(self) -> None:
        place = 0
        while place < len(self._plan.fault):
            faults = self._plan.fault
            for smaller in narrower(faults[place]):
                if self._try(
                    msgspec.structs.replace(self._plan, fault=(*faults[:place], smaller, *faults[place + 1 :]))
                ):
                    break
            else:
                place += 1


def _but_joins(plan: Scenario, start: int, end: int) -> Scenario:
    """Without some faults, but for those by which nodes join."""
    kept = [fault for i, fault in enumerate(plan.fault) if not start <= i < end or isinstance(fault, Join)]
    return msgspec.structs.replace(plan, fault=tuple(kept))
