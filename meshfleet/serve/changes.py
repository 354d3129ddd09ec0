"""What has changed since any earlier look: the newest of each node and agent, and at which look it became so.

That is all that is kept, so a reader that was away for long costs no more than one that was not: it gets each node and
agent that changed meanwhile once, as it is now (a "list then watch", as Kubernetes' informers do it, without a log).
Only who disappeared is kept as a list, bounded: who comes from before its begin needs the whole view anew.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from meshfleet.client.change import Change, has_own_age, is_seen_later, same_agent, same_node, same_server, same_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshfleet.fleet.names import AgentId, NodeName
    from meshfleet.fleet.view import AgentView, FleetView, NodeView

GONE_LIMIT = 1024
"""Nodes and agents that disappeared and are remembered. 256 agents of one node may go at once."""

_View = TypeVar("_View", "NodeView", "AgentView")


class _Entry(Generic[_View]):
    """A node or an agent as it was at the last look."""

    __slots__ = ("changed", "seen", "view")

    def __init__(self, view: _View, number: int) -> None:
        self.view: _View = view
        self.changed = number
        """The look at which it became so."""
        self.seen = number
        """The look at which it had been heard of later."""


class Changes:
    """The newest view, and how new each part of it is. Looks are numbered."""

    def __init__(self) -> None:
        self.number = 0
        """Of the last look that found something new."""
        self._view: FleetView | None = None
        self._nodes: dict[NodeName, _Entry[NodeView]] = {}
        self._agents: dict[AgentId, _Entry[AgentView]] = {}
        self._gone: deque[tuple[int, NodeName | None, AgentId | None]] = deque()
        self._forgot = 0
        """The look up to which those that disappeared are no longer all known."""
        self._totals = 0
        self._attention = 0
        self._zones = 0

    def look(self, view: FleetView) -> bool:
        """Take the view in; whether anything of it is new, be it that somebody was heard of."""
        if view is self._view:
            return False
        before, self._view = self._view, view
        number = self.number + 1
        news = before is None or not same_server(before.served_by, view.served_by)
        if before is None or before.totals != view.totals:
            self._totals, news = number, True
        if before is None or before.attention != view.attention:
            self._attention, news = number, True
        if before is None or not same_zones(before.zones, view.zones):
            self._zones, news = number, True
        news |= self._take_nodes(view, number)
        news |= self._take_agents(view, number)
        if news:
            self.number = number
        return news

    def since(self, number: int) -> Change | None:
        """All that changed after that look; None where that is not known any more, or never was."""
        view = self._view
        if view is None or not self._forgot <= number <= self.number:
            return None
        return Change(
            version=view.version,
            now=view.now,
            served_by=view.served_by,
            nodes=tuple(entry.view for entry in self._nodes.values() if entry.changed > number),
            agents=tuple(entry.view for entry in self._agents.values() if entry.changed > number),
            gone_nodes=tuple({n: 0 for at, n, _ in self._gone if at > number and n and n not in self._nodes}),
            gone_agents=tuple({a: 0 for at, _, a in self._gone if at > number and a and a not in self._agents}),
            seen={
                name: entry.view.last_seen
                for name, entry in self._nodes.items()
                if entry.seen > number >= entry.changed and entry.view.last_seen is not None
            },
            seen_agents={
                name: entry.view.last_seen
                for name, entry in self._agents.items()
                if entry.seen > number >= entry.changed and entry.view.last_seen is not None
            },
            totals=view.totals if self._totals > number else None,
            attention=view.attention if self._attention > number else None,
            zones=view.zones if self._zones > number else None,
        )

    def _take_nodes(self, view: FleetView, number: int) -> bool:
        news = _take(self._nodes, ((node.name, node) for node in view.nodes), same_node, number, self._node_gone)
        for node in view.nodes:
            entry = self._nodes[node.name]
            if entry.changed == number or node.name == view.served_by.node:
                continue
            if is_seen_later(entry.view.last_seen, node.last_seen):  # else the older time stays: steps may be small
                entry.view, entry.seen, news = node, number, True
        return news

    def _take_agents(self, view: FleetView, number: int) -> bool:
        told = ((agent.agent_id, agent) for agent in view.agents)
        news = _take(self._agents, told, same_agent, number, self._agent_gone)
        for agent in view.agents:
            if not has_own_age(agent, view.served_by.node):
                continue
            entry = self._agents[agent.agent_id]
            if entry.changed != number and is_seen_later(entry.view.last_seen, agent.last_seen):
                entry.view, entry.seen, news = agent, number, True
        return news

    def _node_gone(self, name: NodeName, number: int) -> None:
        self._remember_gone((number, name, None))

    def _agent_gone(self, name: AgentId, number: int) -> None:
        self._remember_gone((number, None, name))

    def _remember_gone(self, gone: tuple[int, NodeName | None, AgentId | None]) -> None:
        self._gone.append(gone)
        if len(self._gone) > GONE_LIMIT:
            self._forgot = self._gone.popleft()[0]


_Name = TypeVar("_Name", "NodeName", "AgentId")


def _take(
    known: dict[_Name, _Entry[_View]],
    told: Iterable[tuple[_Name, _View]],
    same: Callable[[_View, _View], bool],
    number: int,
    gone: Callable[[_Name, int], None],
) -> bool:
    """Put the views of one kind into `known`; whether any is new, another, or gone."""
    news = False
    there = set()
    for name, view in told:
        there.add(name)
        entry = known.get(name)
        if entry is None:
            known[name], news = _Entry(view, number), True
        elif not same(entry.view, view):
            entry.view, entry.changed, news = view, number, True
    for name in [name for name in known if name not in there]:
        del known[name]
        gone(name, number)
        news = True
    return news
