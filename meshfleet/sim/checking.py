"""What can be known to be wrong with a scenario before anything runs: names that mean nobody, and faults that
contradict each other.

A node has one life at a time: what ends or begins one (`crash`, `host_down`, `leave`, `move`, `join`) can't happen to
it while another has ended it. And one kind of fault can't hold the same node, or agent, twice at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.faults import (
    AgentExit,
    Chatter,
    Crash,
    Fault,
    HostDown,
    Join,
    Leave,
    Move,
    NicDown,
    OutboundOnly,
    Partition,
    Pause,
    Skew,
    Starve,
    Suspend,
)
from meshfleet.sim.scenario import Scenario, ScenarioError
from meshfleet.sim.selectors import Cast, newcomers

if TYPE_CHECKING:
    from collections.abc import Iterator

LIFE = (Crash, HostDown, Leave, Move, Join)


class Hold(msgspec.Struct, frozen=True):
    """That a fault holds somebody for a time."""

    name: str
    index: int
    fault: Fault
    begin: float
    end: float
    """Infinite where nothing undoes it."""

    def excludes(self, other: Hold) -> bool:
        """Whether both can't be."""
        if other.begin > self.end or self.begin > other.end:
            return False
        one, two = type(self.fault), type(other.fault)
        return one is two or (one in (*LIFE, Suspend) and two in (*LIFE, Suspend))

    @property
    def words(self) -> str:
        """Which fault, and when."""
        kind = type(self.fault).__struct_config__.tag
        end = "the end" if self.end == float("inf") else f"{self.end:g}"
        return f"fault[{self.index}] ({kind}, {self.begin:g} to {end})"


def check(scenario: Scenario, cast: Cast) -> None:
    """ScenarioError for the first thing that is wrong."""
    holds: dict[str, list[Hold]] = {}
    for i, fault in enumerate(scenario.fault):
        for hold in _holds(scenario, cast, i, fault):
            for other in holds.setdefault(hold.name, []):
                if hold.excludes(other):
                    raise ScenarioError(
                        f"fault[{i}]: {hold.name} can't be in it, for {other.words} holds it at that time. "
                        "Let one end before the other begins."
                    )
            holds[hold.name].append(hold)
    for i, expect in enumerate(scenario.expect):
        observers = cast.nodes_of(expect.observers, f"expect[{i}].observers")
        subjects = cast.select(expect.subjects, f"expect[{i}].subjects") if expect.subjects else ()
        if subjects and not any(subject.partition("/")[0] != by for by in observers for subject in subjects):
            raise ScenarioError(f"expect[{i}].subjects: {subjects[0]} is the observer; nobody is asked about himself.")
    for i, pace in enumerate(scenario.pace):
        cast.agents_of(pace.agents, f"pace[{i}].agents")


def _holds(scenario: Scenario, cast: Cast, i: int, fault: Fault) -> Iterator[Hold]:
    end = float("inf") if fault.until is None else fault.until
    begin = fault.at
    names: tuple[str, ...] = ()
    match fault:
        case Crash() | Leave() | Pause() | NicDown() | OutboundOnly() | Starve() | Skew():
            names = cast.nodes_of(fault.nodes, f"fault[{i}].nodes")
        case Move():
            names, end = cast.nodes_of(fault.nodes, f"fault[{i}].nodes"), begin
            if fault.reused_by in cast.nodes:
                raise ScenarioError(f"fault[{i}].reused_by: {fault.reused_by} is of this fleet; name another fleet.")
        case HostDown() | Suspend():
            names = cast.machines(fault.nodes, fault.hosts, f"fault[{i}]")
        case Join():
            names = tuple(f"n{number:03}" for number in newcomers(scenario)[i])
            begin, end = 0.0, fault.at
        case AgentExit() | Chatter():
            names = cast.agents_of(fault.agents, f"fault[{i}].agents")
        case Partition():
            seen: dict[str, int] = {}
            for k, group in enumerate(fault.groups):
                for name in cast.nodes_of(group, f"fault[{i}].groups[{k}]"):
                    if name in seen:
                        raise ScenarioError(f"fault[{i}].groups: {name} is in two of them, {seen[name]} and {k}.")
                    seen[name] = k
        case _:
            cast.nodes_of(fault.source, f"fault[{i}].from")
            cast.nodes_of(fault.target, f"fault[{i}].to")
    for name in names:
        yield Hold(name, i, fault, begin, end)
