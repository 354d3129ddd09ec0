"""The proxy's listening side: Hypercorn's connections on Trio, on loopback alone, until cancelled."""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast
from urllib.request import getproxies, proxy_bypass

import certifi
import httpcore
import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.logs import get_logger
from meshfleet.proxy.passing import Passage
from meshfleet.proxy.watching import Watch
from meshfleet.serve.listen import listen
from meshfleet.serve.log import StructuredLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypercorn.typing import ResponseSummary, WWWScope

    from meshfleet.proxy.upstreams import Upstream

CONNECTIONS_LIMIT = 512
"""Open connections of clients. One more is closed unanswered."""

UPSTREAM_CONNECTIONS = 256
IDLE_SECONDS = 15.0
"""How long a connection to an upstream is kept for the next request. Upstreams close theirs after a minute and more;
a request that meets such an end would fail."""

CLIENT_IDLE_SECONDS = 300.0
"""The same towards clients, which must not meet an end of ours either."""

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's line and headers."""

_log = get_logger("meshfleet.proxy")


class _NoAccessLog(StructuredLog):
    async def access(self, request: WWWScope, response: ResponseSummary | None, request_time: float) -> None:
        """Nothing: where requests go is theirs to know."""


async def run_proxy(
    bind: Address,
    upstreams: Mapping[str, Upstream],
    node: str | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Pass requests on until cancelled. `bind`: loopback alone, or ConfigError; port 0 takes a free one. `task_status`
    is given the base URL. `node`: who is told what is left of each key; default: this machine's."""
    _require_loopback(bind)
    listener = await listen(bind, tls=False, flag="--listen")
    host, port = listener.socket.getsockname()[:2]
    base_url = f"http://{Address(host, port)}"
    watch = Watch(node)
    context, streams = WorkerContext(None), set[trio.SocketStream]()
    async with pool_of(upstreams) as pool:
        app = wrap_app(cast("ASGIFramework", Passage(pool, upstreams, watch)), 0, "asgi")
        config = _config()

        async def connection(stream: trio.SocketStream) -> None:
            if len(streams) >= CONNECTIONS_LIMIT:
                stream.socket.close()
                return
            streams.add(stream)
            try:
                # Hypercorn asks for a TLS stream, and takes whatever has no handshake as plain.
                plain = cast("trio.SSLStream[trio.SocketStream]", stream)
                await TCPServer(app, config, context, ConnectionState({}), plain).run()
            except Exception as error:
                _log.warning("a connection failed", why=type(error).__name__)
            finally:
                streams.discard(stream)
                stream.socket.close()

        try:
            task_status.started(base_url)
            await trio.serve_listeners(connection, [listener])
        finally:
            # Hypercorn shields its writes: a client that does not read would keep the proxy from ending.
            for stream in list(streams):
                stream.socket.close()
            watch.finish()


def _require_loopback(bind: Address) -> None:
    try:
        near = bind.host.lower() == "localhost" or ip_address(bind.host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise ConfigError(
            f"--listen {bind}: the proxy listens on loopback alone, since whoever reaches it could use what needs no "
            f"key. Use 127.0.0.1:{bind.port}; agents of another machine run a proxy of their own."
        )


def pool_of(upstreams: Mapping[str, Upstream]) -> httpcore.AsyncConnectionPool:
    """Connections to upstreams; by way of another proxy where the environment names one (HTTPS_PROXY, ALL_PROXY)."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    named = getproxies()
    beyond = [u for u in upstreams.values() if not proxy_bypass(u.host.decode()) and not _is_near(u)]
    url = next((named[u.scheme.decode()] for u in beyond if u.scheme.decode() in named), named.get("all"))
    return _Pools(context, url) if url else _pool(context)


def _pool(context: ssl.SSLContext, proxy: str | None = None) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=context,
        proxy=None if proxy is None else httpcore.Proxy(proxy),
        max_connections=UPSTREAM_CONNECTIONS,
        max_keepalive_connections=32,
        keepalive_expiry=IDLE_SECONDS,
    )


class _Pools(httpcore.AsyncConnectionPool):
    """A pool whose connections go by way of a proxy, but for those to this machine."""

    def __init__(self, context: ssl.SSLContext, proxy: str) -> None:
        super().__init__(ssl_context=context, proxy=httpcore.Proxy(proxy), max_connections=UPSTREAM_CONNECTIONS)
        self._near = _pool(context)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """As the pool does."""
        host = request.url.host.decode()
        if proxy_bypass(host) or host in ("localhost", "127.0.0.1", "::1"):
            return await self._near.handle_async_request(request)
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """Both."""
        await self._near.aclose()
        await super().aclose()


def _is_near(upstream: Upstream) -> bool:
    return upstream.host in (b"localhost", b"127.0.0.1", b"::1")


def _config() -> Config:
    config = Config()
    config.logger_class = _NoAccessLog
    config.include_server_header = False
    config.include_date_header = False
    config.keep_alive_timeout = CLIENT_IDLE_SECONDS
    config.h11_max_incomplete_size = HEAD_LIMIT
    return config
