"""The fleet in one line, for a prompt or a status bar: what needs somebody, and nothing that does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from meshfleet import plain
from meshfleet.cli import showing
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from meshfleet.fleet.view import FleetView

_BUSY = (Status.STARTING, Status.WORKING, Status.TOOL)
_NEEDY = (Status.WAITING, Status.ERROR, Status.RATE_LIMITED)


def one_line(view: FleetView) -> str:
    """`9 agents, 5 busy, 2 waiting, 1 unreachable, 1 node down, $21.93`; first how the node stands, if not well."""
    said: list[str] = []
    if view.served_by.standing is not Standing.CONNECTED:
        said.append(f"{view.served_by.node} {view.served_by.standing.value}")
    heard = [agent for agent in view.agents if agent.presence in (Presence.FRESH, Presence.STALE)]
    statuses = Counter(agent.state.status for agent in heard)
    said.append(f"{len(view.agents)} agent{'' if len(view.agents) == 1 else 's'}")
    busy = sum(statuses[status] for status in _BUSY)
    said += [f"{busy} busy"] if busy else []
    said += [f"{statuses[status]} {status.value.replace('_', ' ')}" for status in _NEEDY if statuses[status]]
    agents = Counter(agent.presence for agent in view.agents)
    nodes = Counter(node.presence for node in view.nodes)
    for presence in (Presence.STALE, Presence.UNREACHABLE, Presence.DOWN):
        if agents[presence]:
            said.append(f"{agents[presence]} {presence.value}")
        if nodes[presence]:
            said.append(f"{nodes[presence]} node{'' if nodes[presence] == 1 else 's'} {presence.value}")
    if view.totals.cost_usd is not None:
        said.append(showing.money(view.totals.cost_usd))
    return plain.one_line(", ".join(said))
