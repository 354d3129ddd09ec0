"""A server on loopback that answers as it is told to: what stands in for opencode and Ollama."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Stub:
    """Answers by path; a path in `streams` stays open, and gets what is put there."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.statuses: dict[str, int] = {}
        self.streams: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.url = ""
        self._news = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._listeners: list[trio.SocketListener] = []
        self._open: list[trio.SocketStream] = []
        self._flowing: dict[str, list[trio.SocketStream]] = {}

    def stream(self, path: str, *pieces: bytes) -> None:
        """More of a stream."""
        self.streams.setdefault(path, []).extend(pieces)
        self._wake()

    async def until(self, path: str, times: int = 1) -> None:
        """Wait until it was asked for `path` so often."""
        with trio.fail_after(10):
            while sum(1 for each in self.asked if each.partition("?")[0] == path) < times:
                await self._news.wait()

    async def cut(self, path: str) -> None:
        """End the streams that are open there."""
        for stream in self._flowing.pop(path, []):
            await trio.aclose_forcefully(stream)

    async def end(self) -> None:
        """The process ends: nobody listens any more, and all connections are cut."""
        for listener in self._listeners:
            await listener.aclose()
        for stream in self._open:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stub]:
        async with trio.open_nursery() as nursery:
            self._listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.url = f"http://127.0.0.1:{self._listeners[0].socket.getsockname()[1]}"
            nursery.start_soon(self._serve)
            yield self
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        try:
            await trio.serve_listeners(self._one, self._listeners)
        except* trio.ClosedResourceError:
            pass

    async def _one(self, stream: trio.SocketStream) -> None:
        self._open.append(stream)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._answer(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await stream.receive_some(65_536)
            if not piece:
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(v) for k, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if k.lower() == b"content-length"),
            0,
        )
        while len(body) < length:
            body += await stream.receive_some(65_536)
        path = head.split()[1].decode()
        self.asked.append(path)
        self.heads.append(head)
        self.bodies.append(body)
        self._wake()
        bare = path.partition("?")[0]
        if bare in self.streams:
            await self._flow(stream, bare)
            return
        status = self.statuses.get(bare, 200 if bare in self.answers else 404)
        answer = self.answers.get(bare, {})
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data)
        await stream.aclose()

    async def _flow(self, stream: trio.SocketStream, path: str) -> None:
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
        )
        self._flowing.setdefault(path, []).append(stream)
        sent = 0
        while True:
            news = self._news
            for piece in self.streams[path][sent:]:
                await stream.send_all(b"%x\r\n" % len(piece) + piece + b"\r\n")
                sent += 1
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
