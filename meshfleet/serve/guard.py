"""What stands before every request: who may ask from where, how much may be sent, and the headers of every answer.

Who reads needs a token (`serve.gate`). That would be enough, but for what needs none: agents of this machine tell their
states without, and everybody gets the page. So a web page from elsewhere is kept out besides, though it may run on this
machine too, in somebody's browser:

- It could make its own name resolve to 127.0.0.1 (DNS rebinding), and then ask us as its own site. Its requests carry
  that name as Host, so only this node's own names are let in. Numbers can't be rebound: where HTTP is bound to all
  addresses, the one that a connection came to is a name, too.
- It could send requests across sites. No CORS header is ever sent, so it can't read answers; browsers mark such
  requests with Sec-Fetch-Site, and marked ones are refused, so that it can't take up anything either.
- It could post a form. Bodies must be application/json, which no form sends and no browser sends across sites unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from starlette.datastructures import Headers, MutableHeaders

from meshfleet.serve.answers import Refusal, quoted
from meshfleet.serve.limits import BODY_LIMIT, BODY_SECONDS, DISCARD_LIMIT, DISCARD_SECONDS, HEAD_LIMIT, Counts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

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
        self, app: ASGIApp, counts: Counts, names: frozenset[str] = OWN_NAMES, *, any_address: bool = False
    ) -> None:
        """`names`: as Host may say, in lower case and without a port. `any_address`: also the one that was connected
        to."""
        self._app = app
        self._counts = counts
        self._names = names
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks for it. Anything but HTTP is turned away."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        send = _complete(send)
        headers = Headers(scope=scope)
        try:
            body = await self._body(receive)
            if body is None:
                return  # gone before it said all
            self._check_head(scope)
            self._check_host(headers, scope)
            self._check_site(headers, scope["method"])
        except Refusal as refusal:
            # The sender may still be at it: what it says must find somebody, or neither side would get to the end.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_discard, receive)
                await refusal.answer()(scope, receive, send)
                nursery.cancel_scope.cancel()
            return
        await self._app(scope, _replay(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
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
                if size > BODY_LIMIT:
                    self._counts.bodies_refused += 1
                    with trio.move_on_after(DISCARD_SECONDS):
                        await _discard(receive, message)
                    raise Refusal(
                        413,
                        f"The body has more than {BODY_LIMIT} bytes. A state is a status line, not a log: send less.",
                        headers={"Connection": "close"},
                    )
                if not message.get("more_body", False):
                    return b"".join(chunks)
        self._counts.bodies_refused += 1
        raise Refusal(
            408,
            f"The body did not arrive within {BODY_SECONDS:.0f} s. Send it in one go, with its Content-Length.",
            headers={"Connection": "close"},
        )

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


def in_url(host: str) -> str:
    """`host` as it stands in URLs and Host headers: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


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
