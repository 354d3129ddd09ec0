"""What differs between two views of one node: what streams tell after the first view, and how a reader puts it in.

Ages are left out, for they differ always. What makes them is told instead: when each node was heard of last. An agent
is as old as the node that carries it, and its news came by what its node's came by: that changes from one heartbeat to
the next, and 250 agents would be told anew each time. Those that a node asks over HTTP have a way of their own, and an
age of their own where the node that serves asks them itself, or where they fell silent.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from meshfleet.fleet.endpoint import Transport
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.notice import Notice
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.view import AgentView, FleetView, NodeView, ServedBy, Totals
from meshfleet.fleet.zone import ZoneView

SEEN = 0.15
"""Seconds by which a node must have been heard of later to be told of: heartbeats come 0.2 s apart at least, and the
two clocks that a time is made of are not read in the same moment."""

ASKED = frozenset(transport.value for transport in Transport)
"""What agents come by that a node asks over HTTP."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a view. Whatever is not in it is as it was."""

    version: str
    now: str
    served_by: ServedBy
    nodes: tuple[NodeView, ...] = ()
    """New ones, and those of which more changed than their age."""
    agents: tuple[AgentView, ...] = ()
    gone_nodes: tuple[NodeName, ...] = ()
    gone_agents: tuple[AgentId, ...] = ()
    seen: dict[NodeName, str] = {}
    """When nodes that are not among `nodes` were heard of last (RFC 3339): this holds for their agents as well."""
    seen_agents: dict[AgentId, str] = {}
    """The same of agents that are not among `agents` and have ages of their own."""
    totals: Totals | None = None
    attention: tuple[Notice, ...] | None = None
    zones: tuple[ZoneView, ...] | None = None
    """All of them, where more than an age changed in any."""


def same_zones(one: tuple[ZoneView, ...], two: tuple[ZoneView, ...]) -> bool:
    """Whether two views' other zones differ in nothing but ages."""
    if len(one) != len(two):
        return False
    return all(a == msgspec.structs.replace(b, age_s=a.age_s) for a, b in zip(one, two, strict=True))


def same_node(one: NodeView, two: NodeView) -> bool:
    """Whether they differ in nothing but ages. `since` is when the presence began, and moves only with it."""
    return one is two or msgspec.structs.replace(one, age_s=two.age_s, last_seen=two.last_seen, since=two.since) == two


def same_agent(one: AgentView, two: AgentView) -> bool:
    """The same of agents. Field by field, since a thousand of them are compared four times a second."""
    return (
        one.seq == two.seq
        and one.epoch == two.epoch
        and one.presence is two.presence
        and one.certainty is two.certainty
        and one.node == two.node
        and one.reasons == two.reasons
        and one.agent_id == two.agent_id
        and (one.transport == two.transport or not (one.transport in ASKED or two.transport in ASKED))
        and (one.state is two.state or one.state == two.state)
    )


def has_own_age(agent: AgentView, server: NodeName) -> bool:
    """Whether, in what `server` shows, it is as old as its last answer, and not as the node that carries it."""
    return agent.transport in ASKED and (agent.node == server or agent.presence is not Presence.FRESH)


def same_server(one: ServedBy, two: ServedBy) -> bool:
    """Whether the serving node stands as it did. How late its loop is differs always, and is told along."""
    return msgspec.structs.replace(one, loop_lag_ms=two.loop_lag_ms) == two


def is_seen_later(before: str | None, now: str | None) -> bool:
    """Whether a node was heard of between the two times."""
    if now is None or before == now:
        return False
    return before is None or _seconds(now) - _seconds(before) > SEEN


def applied(view: FleetView, change: Change) -> FleetView:
    """The view after the change, its ages as of `change.now`."""
    nodes = {node.name: node for node in view.nodes} | {node.name: node for node in change.nodes}
    agents = {agent.agent_id: agent for agent in view.agents} | {agent.agent_id: agent for agent in change.agents}
    for name in change.gone_nodes:
        nodes.pop(name, None)
    for agent_id in change.gone_agents:
        agents.pop(agent_id, None)
    seen = {name: node.last_seen for name, node in nodes.items()} | change.seen
    seen[change.served_by.node] = change.now
    server, now = change.served_by.node, _seconds(change.now)

    def age_of(last_seen: str | None, otherwise: float) -> float:
        return otherwise if last_seen is None else round(max(0.0, now - _seconds(last_seen)), 2)

    def agent_of(agent: AgentView) -> AgentView:
        if has_own_age(agent, server):
            last_seen = change.seen_agents.get(agent.agent_id, agent.last_seen)
        else:
            last_seen = seen.get(agent.node, agent.last_seen)
        carrier = None if agent.transport in ASKED else nodes.get(agent.node)
        transport = agent.transport if carrier is None else carrier.transport
        age = age_of(last_seen, agent.age_s)
        return msgspec.structs.replace(agent, last_seen=last_seen, age_s=age, transport=transport)

    return msgspec.structs.replace(
        view,
        version=change.version,
        now=change.now,
        served_by=change.served_by,
        nodes=tuple(
            msgspec.structs.replace(node, last_seen=seen[name], age_s=age_of(seen[name], node.age_s))
            for name, node in sorted(nodes.items())
        ),
        agents=tuple(agent_of(agent) for _, agent in sorted(agents.items())),
        totals=view.totals if change.totals is None else change.totals,
        attention=view.attention if change.attention is None else change.attention,
        zones=_aged(view, change) if change.zones is None else change.zones,
    )


def _aged(view: FleetView, change: Change) -> tuple[ZoneView, ...]:
    """Zones that are not told anew. One that is heard stays as old as it was, give or take a heartbeat."""
    passed = max(0.0, _seconds(change.now) - _seconds(view.now))
    return tuple(
        zone if zone.presence is Presence.FRESH else msgspec.structs.replace(zone, age_s=round(zone.age_s + passed, 1))
        for zone in view.zones
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
