"""`/federate` and `/v1/sd`: the whole fleet from any one node, as Prometheus collects it.

A series per node and agent, so this is for who wants to keep their history; `/metrics` has numbers alone. As many
agents as FEDERATED_LIMIT are told of; what is beyond is counted. An agent that is gone from the view is gone from
here, and Prometheus marks its series stale.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from meshfleet.fleet.presence import Presence
from meshfleet.serve.answers import JSON
from meshfleet.serve.matching import is_wanted, selectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from meshfleet.fleet.view import AgentView, FleetView, NodeView
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.matching import Selector

FEDERATED_LIMIT = 5_000
"""Agents of which there are series: some ten each. A Prometheus of default size keeps a few million."""


class Target(msgspec.Struct, frozen=True):
    """One node as Prometheus' HTTP service discovery wants it."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Federation:
    """Tells of a feed's whole fleet."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def federate(self, request: Request) -> Response:
        """`GET /federate?match[]=…`"""
        wanted = selectors(request.query_params.getlist("match[]"))
        encode, media = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(_Told(self._feed.fleet(), wanted)), media_type=media)

    async def targets(self, _request: Request) -> Response:
        """`GET /v1/sd`: every node that serves, whatever its presence: `up` is for Prometheus to find out."""
        found = [_target(node) for node in self._feed.fleet().nodes if node.base_url and _is_there(node)]
        return Response(msgspec.json.encode(found), media_type=JSON)


def _is_there(node: NodeView) -> bool:
    return node.presence is not Presence.LEFT


def _target(node: NodeView) -> Target:
    url = urlsplit(node.base_url or "")
    return Target(
        targets=(url.netloc,),
        labels={
            "__scheme__": url.scheme,
            "__meta_meshfleet_node": node.name,
            "__meta_meshfleet_host": node.host,
            "__meta_meshfleet_zone": node.zone or "",
            "__meta_meshfleet_role": node.role,
            "__meta_meshfleet_presence": node.presence.value,
        },
    )


class _Told(Collector):
    """One view's metrics, those that are wanted."""

    def __init__(self, view: FleetView, wanted: Sequence[Selector]) -> None:
        self._view = view
        self._wanted = wanted

    def collect(self) -> Iterator[Metric]:
        """All families that have a wanted series."""
        for family in (*_of_nodes(self._view), *_of_agents(self._view), *_of_the_fleet(self._view)):
            family.samples = [s for s in family.samples if is_wanted(s.name, s.labels, self._wanted)]
            if family.samples:
                yield family


def _of_nodes(view: FleetView) -> Iterator[Metric]:
    info = InfoMetricFamily("meshfleet_fleet_node", "A node of the fleet.", labels=["node"])
    up = GaugeMetricFamily(
        "meshfleet_fleet_node_fresh", "1 for a node that is heard, 0 for one that is not.", labels=["node"]
    )
    presence = GaugeMetricFamily(
        "meshfleet_fleet_node_presence", "1 for what is said of it.", labels=["node", "presence"]
    )
    seen = GaugeMetricFamily(
        "meshfleet_fleet_node_last_seen_timestamp_seconds", "When it was heard of last.", labels=["node"]
    )
    for node in view.nodes:
        info.add_metric(
            [node.name], {"host": node.host, "zone": node.zone or "", "role": node.role, "version": node.version}
        )
        up.add_metric([node.name], float(node.presence is Presence.FRESH))
        presence.add_metric([node.name, node.presence.value], 1.0)
        if node.last_seen is not None:
            seen.add_metric([node.name], datetime.fromisoformat(node.last_seen).timestamp())
    yield from (info, up, presence, seen)


_FIGURES: tuple[tuple[str, str, Callable[[AgentView], float | None]], ...] = (
    ("context_used_ratio", "How full its context is.", lambda a: _part(a.state.context_pct)),
    ("context_tokens", "Tokens in its context.", lambda a: a.state.context_tokens),
    ("context_limit_tokens", "Tokens that its context holds.", lambda a: a.state.context_limit),
    ("context_full_seconds", "Until its context is full, as it grows now.", lambda a: a.state.context_full_in_s),
)


def _of_agents(view: FleetView) -> Iterator[Metric]:
    agents = view.agents[:FEDERATED_LIMIT]
    info = InfoMetricFamily("meshfleet_agent", "An agent of the fleet.", labels=["agent", "node"])
    presence = GaugeMetricFamily("meshfleet_agent_presence", "1 for what is said of it.", labels=["agent", "presence"])
    status = GaugeMetricFamily("meshfleet_agent_status", "1 for what it says that it does.", labels=["agent", "status"])
    tool = GaugeMetricFamily("meshfleet_agent_tool", "1 for the tool that it runs.", labels=["agent", "tool"])
    tokens = CounterMetricFamily("meshfleet_agent_tokens", "Tokens of its session.", labels=["agent", "direction"])
    cost = CounterMetricFamily("meshfleet_agent_cost_usd", "What its session has cost, in USD.", labels=["agent"])
    for agent in agents:
        state = agent.state
        told = {"runtime": state.runtime, "model": state.model or "", "project": state.project or ""}
        info.add_metric([agent.agent_id, agent.node], told)
        presence.add_metric([agent.agent_id, agent.presence.value], 1.0)
        status.add_metric([agent.agent_id, state.status.value], 1.0)
        if state.active_tool is not None:
            tool.add_metric([agent.agent_id, state.active_tool], 1.0)
        for direction, count in (("in", state.tokens_in), ("out", state.tokens_out)):
            if count is not None:
                tokens.add_metric([agent.agent_id, direction], count)
        if state.cost_usd is not None:
            cost.add_metric([agent.agent_id], state.cost_usd)
    yield from (info, presence, status, tool, tokens, cost)
    for name, told_of, figure in _FIGURES:
        family = GaugeMetricFamily(f"meshfleet_agent_{name}", told_of, labels=["agent"])
        for agent in agents:
            if (value := figure(agent)) is not None:
                family.add_metric([agent.agent_id], value)
        yield family


def _of_the_fleet(view: FleetView) -> Iterator[Metric]:
    limits = GaugeMetricFamily(
        "meshfleet_rate_limit_used_ratio", "How much of an API key's limit is used.", labels=["key", "window"]
    )
    for limit in view.totals.rate_limits:
        if limit.used_pct is not None:
            limits.add_metric([limit.key, limit.window], limit.used_pct / 100)
    yield limits
    left_out = max(0, len(view.agents) - FEDERATED_LIMIT)
    yield GaugeMetricFamily("meshfleet_fleet_agents", "Agents that are known.", value=len(view.agents))
    yield GaugeMetricFamily(
        "meshfleet_fleet_agents_left_out", "Agents without series here, for there are too many.", value=left_out
    )


def _part(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
