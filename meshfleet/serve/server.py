"""The HTTP side of a node: Starlette's application on Hypercorn's Trio connections.

Hypercorn's own `serve` waits for its connections in a way that can't be bounded (its writes are shielded, see
`listen.BoundedStream`), and prints. So its connections are used here, and accepting and ending is our own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app

from meshfleet.fleet.names import Address
from meshfleet.logs import get_logger
from meshfleet.serve.application import application
from meshfleet.serve.encoded import Encoding
from meshfleet.serve.exports import Exports
from meshfleet.serve.federation import Federation
from meshfleet.serve.files import Page
from meshfleet.serve.gate import Gate
from meshfleet.serve.guard import OWN_NAMES, Guard, in_url
from meshfleet.serve.history import Nothing, Telling
from meshfleet.serve.hooks import HookIntake, Hooks
from meshfleet.serve.http11 import Connection
from meshfleet.serve.limits import (
    CLOSING_SECONDS,
    CONNECTIONS_LIMIT,
    HANDSHAKE_SECONDS,
    HEAD_LIMIT,
    HEADER_SECONDS,
    SAID_LIMIT,
    Counts,
)
from meshfleet.serve.line import STREAM
from meshfleet.serve.listen import BoundedStream, is_wildcard, listen
from meshfleet.serve.log import StructuredLog
from meshfleet.serve.metrics import Metrics
from meshfleet.serve.openapi import Contract
from meshfleet.serve.past import Past
from meshfleet.serve.pushing import Pushing
from meshfleet.serve.reading import Reading
from meshfleet.serve.routes import Answering, table
from meshfleet.serve.sessions import Sessions
from meshfleet.serve.stream import Broadcast
from meshfleet.serve.websocket import Sockets

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterator

    from starlette.types import ASGIApp

    from meshfleet.serve.access import Access
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.history import History
    from meshfleet.serve.intake import Intake

_log = get_logger("meshfleet.serve")


async def serve(
    feed: Feed,
    access: Access,
    bind: Address,
    *,
    tls: ssl.SSLContext | None = None,
    names: Collection[str] = (),
    history: History | None = None,
    intake: Intake | None = None,
    hooks: HookIntake | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `feed` over HTTP on `bind` until cancelled, to whom `access` lets in.

    Port 0 takes a free port. Without `tls` only loopback is possible. `names`: under which the node is asked, besides
    its address and localhost. `history`: what `/v1/events` tells of; `intake` takes telemetry, `hooks` what runtimes
    post; without one it is told so. `task_status` is given the base URL, such as `http://127.0.0.1:7879`, once requests
    are answered. ConfigError where the address can't be had. After a cancellation answers and streams end within a
    second.
    """
    listener = await listen(bind, tls=tls is not None)
    host, port = listener.socket.getsockname()[:2]
    counts = Counts()
    broadcast = Broadcast(feed, encoding := Encoding(feed), counts)
    past = Past(feed, counts)
    app = Guard(
        assemble(feed, access, encoding, broadcast, counts, past, history=history, intake=intake, hooks=hooks),
        counts,
        OWN_NAMES | {in_url(name.lower()) for name in names} | (set() if is_wildcard(host) else {in_url(host)}),
        any_address=is_wildcard(host),
        may_send=Gate(access, counts).may_send,
    )
    connections = Connections(app, counts, tls)
    async with trio.open_nursery() as parts:
        try:
            parts.start_soon(broadcast.run)
            parts.start_soon(past.run)
            nursery = await parts.start(connections.hold)
            seen_as = "localhost" if is_wildcard(host) else host
            base_url = f"http{'s' if tls else ''}://{Address(seen_as, port)}"
            _log.info("http up", url=base_url)
            task_status.started(base_url)
            await trio.serve_listeners(connections.run, [listener], handler_nursery=nursery)
        finally:
            listener.socket.close()
            broadcast.close()
            await connections.end()
            _log.info("http down", open_connections=connections.open)


def assemble(
    feed: Feed,
    access: Access,
    encoding: Encoding,
    broadcast: Broadcast,
    counts: Counts,
    past: Past,
    *,
    history: History | None = None,
    intake: Intake | None = None,
    hooks: HookIntake | None = None,
) -> ASGIApp:
    """The application behind the guard: all endpoints, each behind the gate."""
    contract = Contract()
    sessions = Sessions(access, counts)
    reading = Reading(feed, encoding, broadcast)
    endpoints = table(
        Answering(
            reading=reading,
            sockets=Sockets(broadcast),
            pushing=Pushing(feed, intake),
            hooks=Hooks(hooks, counts),
            exports=Exports(intake),
            sessions=sessions,
            telling=Telling(Nothing() if history is None else history),
            metrics=Metrics(feed, counts),
            federation=Federation(feed),
            past=past,
            page=Page(),
            contract=contract,
        )
    )
    contract.describe(endpoints, feed.health().version)
    return application(endpoints, Gate(access, counts))


class Connections:
    """All open connections: at most CONNECTIONS_LIMIT, in a nursery that outlives the cancellation a little."""

    def __init__(self, app: ASGIApp, counts: Counts, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
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
            try:
                state = ConnectionState({STREAM: bounded})
                await Connection(self._app, self._config, self._context, state, self._sealed(bounded)).run()
            except Exception:
                self._counts.failed += 1
                _log.exception("http connection failed")

    def _sealed(self, bounded: BoundedStream) -> trio.SSLStream[trio.SocketStream]:
        """Hypercorn asks for a TLS stream, and takes whatever has no handshake as plain."""
        if self._tls is None:
            return cast("trio.SSLStream[trio.SocketStream]", bounded)
        # As HTTPS is spoken: an end without TLS's own goodbye is one, since HTTP says how long each message is.
        sealed = trio.SSLStream(bounded, self._tls, server_side=True, https_compatible=True)
        return cast("trio.SSLStream[trio.SocketStream]", sealed)

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
    config.ssl_handshake_timeout = HANDSHAKE_SECONDS
    config.h11_max_incomplete_size = HEAD_LIMIT
    config.websocket_max_message_size = SAID_LIMIT
    return config
