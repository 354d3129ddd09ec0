"""Whom a scenario means: globs over names, `zone:NAME`, `host:NAME`, `*`, and `!` to take away from the list before."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase

import msgspec

from meshfleet.sim.scenario import Scenario, ScenarioError


class Cast(msgspec.Struct, frozen=True):
    """Everybody in a scenario, in order of name."""

    nodes: tuple[str, ...]
    agents: tuple[str, ...]
    zones: dict[str, str]
    """Zone of each node that has one."""
    hosts: dict[str, str]
    """Host of each node."""

    def select(self, patterns: tuple[str, ...], path: str) -> tuple[str, ...]:
        """Who is meant, in order of name. ScenarioError for a pattern that means nobody."""
        chosen: dict[str, None] = {}
        for pattern in patterns:
            taken = pattern.startswith("!")
            found = self._match(pattern.removeprefix("!"))
            if not found:
                raise ScenarioError(f"{path}: {pattern!r} matches nobody{self._near(pattern.removeprefix('!'))}.")
            for name in found:
                if taken:
                    chosen.pop(name, None)
                else:
                    chosen[name] = None
        return tuple(sorted(chosen))

    def _match(self, pattern: str) -> list[str]:
        kind, colon, name = pattern.partition(":")
        if colon and kind == "zone":
            return [node for node in self.nodes if self.zones.get(node) == name]
        if colon and kind == "host":
            return [node for node in self.nodes if self.hosts[node] == name]
        among = self.agents if "/" in pattern else self.nodes
        return [name for name in among if fnmatchcase(name, pattern)]

    def _near(self, pattern: str) -> str:
        known = [
            *self.nodes,
            *self.agents,
            *(f"zone:{z}" for z in self.zones.values()),
            *(f"host:{h}" for h in self.hosts.values()),
        ]
        near = get_close_matches(pattern, sorted(set(known)), n=1, cutoff=0.5)
        return f"; the nearest is {near[0]!r}" if near else ""


def cast(scenario: Scenario, joining: int = 0) -> Cast:
    """Everybody who plays, those who join later included."""
    fleet = scenario.fleet
    nodes = tuple(f"n{i:03}" for i in range(fleet.nodes + joining))
    agents = tuple(f"{node}/a{i}" for node in nodes for i in range(fleet.agents_per_node))
    bare = Cast(nodes, agents, {}, {})
    zones: dict[str, str] = {}
    hosts = {node: f"h-{node}" for node in nodes}
    for kind, groups, into in (("zones", fleet.zones, zones), ("hosts", fleet.hosts, hosts)):
        seen: dict[str, str] = {}
        for name, patterns in groups.items():
            for node in bare.select(patterns, f"fleet.{kind}.{name}"):
                if node in seen:
                    raise ScenarioError(
                        f"fleet.{kind}: {node} is in {seen[node]} and in {name}. One is all it can be in."
                    )
                seen[node] = into[node] = name
    return Cast(nodes, agents, zones, hosts)
