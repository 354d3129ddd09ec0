"""What stands before every request: who may ask from where, how much may be sent, and the headers of every answer.

Who reads needs a token (`serve.gate`). That would be enough, but for what needs none: agents of this machine tell their
states without, and everybody gets the page. So a web page from elsewhere is kept out besides, though it may run on this
machine too, in somebody's browser:

- It could make its own name resolve to 127.0.0.1 (DNS rebinding), and then ask us as its own site. Its requests carry
  that name as Host, so only this node's own names are let in. Numbers can't be rebound: where HTTP is bound to all
  addresses, the one that a connection came to is a name, too.
- It could send requests across sites. No CORS header is ever sent, so it can't read answers; browsers mark such
  requests with Sec-Fetch-Site, and marked ones are refused, so that it can't take up anything either.
- It could post a form. Bodies must be application/json, or application/x-protobuf where telemetry is taken, which no
  form sends and no browser sends across sites unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from meshfleet.serve.answers import Refusal, quoted
from meshfleet.serve.gate import is_this_machine
from meshfleet.serve.limits import (
    BODY_LIMIT,
    BODY_SECONDS,
    DISCARD_LIMIT,
    DISCARD_SECONDS,
    HEAD_LIMIT,
    HOOK_DISCARD,
    HOOK_LIMIT,
    HOOKS,
    HOOKS_HELD,
    LARGE_BODIES,
    TELEMETRY_LIMIT,
    Counts,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

LARGER = (("/otlp/v1/", TELEMETRY_LIMIT),)
"""Where bodies may be larger than elsewhere: how these paths begin, and how large."""

TRY_AGAIN = "This node has as many large bodies to read as may wait. Send it again in a moment."

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""Nothing inline, nothing from elsewhere, no markup made from strings, no frame around it."""

HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)


class Guard:
    """Checks a request, reads its body whole, lets the application answer, and completes the answer's headers."""

    def __init__(
        self,
        app: ASGIApp,
        counts: Counts,
        names: frozenset[str] = OWN_NAMES,
        *,
        any_address: bool = False,
        may_send: Callable[[HTTPConnection], bool] = lambda _: False,
    ) -> None:
        """`names`: as Host may say, in lower case and without a port. `any_address`: also the one that was connected
        to. `may_send`: whether who is elsewhere shows what lets it send much (`Gate.may_send`)."""
        self._app = app
        self._counts = counts
        self._names = names
        self._any_address = any_address
        self._may_send = may_send
        self._held = 0
        """Bytes of hooks' bodies that are on their way."""
        self._large = {True: 0, False: 0}
        """Large bodies that are here now, from this machine and from elsewhere: the one can't crowd out the other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks for it. Anything but HTTP is turned away."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        send = _complete(send)
        asked = HTTPConnection(scope)
        room = _Room(self._large, is_this_machine(asked), _limit(scope["path"]))
        try:
            body = await self._admitted(asked, receive, send, room)
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
        finally:
            room.leave()

    async def _admitted(self, asked: HTTPConnection, receive: Receive, send: Send, room: _Room) -> bytes | None:
        """The body of a request that is let through; None where it was answered, or there is nobody to answer."""
        scope = asked.scope
        try:
            await self._judge_head(asked, receive)
            return await (self._hook(receive) if _is_hook(asked) else self._body(asked, receive, room))
        except _Stranger:
            await _while_it_sends(receive, self._app(scope, _nothing, send))
        except Refusal as refusal:
            await _while_it_sends(receive, refusal.answer()(scope, receive, send))
        return None

    async def _judge_head(self, asked: HTTPConnection, receive: Receive) -> None:
        """What the head alone is refused for, before anything is kept of the body."""
        try:
            self._check_head(asked.scope)
            self._check_host(asked.headers, asked.scope)
            self._check_site(asked.headers, asked.scope["method"])
        except Refusal:
            with trio.move_on_after(DISCARD_SECONDS):
                await _discard(receive)
            raise

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same for one that would become a WebSocket. Browsers let any page open one to anywhere, and say of which
        site it is (RFC 6455, section 10.2)."""
        headers = Headers(scope=scope)
        try:
            self._check_host(headers, scope)
            self._check_site(headers, "GET")
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
                self._counts.cross_site_refused += 1
                raise Refusal(
                    403, f"This WebSocket is asked for by a page of {quoted(origin)}, which is not this node."
                )
        except Refusal as refusal:
            await WebSocket(scope, receive, send).send_denial_response(refusal.answer())
            return
        await self._app(scope, receive, send)

    async def _body(self, asked: HTTPConnection, receive: Receive, room: _Room) -> bytes | None:
        """The whole body; None where the sender went away. It is read for every method: Hypercorn hands it over through
        a queue of ten pieces, and an answer to a request whose queue is full would wait for ever."""
        chunks: list[bytes] = []
        size = 0
        with trio.move_on_after(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > room.limit:
                    self._counts.bodies_refused += 1
                    what = "A state is a status line, not a log: send less."
                    what = what if room.limit == BODY_LIMIT else "Send smaller batches, or set the exporter to gzip."
                    raise await _turned_away(
                        413, f"The body has more than {room.limit} bytes. {what}", receive, message
                    )
                if size > BODY_LIMIT and not (room.near or self._may_send(asked)):
                    with trio.move_on_after(DISCARD_SECONDS):
                        await _discard(receive, message)
                    raise _Stranger
                if size > BODY_LIMIT and not room.enter():
                    self._counts.bodies_put_off += 1
                    raise await _turned_away(503, TRY_AGAIN, receive, message)
                if not message.get("more_body", False):
                    return b"".join(chunks)
        self._counts.bodies_refused += 1
        raise Refusal(
            408,
            f"The body did not arrive within {BODY_SECONDS:.0f} s. Send it in one go, with its Content-Length.",
            headers={"Connection": "close"},
        )

    async def _hook(self, receive: Receive) -> bytes | None:
        """The body of a hook; empty where it is too large or late. Whoever sends it must not hear of a failure."""
        body = bytearray()
        size, whole = 0, False
        try:
            with trio.move_on_after(BODY_SECONDS):
                while not whole and size <= HOOK_DISCARD:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if len(body) + len(chunk) == size <= HOOK_LIMIT and self._held + len(chunk) <= HOOKS_HELD:
                        body += chunk
                        self._held += len(chunk)
                    whole = not message.get("more_body", False)
            if whole and len(body) == size:
                return bytes(body)
            self._counts.hooks_dropped += 1
            return b""
        finally:
            self._held -= len(body)

    def _check_head(self, scope: Scope) -> None:
        """Hypercorn bounds what it still waits for. A head that came in one piece may have 64 KiB."""
        size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > HEAD_LIMIT:
            self._counts.heads_refused += 1
            raise Refusal(
                431,
                f"The request's line and headers have more than {HEAD_LIMIT} bytes. A token has about 130: send less.",
                headers={"Connection": "close"},
            )

    def _check_host(self, headers: Headers, scope: Scope) -> None:
        given = headers.getlist("host")
        host = given[0] if len(given) == 1 else ""
        # Any port: behind `ssh -L` it is another one, and a page that rebinds a name can't get rid of that name.
        name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if not colon:
            name = host
        # Whatever is not ASCII takes twelve times its room to be made lower.
        own = name.isascii() and name.lower() in self._names
        known = own or (self._any_address and name == in_url((scope.get("server") or ("",))[0]))
        if not known or (colon and not (port.isascii() and port.isdigit())):
            self._counts.hosts_refused += 1
            raise Refusal(
                403,
                f"Host {quoted(host)} is no name of this node. It answers to {', '.join(sorted(self._names))}, so that "
                "no web page can ask it under a name of its own (DNS rebinding). Use one of these, or start the node "
                "with --http-name for another.",
            )

    def _check_site(self, headers: Headers, method: str) -> None:
        site = headers.get("sec-fetch-site", "none")
        visited = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
        if site not in ("none", "same-origin") and not visited:
            self._counts.cross_site_refused += 1
            raise Refusal(
                403,
                "This request comes from another site's page. Only this node's own page, and programs that are no "
                "browser, may ask here.",
            )


class _Stranger(Exception):
    """Somebody elsewhere who shows nothing that is good sends much. The gate says what it lacks; its body takes no
    place."""


class _Room:
    """The place that a large body takes while it is here."""

    def __init__(self, taken: dict[bool, int], near: bool, limit: int) -> None:
        self._taken = taken
        self.near = near
        """Whether it is a body of this machine's."""
        self._inside = False
        self.limit = limit

    def enter(self) -> bool:
        """Take one of the places. False where all are taken."""
        if not self._inside and self._taken[self.near] < LARGE_BODIES:
            self._taken[self.near] += 1
            self._inside = True
        return self._inside

    def leave(self) -> None:
        """Give it back."""
        self._taken[self.near] -= self._inside
        self._inside = False


def _limit(path: str) -> int:
    return next((limit for beginning, limit in LARGER if path.startswith(beginning)), BODY_LIMIT)


async def _while_it_sends(receive: Receive, answer: Awaitable[None]) -> None:
    """Answer who may still be at it: what it says must find somebody, or neither side would get to the end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard, receive)
        await answer
        nursery.cancel_scope.cancel()


async def _nothing() -> Message:
    """The `receive` of a request whose body was thrown away. Who asks for it was let in, by a token that is good only
    since a moment ago."""
    raise Refusal(503, TRY_AGAIN, headers={"Retry-After": "2"})


async def _turned_away(status: int, problem: str, receive: Receive, message: Message) -> Refusal:
    """The refusal of a body that is still coming."""
    with trio.move_on_after(DISCARD_SECONDS):
        await _discard(receive, message)
    headers = {"Connection": "close"} | ({"Retry-After": "2"} if status == 503 else {})
    return Refusal(status, problem, headers=headers)


def in_url(host: str) -> str:
    """`host` as it stands in URLs and Host headers: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_hook(asked: HTTPConnection) -> bool:
    """Whether it is a hook of an agent on this machine."""
    scope = asked.scope
    return scope["method"] == "POST" and str(scope["path"]).startswith(HOOKS) and is_this_machine(asked)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that tells the body once, and then what really comes: the disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def told() -> Message:
        return pending.pop() if pending else await receive()

    return told


async def _discard(receive: Receive, message: Message | None = None) -> None:
    """Read on and keep nothing, until the sender is done, gone, or over the limit."""
    size = 0
    while size <= DISCARD_LIMIT:
        if message is not None and (message["type"] == "http.disconnect" or not message.get("more_body", False)):
            return
        message = await receive()
        size += len(message.get("body", b""))


def _complete(send: Send) -> Send:
    async def completed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS:
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return completed
