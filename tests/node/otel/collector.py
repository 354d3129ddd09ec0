"""A small real OTLP server over HTTP: h11 for what comes, opentelemetry-proto for what it means."""

from __future__ import annotations

import gzip
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import h11
import trio
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

JSON, PROTOBUF = "application/json", "application/x-protobuf"
Key = tuple[str, tuple[tuple[str, str], ...]]


class Received(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    request: ExportMetricsServiceRequest

    @property
    def resource(self) -> dict[str, str]:
        """Its only resource's attributes."""
        (told,) = self.request.resource_metrics
        return {each.key: each.value.string_value for each in told.resource.attributes}

    @property
    def metrics(self) -> list[Metric]:
        """All of them."""
        (told,) = self.request.resource_metrics
        (scoped,) = told.scope_metrics
        return list(scoped.metrics)

    def points(self, name: str) -> dict[tuple[tuple[str, str], ...], float | None]:
        """Values of one metric by their attributes; None where the series has ended."""
        found: dict[tuple[tuple[str, str], ...], float | None] = {}
        for metric in self.metrics:
            if metric.name == name:
                for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                    key = tuple(sorted((each.key, each.value.string_value) for each in point.attributes))
                    found[key] = None if point.flags & 1 else point.as_double
        return found


class Reply(NamedTuple):
    """What it answers."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Collector:
    """Keeps what it got, and answers as `reply` says."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.asked = 0
        self.connections = 0
        self.reply: Callable[[int], Reply] = lambda _number: Reply()
        """By the number of the request, from 0."""
        self.port = 0
        self.scheme = "http"
        self._news = trio.Event()

    @property
    def url(self) -> str:
        """Its base."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def until(self, what: Callable[[list[Received]], bool]) -> None:
        """Until it got what was waited for."""
        while not what(self.received):
            await self._news.wait()

    async def serve(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        """One connection."""
        connection = h11.Connection(h11.SERVER)
        self.connections += 1
        try:
            while True:
                got = await self._request(connection, stream)
                if got is None:
                    return
                reply = self.reply(self.asked)
                self.asked += 1
                if reply.status == 200:
                    self.received.append(_read(*got))
                self._news.set()
                self._news = trio.Event()
                kind = ("Content-Type", dict(got[1])["content-type"])
                length = ("Content-Length", str(len(reply.body)))
                events = [
                    h11.Response(status_code=reply.status, headers=[kind, length, *reply.headers]),
                    h11.Data(data=reply.body),
                    h11.EndOfMessage(),
                ]
                await stream.send_all(b"".join(connection.send(event) or b"" for event in events))
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return

    async def _request(
        self, connection: h11.Connection, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    ) -> tuple[str, dict[str, str], bytes] | None:
        head, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(65_536)))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode().lower(): value.decode() for name, value in head.headers}
                return head.target.decode(), headers, body
            else:
                return None


def _read(path: str, headers: dict[str, str], body: bytes) -> Received:
    request = ExportMetricsServiceRequest()
    data = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    if headers["content-type"] == JSON:
        Parse(data, request)
    else:
        assert headers["content-type"] == PROTOBUF
        request.ParseFromString(data)
    return Received(path, headers, request)


@asynccontextmanager
async def collecting(tls: ssl.SSLContext | None = None) -> AsyncIterator[Collector]:
    """One that runs on a free port of loopback."""
    collector = Collector()
    async with trio.open_nursery() as nursery:
        if tls is None:
            (listener,) = await nursery.start(partial(trio.serve_tcp, collector.serve, 0, host="127.0.0.1"))
            collector.port = listener.socket.getsockname()[1]
        else:
            collector.scheme = "https"
            serve = partial(trio.serve_ssl_over_tcp, collector.serve, 0, tls, host="127.0.0.1", https_compatible=True)
            (secured,) = await nursery.start(serve)
            collector.port = secured.transport_listener.socket.getsockname()[1]
        yield collector
        nursery.cancel_scope.cancel()
