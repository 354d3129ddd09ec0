"""What servers answer over HTTP, heads and all: to whatever asks from Trio, to the exporter, and to readers and
commands. h11 and http.client read it; what they raise must come out as an answer of ours that there was none."""

from __future__ import annotations

from collections import Counter
from http.client import HTTPConnection
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import trio
from hypothesis import strategies as st

from meshfleet.asking import Events, Place, Unanswered, _Asked
from meshfleet.client.http import There
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.node.otel.post import Connection, Unsent

if TYPE_CHECKING:
    from meshfleet.node.otel.post import Answer

REFUSES_ASKED = Unanswered
REFUSES_POSTED = Unsent
REFUSES_READ = (NoAnswer, ConfigError)


class _Said:
    """A stream on which all is said that ever will be, in pieces. What is sent to it is gone."""

    def __init__(self, data: bytes, size: int) -> None:
        self._rest = BytesIO(data)
        self._size = size

    async def receive_some(self, most: int) -> bytes:
        return self._rest.read(min(self._size, most))

    async def send_all(self, data: bytes) -> None:
        pass

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def _pieces(data: bytes) -> _Said:
    """The first byte says in which pieces the rest arrives."""
    return _Said(data[1:], 1 << data[0] % 16 if data else 1)


def asked(data: bytes) -> bytes:
    """An answer to `meshfleet.asking`, its body looked at as a stream of events as well."""
    question = _Asked(Place("http://127.0.0.1:1"), "/state")
    question._stream = cast("Any", _pieces(data))
    events, body = Events(Counter()), bytearray()

    async def follow() -> None:
        while (piece := await question.more()) is not None:
            events.feed(piece)
            body.extend(piece)

    trio.run(follow)
    assert all(name == name.lower() for name in question.headers)
    return bytes(body)


def posted(data: bytes) -> tuple[Answer, ...]:
    """Two answers of a collector on one connection, if it says two."""

    async def post() -> tuple[Answer, ...]:
        connection = Connection("http://127.0.0.1:1/v1/metrics", None)
        connection._stream = cast("Any", _pieces(data))
        told = [await connection.post(b"{}", [("Content-Type", "application/json")])]
        if connection._stream is not None:
            told.append(await connection.post(b"{}", [("Content-Type", "application/json")]))
        await connection._close()
        return tuple(told)

    return trio.run(post)


class _Socket:
    """A socket of http.client's."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._data)

    def sendall(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _Node(There, frozen=True):
    """One that says what it is given to say."""

    says: bytes = b""

    def connection(self, patience: float = 0.0) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", 1)
        connection.sock = cast("Any", _Socket(self.says))
        return connection


def read(data: bytes) -> str:
    """An answer to a command or a reader: its body, and the sentence of a refusal."""
    node = _Node("http://127.0.0.1:1", says=data)
    with node.asked("GET", "/v1/fleet", {}) as response:
        return node.problem_in(response, node.body_of(response))


_bodies = st.sampled_from(
    (b"", b'{"error":"no"}', b"data: 1\n\n", b"data: " + b"x" * 300 + b"\n\n:\n\nevent: a\r\ndata:b\r\n\r\n")
)


def _answer(status: int, heads: list[str], body: bytes, chunked: bool) -> bytes:
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    return "\r\n".join([f"HTTP/1.1 {status} X", *heads, framing, "", ""]).encode() + body


_heads = st.lists(
    st.sampled_from(
        ("Content-Type: text/event-stream", "Retry-After: 5", "Location: /x", "Connection: close", "X-Consul-Index: 7")
    ),
    max_size=3,
)
_statuses = st.sampled_from((100, 200, 200, 200, 204, 301, 401, 429, 503))
said: st.SearchStrategy[bytes] = st.builds(_answer, _statuses, _heads, _bodies, st.booleans())
in_pieces: st.SearchStrategy[bytes] = st.builds(
    lambda how, answers: bytes((how,)) + b"".join(answers), st.integers(0, 15), st.lists(said, min_size=1, max_size=2)
)
