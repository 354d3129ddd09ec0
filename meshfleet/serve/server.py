"""The HTTP side of a node: Starlette's application on Hypercorn's Trio connections.

Hypercorn's own `serve` waits for its connections in a way that can't be bounded (its writes are shielded, see
`listen.BoundedStream`), and prints. So its connections are used here, and accepting and ending is our own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app

from meshfleet.fleet.names import Address
from meshfleet.logs import get_logger
from meshfleet.serve.encoded import Encoding
from meshfleet.serve.files import Page
from meshfleet.serve.guard import Guard
from meshfleet.serve.limits import CLOSING_SECONDS, CONNECTIONS_LIMIT, HEADER_SECONDS, Counts
from meshfleet.serve.listen import BoundedStream, bind_loopback
from meshfleet.serve.log import StructuredLog
from meshfleet.serve.openapi import Contract
from meshfleet.serve.pushing import Pushing
from meshfleet.serve.reading import Reading
from meshfleet.serve.routes import application, table
from meshfleet.serve.stream import Broadcast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from meshfleet.serve.feed import Feed

_log = get_logger("meshfleet.serve")


async def serve(feed: Feed, bind: Address, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve `feed` over HTTP on the loopback address `bind` until cancelled.

    Port 0 takes a free port. `task_status` is given the base URL, such as `http://127.0.0.1:7879`, once requests are
    answered. ConfigError where the address can't be had. After a cancellation answers and streams end within a second.
    """
    listener = await bind_loopback(bind)
    host, port = listener.socket.getsockname()[:2]
    counts = Counts()
    broadcast = Broadcast(feed, encoding := Encoding(feed), counts)
    app = assemble(feed, encoding, broadcast, counts, host)
    connections = Connections(app, counts)
    async with trio.open_nursery() as parts:
        try:
            parts.start_soon(broadcast.run)
            nursery = await parts.start(connections.hold)
            base_url = f"http://{Address(host, port)}"
            _log.info("http up", url=base_url)
            task_status.started(base_url)
            await trio.serve_listeners(connections.run, [listener], handler_nursery=nursery)
        finally:
            listener.socket.close()
            broadcast.close()
            await connections.end()
            _log.info("http down", open_connections=connections.open)


def assemble(feed: Feed, encoding: Encoding, broadcast: Broadcast, counts: Counts, host: str) -> ASGIApp:
    """The whole application: the guard before the routes."""
    contract = Contract()
    endpoints = table(Reading(feed, encoding, broadcast), Pushing(feed), Page(), contract)
    contract.describe(endpoints, feed.health().version)
    return Guard(application(endpoints), counts, also_named=f"[{host}]" if ":" in host else host)


class Connections:
    """All open connections: at most CONNECTIONS_LIMIT, in a nursery that outlives the cancellation a little."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = wrap_app(cast("ASGIFramework", app), 0, "asgi")
        self._counts = counts
        self._config = _config()
        self._context = WorkerContext(None)
        self._streams: set[BoundedStream] = set()
        self._scope = trio.CancelScope(shield=True)
        self._ending = trio.Event()

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._streams)

    async def hold(self, *, task_status: trio.TaskStatus[trio.Nursery] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the nursery of the connections open until `end`, and then until they ended or were cut."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                await self._ending.wait()

    async def run(self, stream: trio.SocketStream) -> None:
        """One connection, from its first byte to its last. Its errors are its own."""
        if self.open >= CONNECTIONS_LIMIT:
            self._counts.connections_refused += 1
            stream.socket.close()
            return
        with self._registered(BoundedStream(stream, self._counts)) as bounded:
            # Hypercorn asks for a TLS stream, and takes whatever has no handshake as plain.
            plain = cast("trio.SSLStream[trio.SocketStream]", bounded)
            try:
                await TCPServer(self._app, self._config, self._context, ConnectionState({}), plain).run()
            except Exception:
                self._counts.failed += 1
                _log.exception("http connection failed")

    async def end(self) -> None:
        """Ask all connections to end, and see to it that they do."""
        deadline = trio.current_time() + CLOSING_SECONDS
        await self._context.terminated.set()  # never waits, so a cancelled task may call it
        for stream in self._streams:
            stream.end_writes_by(deadline)
        self._scope.deadline = deadline
        self._ending.set()

    @contextmanager
    def _registered(self, stream: BoundedStream) -> Iterator[BoundedStream]:
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            stream.abort()


def _config() -> Config:
    config = Config()
    config.logger_class = StructuredLog
    config.include_server_header = False
    config.keep_alive_timeout = HEADER_SECONDS
    return config
