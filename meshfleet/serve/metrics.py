"""`GET /metrics`: what this node counts about itself, as Prometheus collects it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.responses import Response

from meshfleet.fleet.node_measures import counted_events, of_the_node
from meshfleet.serve.measuring import as_metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from meshfleet.serve.feed import Feed
    from meshfleet.serve.limits import Counts


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
        for measured in of_the_node(self._feed.health(), self._feed.fleet(), self._feed.counters()):
            yield as_metric(measured)
        told = "What the HTTP side turned away or gave up."
        yield as_metric(
            counted_events("meshfleet_http_events", "meshfleet.http.events", told, asdict(self._counts).items())
        )
