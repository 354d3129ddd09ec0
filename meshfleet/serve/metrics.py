"""`GET /metrics`: what this node counts about itself, as Prometheus collects it.

Of the fleet there are numbers alone, by presence: a series for each node or agent would be one for each session that
ever ran. Every label has a closed set of values: the words of presence and standing, and the names of counters, which
stand in the code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.responses import Response

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from meshfleet.fleet.view import FleetView
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.limits import Counts

TRAFFIC: Final = {
    "datagrams_in": ("meshfleet_datagrams", "Datagrams at the gossip socket.", "received", None),
    "datagrams_out": ("meshfleet_datagrams", "Datagrams at the gossip socket.", "sent", None),
    "udp_bytes_in": ("meshfleet_gossip_bytes", "Bytes of gossip, by transport.", "received", "udp"),
    "udp_bytes_out": ("meshfleet_gossip_bytes", "Bytes of gossip, by transport.", "sent", "udp"),
    "stream_bytes_in": ("meshfleet_gossip_bytes", "Bytes of gossip, by transport.", "received", "stream"),
    "stream_bytes_out": ("meshfleet_gossip_bytes", "Bytes of gossip, by transport.", "sent", "stream"),
}
"""Counters of a node that get a metric of their own: its name, help, direction and transport."""

COUNTERS_LIMIT: Final = 256
"""Names of counters that are told. There are some 60; what is beyond was not foreseen, and is left out."""


class Metrics(Collector):
    """Collects from a feed when asked, and keeps nothing."""

    def __init__(self, feed: Feed, counts: Counts) -> None:
        self._feed = feed
        self._counts = counts
        self._registry = CollectorRegistry()
        self._registry.register(self)

    async def answer(self, request: Request) -> Response:
        """`GET /metrics`, in OpenMetrics for who asks for that."""
        encode, media = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), media_type=media)

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        health, view = self._feed.health(), self._feed.fleet()
        told = {"node": health.node, "version": health.version}
        yield InfoMetricFamily("meshfleet_node", "This node's name and version.", told)
        heartbeat = health.heartbeat
        yield CounterMetricFamily("meshfleet_heartbeats", "Times that this node raised its heartbeat.", heartbeat)
        yield from _of_the_view(view)
        yield from _traffic(self._feed.counters())
        rest = {name: count for name, count in self._feed.counters().items() if name not in TRAFFIC}
        yield _counted("meshfleet_events", "What the mesh counts: drops, refusals, forgeries, faults, by cause.", rest)
        yield _counted("meshfleet_http_events", "What the HTTP side turned away or gave up.", asdict(self._counts))


def _of_the_view(view: FleetView) -> Iterator[Metric]:
    nodes = Counter(node.presence for node in view.nodes)
    agents = Counter(agent.presence for agent in view.agents)
    yield _by_presence("meshfleet_nodes", "Nodes that this node knows, itself among them, by presence.", nodes)
    yield _by_presence("meshfleet_agents", "Agents that this node knows, by presence.", agents)
    served_by = view.served_by
    standing = GaugeMetricFamily("meshfleet_standing", "1 for how this node stands, 0 otherwise.", labels=["standing"])
    for each in Standing:
        standing.add_metric([each.value], float(each is served_by.standing))
    yield standing
    yield GaugeMetricFamily(
        "meshfleet_local_health", "Lifeguard's local health score: 0 well, 8 worst.", served_by.local_health
    )
    yield GaugeMetricFamily(
        "meshfleet_loop_lag_seconds", "By how much timers came late of late.", served_by.loop_lag_ms / 1000
    )


def _by_presence(name: str, told: str, counted: Mapping[Presence, int]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=["presence"])
    for presence in Presence:
        family.add_metric([presence.value], counted.get(presence, 0))
    return family


def _traffic(counters: Mapping[str, int]) -> Iterable[Metric]:
    families: dict[str, CounterMetricFamily] = {}
    for counter, (name, told, direction, transport) in TRAFFIC.items():
        labels = ["direction"] if transport is None else ["direction", "transport"]
        family = families.setdefault(name, CounterMetricFamily(name, told, labels=labels))
        values = [direction] if transport is None else [direction, transport]
        family.add_metric(values, counters.get(counter, 0))
    return families.values()


def _counted(name: str, told: str, counters: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, told, labels=["event"])
    for event, count in sorted(counters.items())[:COUNTERS_LIMIT]:
        family.add_metric([event], count)
    return family
