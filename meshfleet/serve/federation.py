"""`/federate` and `/v1/sd`: the whole fleet from any one node, as Prometheus collects it.

A series per node and agent, so this is for who wants to keep their history; `/metrics` has numbers alone. As many
agents as MEASURED_AGENTS are told of; what is beyond is counted. An agent that is gone from the view is gone from
here, and Prometheus marks its series stale.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import trio
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from meshfleet.fleet.fleet_measures import MEASURED_AGENTS, of_agents, of_nodes, of_the_fleet
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.zone_measures import of_zones
from meshfleet.serve.answers import JSON
from meshfleet.serve.matching import is_wanted, selectors
from meshfleet.serve.measuring import as_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from meshfleet.fleet.view import FleetView, NodeView
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.matching import Selector


class Target(msgspec.Struct, frozen=True):
    """One node as Prometheus' HTTP service discovery wants it."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Federation:
    """Tells of a feed's whole fleet."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def federate(self, request: Request) -> Response:
        """`GET /federate?match[]=…`"""
        wanted = selectors(request.query_params.getlist("match[]"))
        encode, media = choose_encoder(request.headers.get("accept", ""))
        told = Told(self._feed.fleet(), wanted)
        # Of a large fleet this takes a second or more, in which nothing else would run here.
        text = await trio.to_thread.run_sync(encode, told, limiter=self._one_at_a_time)
        return Response(text, media_type=media)

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


class Told(Collector):
    """One view's metrics, those that are wanted."""

    def __init__(self, view: FleetView, wanted: Sequence[Selector]) -> None:
        self._view = view
        self._wanted = wanted

    def collect(self) -> Iterator[Metric]:
        """All families that have a wanted series."""
        view = self._view
        agents = of_agents(view.agents[:MEASURED_AGENTS])
        for measured in (*of_nodes(view, unix_time), *agents, *of_the_fleet(view), *of_zones(view)):
            family = as_metric(measured)
            family.samples = [s for s in family.samples if is_wanted(s.name, s.labels, self._wanted)]
            if family.samples:
                yield family


def unix_time(text: str) -> float | None:
    """RFC 3339 as the view writes it, in seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
