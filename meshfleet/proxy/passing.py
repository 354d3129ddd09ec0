"""One request to its upstream and the answer back: heads without what is for one hop alone, bodies as they come.

Nothing is decoded, gathered or held back: a piece goes on when it is there. The client's going away ends the request
upstream, since answers cost money; an answer that breaks off upstream breaks off for the client, too, and does not look
like a whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import msgspec
import trio

from meshfleet.logs import get_logger
from meshfleet.proxy.watching import OLLAMA, OllamaCounts
from meshfleet.serve.guard import OWN_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from meshfleet.proxy.upstreams import Upstream
    from meshfleet.proxy.watching import Watch

CONNECT_SECONDS = 30.0
"""How long a connection to an upstream may take. Answers may take as long as they do: models think."""

BAD_GATEWAY = 502

ONE_HOP = frozenset(
    b"connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
"""Headers that are between two programs that speak directly (RFC 9110, 7.6.1). Bodies without a length are sent in
chunks again."""

FROM_A_PAGE = "This request comes from a web page; this proxy is for programs of this machine."

_log = get_logger("meshfleet.proxy")


class Passage:
    """An ASGI application that passes each request on."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, upstreams: Mapping[str, Upstream], watch: Watch) -> None:
        self._pool = pool
        self._upstreams = upstreams
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks for it. Anything but HTTP is turned away."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        refusal = _refusal(scope)
        if refusal is not None:
            await _say(send, 403, refusal)
            return
        first, _, rest = scope["raw_path"].lstrip(b"/").partition(b"/")
        upstream = self._upstreams.get(first.decode("ascii", "replace"))
        if upstream is None:
            known = ", ".join(f"/{name}/" for name in self._upstreams)
            await _say(send, 404, f"Requests are passed on by the first part of their path: {known}.")
            return
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = upstream.path + b"/" + rest + query
        await _Passing(self._pool, self._watch, upstream, scope, receive, send).run(target)


class _Passing:
    """One request on its way."""

    def __init__(
        self,
        pool: httpcore.AsyncConnectionPool,
        watch: Watch,
        upstream: Upstream,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._pool = pool
        self._watch = watch
        self._upstream = upstream
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body_over = trio.Event()
        self._status: int | None = None
        """Of an answer that has passed whole, or was made here."""
        self._client_left = False

    async def run(self, target: bytes) -> None:
        """There and back. Ends early when the client goes away."""
        upstream = self._upstream
        request = httpcore.Request(
            self._scope["method"],
            httpcore.URL(scheme=upstream.scheme, host=upstream.host, port=upstream.port, target=target),
            headers=[(b"Host", upstream.authority), *_on(self._scope["headers"], but=b"host")],
            content=self._body() if _has_body(self._scope["headers"]) else None,
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        )
        self._watch.began(self, upstream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_gone, nursery.cancel_scope)
                await self._pass(request)
                nursery.cancel_scope.cancel()
        finally:
            self._watch.ended(self, upstream, self._status, left=self._client_left)

    async def _pass(self, request: httpcore.Request) -> None:
        try:
            if not _has_body(self._scope["headers"]):
                self._body_over.set()
            response = await self._pool.handle_async_request(request)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            self._body_over.set()
            if not self._client_left:
                self._status = BAD_GATEWAY  # before the last word, as below
                _log.warning("an upstream can't be reached", upstream=self._upstream.name, why=type(error).__name__)
            await _say(
                self._send,
                BAD_GATEWAY,
                f"{self._upstream.authority.decode()} can't be reached: {type(error).__name__}.",
            )
            return
        self._body_over.set()
        try:
            await self._answer(response)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            # Not ended: the connection to the client is closed within the answer, as the one upstream was.
            _log.warning("an answer broke off upstream", upstream=self._upstream.name, why=type(error).__name__)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                await response.aclose()

    async def _answer(self, response: httpcore.Response) -> None:
        headers = list(_on(response.headers))
        self._watch.answered(self._upstream, self._scope["headers"], response.status, headers)
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        counts = OllamaCounts() if self._upstream.name == OLLAMA else None
        async for piece in response.aiter_stream():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            if counts is not None:
                counts.feed(piece)
        found = None if counts is None else counts.end()
        if found is not None:
            self._watch.counted(self._upstream, found)
        self._status = response.status  # before the last word: at that, the server calls the client gone
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self) -> AsyncIterator[bytes]:
        """What the client sends, as it comes."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._client_left = True
                self._body_over.set()
                raise OSError("the client went away")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                self._body_over.set()
                return

    async def _until_gone(self, passing: trio.CancelScope) -> None:
        """End everything once the client is gone. What it may still send after the answer began goes nowhere; it has to
        be taken all the same, or the server would wait for that."""
        await self._body_over.wait()
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self._client_left = True
        passing.cancel()


def _has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)


def _on(headers: Iterable[tuple[bytes, bytes]], but: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
    """Headers that go on: all but those of one hop, also the ones that Connection names."""
    pairs = list(headers)
    named = {
        word.strip().lower() for name, value in pairs if name.lower() == b"connection" for word in value.split(b",")
    }
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in pairs)
    for name, value in pairs:
        lower = name.lower()
        if lower not in ONE_HOP and lower not in named and lower != but:
            yield name, value
    if but and chunked:
        yield b"Transfer-Encoding", b"chunked"


def _refusal(scope: Scope) -> str | None:
    """A page in a browser must not reach an upstream that needs no key, by whatever name it finds this machine.

    A browser that does not say by Sec-Fetch-Site whose page asks, as Safari before 16.4, says its Origin with all but
    GET and HEAD, whose answers the page can't read; programs that are no browsers say neither."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    host = headers.get(b"host", b"").decode("latin1").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in OWN_NAMES:
        return "This proxy answers to localhost, 127.0.0.1 and [::1] alone."
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return FROM_A_PAGE
    origins = [value.lower() for name, value in scope["headers"] if name.lower() == b"origin"]
    if origins and origins != [b"http://" + host.encode("latin1")]:
        return FROM_A_PAGE
    return None


class _Problem(msgspec.Struct, frozen=True):
    type: str
    message: str


class _Said(msgspec.Struct, frozen=True):
    """The shape in which SDKs of all these providers look for what was wrong."""

    error: _Problem


async def _say(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode(_Said(_Problem("meshfleet_proxy", f"meshfleet proxy: {message}")))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
