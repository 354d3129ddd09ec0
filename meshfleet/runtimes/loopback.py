"""Asking a server of this machine over HTTP, from Trio: bounded in bytes and time, one connection per question.

h11 reads what comes; this file has what it needs of sockets, and the lines of server-sent events. Plain HTTP on
loopback only: nothing that is read here is to leave the machine, nor the password that some servers want.
"""

from __future__ import annotations

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

SILENCE = 45.0
"""Seconds without a byte after which a stream counts as dead: opencode says something every 10."""


class Unanswered(Exception):
    """No answer that could be used: nobody there, too slow, too long, no HTTP, or a refusal."""

    def __init__(self, why: str, status: int | None = None, *, refused: bool = False) -> None:
        super().__init__(why)
        self.status = status
        """The HTTP status, where there was one."""
        self.refused = refused
        """The machine itself said that nobody listens there."""


class Place(msgspec.Struct, frozen=True):
    """A server of this machine."""

    url: str
    """`http://HOST:PORT`"""
    user: str = ""
    password: str | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every request says."""
        headers = [("Host", urlsplit(self.url).netloc), ("User-Agent", "meshfleet"), ("Connection", "close")]
        if self.password is not None:
            secret = b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers.append(("Authorization", f"Basic {secret}"))
        return headers


async def ask(place: Place, path: str, body: bytes | None = None, *, limit: int = ANSWER_LIMIT) -> bytes:
    """GET `path`, or POST `body` to it; the body of the answer. Unanswered where there is none of use."""
    read = bytearray()
    with trio.move_on_after(PATIENCE) as scope:
        async with _Asked(place, path, body) as asked:
            while (piece := await asked.more()) is not None:
                read += piece
                if len(read) > limit:
                    raise Unanswered(f"more than {limit} bytes")
    if scope.cancelled_caught:
        raise Unanswered("too slow")
    return bytes(read)


async def listen(place: Place, path: str, hear: Callable[[bytes], None], counts: Counter[str]) -> None:
    """Follow a stream of events; `hear` gets the data of each. Unanswered at its end, or after a silence."""
    events = Events(counts)
    with trio.move_on_after(PATIENCE) as scope:
        async with _Asked(place, path) as asked:
            while (piece := await asked.more()) is not None:
                scope.deadline = trio.current_time() + SILENCE
                for data in events.feed(piece):
                    hear(data)
    raise Unanswered("silent" if scope.cancelled_caught else "the stream ended")


class Events:
    """Bytes of an event stream -> the data of each event. Too long ones are left out and counted."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._rest = bytearray()
        self._data = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that `piece` completes."""
        whole: list[bytes] = []
        self._rest += piece
        *lines, rest = self._rest.split(b"\n")
        for line in lines:
            self._line(bytes(line).rstrip(b"\r"), whole)
        self._rest = rest
        if len(rest) > EVENT_LIMIT:
            self._rest = bytearray()
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

    def __init__(self, place: Place, path: str, body: bytes | None = None) -> None:
        self._place = place
        self._path = path
        self._body = body
        self._http = h11.Connection(h11.CLIENT)
        self._stream: trio.SocketStream | None = None

    async def __aenter__(self) -> Self:
        split = urlsplit(self._place.url)
        try:
            self._stream = await trio.open_tcp_stream(split.hostname or "127.0.0.1", split.port or 80)
        except OSError as error:
            raise Unanswered(error.strerror or "unreachable", refused=_is_refusal(error)) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    async def more(self) -> bytes | None:
        """The next piece of the answer's body; None at its end."""
        try:
            return await self._next()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError) as error:
            raise Unanswered(type(error).__name__) from None

    async def _next(self) -> bytes | None:
        if self._http.our_state is h11.IDLE:
            await self._send(self._request())
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._open.receive_some(CHUNK))
            elif isinstance(event, h11.Response):
                if event.status_code != 200:
                    raise Unanswered(f"HTTP {event.status_code}", event.status_code)
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                return None

    def _request(self) -> list[h11.Event]:
        method, headers = "GET", self._place.headers
        if self._body is not None:
            method = "POST"
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(self._body)))]
        data = [] if self._body is None else [h11.Data(data=self._body)]
        return [h11.Request(method=method, target=self._path, headers=headers), *data, h11.EndOfMessage()]

    async def _send(self, events: list[h11.Event]) -> None:
        await self._open.send_all(b"".join(self._http.send(event) or b"" for event in events))

    @property
    def _open(self) -> trio.SocketStream:
        assert self._stream is not None
        return self._stream


def _is_refusal(error: OSError) -> bool:
    """Whether all addresses of the name refused."""
    cause = error.__cause__
    causes = cause.exceptions if isinstance(cause, BaseExceptionGroup) else [cause or error]
    return all(isinstance(each, ConnectionRefusedError) for each in causes)
