"""Whom a scenario means: globs over names, `zone:NAME`, `host:NAME`, `*`, and `!` to take away from the list before."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from meshfleet.sim.faults import Join
from meshfleet.sim.mistakes import nearest
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
        """Who is meant, nodes and agents, in order of name. ScenarioError for a pattern that means nobody, and for
        patterns of which nobody is left."""
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
        if patterns and not chosen:
            raise ScenarioError(f"{path}: nobody is left of {', '.join(patterns)}. What `!` takes away comes last.")
        return tuple(sorted(chosen))

    def nodes_of(self, patterns: tuple[str, ...], path: str) -> tuple[str, ...]:
        """Which nodes are meant. ScenarioError where agents are named."""
        for pattern in patterns:
            if "/" in pattern:
                node = pattern.partition("/")[0]
                raise ScenarioError(f"{path}: {pattern!r} names agents; nodes are meant here; the nearest is {node!r}.")
        return self.select(patterns, path)

    def agents_of(self, patterns: tuple[str, ...], path: str) -> tuple[str, ...]:
        """Which agents are meant. ScenarioError where nodes are named."""
        for pattern in patterns:
            if "/" not in pattern:
                raise ScenarioError(
                    f"{path}: {pattern!r} names nodes; agents are meant here; the nearest is {pattern + '/*'!r}."
                )
        return self.select(patterns, path)

    def machines(self, nodes: tuple[str, ...], hosts: tuple[str, ...], path: str) -> tuple[str, ...]:
        """All nodes on the machines that are meant, by their names or by those of nodes on them."""
        if not nodes and not hosts:
            raise ScenarioError(f"{path}: whose host? Give hosts or nodes.")
        known = sorted(set(self.hosts.values()))
        named = {self.hosts[node] for node in self.nodes_of(nodes, f"{path}.nodes")}
        for host in hosts:
            if host not in known:
                raise ScenarioError(f"{path}.hosts: {host!r} matches nobody{nearest(host, known)}.")
            named.add(host)
        return tuple(node for node in self.nodes if self.hosts[node] in named)

    def _match(self, pattern: str) -> list[str]:
        kind, colon, name = pattern.partition(":")
        if colon and kind == "zone":
            return [node for node in self.nodes if self.zones.get(node) == name]
        if colon and kind == "host":
            return [node for node in self.nodes if self.hosts[node] == name]
        among = self.agents if "/" in pattern else self.nodes
        return [name for name in among if fnmatchcase(name, pattern)]

    def _near(self, pattern: str) -> str:
        if "/" in pattern and not self.agents:
            return ": the fleet has no agents"
        known = [
            *(self.agents if "/" in pattern else self.nodes),
            *(f"zone:{z}" for z in self.zones.values()),
            *(f"host:{h}" for h in self.hosts.values()),
        ]
        return nearest(pattern, sorted(set(known)))


def newcomers(scenario: Scenario) -> dict[int, range]:
    """Which nodes each `join` starts, by the fault's place in the file: the next numbers, in the file's order."""
    found, number = {}, scenario.fleet.nodes
    for i, fault in enumerate(scenario.fault):
        if isinstance(fault, Join):
            found[i] = range(number, number + fault.count)
            number += fault.count
    return found


def cast(scenario: Scenario) -> Cast:
    """Everybody who plays, those who join later included."""
    fleet = scenario.fleet
    joining = sum(len(numbers) for numbers in newcomers(scenario).values())
    nodes = tuple(f"n{i:03}" for i in range(fleet.nodes + joining))
    agents = tuple(f"{node}/a{i}" for node in nodes for i in range(fleet.agents_per_node))
    bare = Cast(nodes, agents, {}, {})
    zones: dict[str, str] = {}
    hosts = {node: f"h-{node}" for node in nodes}
    for kind, groups, into in (("zones", fleet.zones, zones), ("hosts", fleet.hosts, hosts)):
        seen: dict[str, str] = {}
        for name, patterns in groups.items():
            for node in bare.nodes_of(patterns, f"fleet.{kind}.{name}"):
                if node in seen:
                    raise ScenarioError(
                        f"fleet.{kind}.{name}: {node} is in {seen[node]} as well. One is all it can be in."
                    )
                seen[node] = into[node] = name
    return Cast(nodes, agents, zones, hosts)
