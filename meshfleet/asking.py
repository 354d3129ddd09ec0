"""Asking a server over HTTP, from Trio: bounded in bytes and time, one connection per question.

h11 reads what comes; this file has what it needs of sockets and TLS, and the lines of server-sent events. A redirect is
an answer that is of no use: what is shown to one server is not carried to another. Who asks sees to it that no secret
crosses a network in the clear.
"""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import h11
import msgspec
import trio

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

PATIENCE = 5.0
"""Seconds for an answer. A server that is busy with a model answers others in milliseconds."""

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of an answer. opencode's list of all providers and models has some 2 MB."""

EVENT_LIMIT = 1024 * 1024
"""Bytes of one event. Those that matter have a few kilobytes; the large ones hold files and outputs."""

CHUNK = 65_536

EVENTS = b"text/event-stream"

LINE_END = re.compile(rb"\r\n|\r|\n")
"""How a line of server-sent events may end (HTML standard, section 9.2.5)."""

SILENCE = 45.0
"""Seconds without a byte after which a stream counts as dead: opencode says something every 10."""


class Unanswered(Exception):
    """No answer that could be used: nobody there, too slow, too long, no HTTP, or a refusal."""

    def __init__(
        self,
        why: str,
        status: int | None = None,
        *,
        refused: bool = False,
        met: bool = True,
        untrusted: bool = False,
        useless: bool = False,
    ) -> None:
        super().__init__(why)
        self.status = status
        """The HTTP status, where there was one."""
        self.refused = refused
        """The machine itself said that nobody listens there."""
        self.met = met
        """Whether a connection was made."""
        self.untrusted = untrusted
        """Whether it could not show by its certificate that it is who was asked."""
        self.useless = useless
        """Whether what came is no HTTP, or too long."""


class Place(msgspec.Struct, frozen=True):
    """A server."""

    url: str
    """`http://HOST:PORT` or `https://HOST:PORT`, and what all its paths begin with."""
    user: str = ""
    password: str | None = None
    headed: tuple[tuple[str, str], ...] = ()
    """Headers that every request has besides."""
    trust: ssl.SSLContext | None = None
    """For https: whose certificates are believed; None for whom the system trusts."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every request says."""
        headers = [("Host", urlsplit(self.url).netloc), ("User-Agent", "meshfleet"), ("Connection", "close")]
        headers += self.headed
        if self.password is not None:
            secret = b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers.append(("Authorization", f"Basic {secret}"))
        return headers


class Answer(msgspec.Struct, frozen=True):
    """A good one."""

    body: bytes
    headers: dict[bytes, bytes]
    """By their names in lower case. Of several of one name the last."""


async def ask(place: Place, path: str, body: bytes | None = None, *, limit: int = ANSWER_LIMIT) -> bytes:
    """GET `path`, or POST `body` to it; the body of the answer. Unanswered where there is none of use."""
    return (await asked(place, path, body, method="GET" if body is None else "POST", limit=limit)).body


async def asked(
    place: Place,
    path: str,
    body: bytes | None = None,
    *,
    method: str = "GET",
    limit: int = ANSWER_LIMIT,
    patience: float = PATIENCE,
) -> Answer:
    """One request, and its answer whole. Unanswered where there is none of use."""
    read, question = bytearray(), _Asked(place, path, body, method)
    with trio.move_on_after(patience) as scope:
        async with question:
            while (piece := await question.more()) is not None:
                read += piece
                if len(read) > limit:
                    raise Unanswered(f"more than {limit} bytes", useless=True)
            headers = question.headers
    if scope.cancelled_caught:
        raise Unanswered("too slow" if question.met else "no connection in time", met=question.met)
    return Answer(bytes(read), headers)


async def listen(
    place: Place,
    path: str,
    hear: Callable[[bytes], None],
    counts: Counter[str],
    *,
    silence: float = SILENCE,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Follow a stream of events; `hear` gets the data of each, and `alive` is called with each sign of life. Unanswered
    at its end, after a silence, and where it is no stream of events."""
    events = Events(counts)
    with trio.move_on_after(PATIENCE) as scope:
        async with _Asked(place, path) as question:
            while (piece := await question.more()) is not None:
                if not question.headers.get(b"content-type", b"").lower().startswith(EVENTS):
                    raise Unanswered("no stream of events", 200)
                scope.deadline = trio.current_time() + silence
                alive()
                for data in events.feed(piece):
                    hear(data)
    raise Unanswered("silent" if scope.cancelled_caught else "the stream ended")


class Events:
    """Bytes of an event stream -> the data of each event. Too long ones are left out and counted."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._begun = bytearray()
        """Of a line whose end has not come."""
        self._returned = False
        """The last piece ended with a carriage return: a line feed that comes next belongs to it."""
        self._data = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that `piece` completes. Each byte is looked at once, in however many pieces a line comes: else a
        server that says it byte by byte has the node look through a megabyte for each of them."""
        whole: list[bytes] = []
        if self._returned and piece:
            piece, self._returned = piece.removeprefix(b"\n"), False
        if piece:
            self._returned = piece.endswith(b"\r")
        end, *lines = LINE_END.split(piece)
        self._begun += end
        if lines:
            self._line(bytes(self._begun), whole)
            *lines, begun = lines
            for line in lines:
                self._line(line, whole)
            self._begun = bytearray(begun)
        if len(self._begun) > EVENT_LIMIT:
            self._begun = bytearray()
            self._too_long()
        return whole

    def _line(self, line: bytes, whole: list[bytes]) -> None:
        if not line:
            if self._data and not self._skipping:
                whole.append(bytes(self._data))
            self._data.clear()
            self._skipping = False
        elif line.startswith(b"data:") and not self._skipping:
            self._data += (b"\n" if self._data else b"") + line[5:].removeprefix(b" ")
            if len(self._data) > EVENT_LIMIT:
                self._too_long()

    def _too_long(self) -> None:
        if not self._skipping:
            self._counts["runtimes_events_too_long"] += 1
        self._data.clear()
        self._skipping = True


class _Asked:
    """One question and its answer. Whatever goes wrong with it comes out as Unanswered."""

    def __init__(self, place: Place, path: str, body: bytes | None = None, method: str = "GET") -> None:
        self._place = place
        self._path = path
        self._body = body
        self._method = method
        self._http = h11.Connection(h11.CLIENT)
        self._stream: trio.abc.Stream | None = None
        self._has_ended = False
        self.headers: dict[bytes, bytes] = {}
        """Those of the answer, once it began."""

    async def __aenter__(self) -> Self:
        split = urlsplit(self._place.url)
        secure = split.scheme == "https"
        try:
            stream = await trio.open_tcp_stream(split.hostname or "127.0.0.1", split.port or (443 if secure else 80))
        except OSError as error:
            refused = _is_refusal(error)
            why = "connection refused" if refused else error.strerror or "no connection"
            raise Unanswered(why.lower(), refused=refused, met=False) from None
        self._stream = stream
        if secure:
            trust = self._place.trust
            if trust is None:
                trust = await trio.to_thread.run_sync(ssl.create_default_context)
            self._stream = trio.SSLStream(stream, trust, server_hostname=split.hostname, https_compatible=True)
        return self

    @property
    def met(self) -> bool:
        """Whether a connection was made."""
        return self._stream is not None

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    async def more(self) -> bytes | None:
        """The next piece of the answer's body; None at its end."""
        try:
            return await self._next()
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                why = error.__cause__.verify_message
                raise Unanswered(f"its certificate is not trusted here: {why}", untrusted=True) from None
            raise Unanswered("no TLS" if isinstance(error.__cause__, ssl.SSLError) else "cut off") from None
        except trio.ClosedResourceError:
            raise Unanswered("cut off") from None
        except h11.ProtocolError:
            raise Unanswered("cut off" if self._has_ended else "no HTTP", useless=not self._has_ended) from None

    async def _next(self) -> bytes | None:
        if self._http.our_state is h11.IDLE:
            await self._send(self._request())
        while True:
            # What came at once may be thousands of pieces, and none of them is waited for: others have their turn.
            await trio.lowlevel.checkpoint()
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                piece = bytes(await self._open.receive_some(CHUNK))
                self._has_ended = not piece
                self._http.receive_data(piece)
            elif isinstance(event, h11.Response):
                if event.status_code != 200:
                    said = " (a redirect, which is not followed)" if 300 <= event.status_code < 400 else ""
                    raise Unanswered(f"HTTP {event.status_code}{said}", event.status_code)
                self.headers = dict(event.headers)
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                return None

    def _request(self) -> list[h11.Event]:
        headers = self._place.headers
        if self._body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(self._body)))]
        data = [] if self._body is None else [h11.Data(data=self._body)]
        target = urlsplit(self._place.url).path.rstrip("/") + self._path
        return [h11.Request(method=self._method, target=target, headers=headers), *data, h11.EndOfMessage()]

    async def _send(self, events: list[h11.Event]) -> None:
        await self._open.send_all(b"".join(self._http.send(event) or b"" for event in events))

    @property
    def _open(self) -> trio.abc.Stream:
        assert self._stream is not None
        return self._stream


def _is_refusal(error: OSError) -> bool:
    """Whether all addresses of the name refused."""
    cause = error.__cause__
    causes = cause.exceptions if isinstance(cause, BaseExceptionGroup) else [cause or error]
    return all(isinstance(each, ConnectionRefusedError) for each in causes)
