"""A reader's connection, written to without the layers between: what is told to hundreds is made once, chunk and all.

An update that goes through ASGI, h11 and a task of its own costs some 0.3 ms a reader, of which the kernel's part is
0.01. So the broadcast gives the same bytes to each connection itself, and a reader's task wakes for nothing but what
its connection did not take at once. Where each reader's bytes are its own (TLS), all goes the long way.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import trio

from meshfleet.serve.limits import STREAM_BUFFER

if TYPE_CHECKING:
    from starlette.types import Scope

    from meshfleet.serve.listen import BoundedStream

STREAM = "stream"
"""Under what name a request's state has its BoundedStream."""


class Line:
    """One connection over which an endless answer goes. Between two pieces it is idle, and may be offered one."""

    __slots__ = ("_rest", "_stream", "_wake")

    def __init__(self, stream: BoundedStream) -> None:
        self._stream = stream
        self._rest = memoryview(b"")
        self._wake = trio.Event()

    def offer(self, piece: bytes) -> None:
        """Give it what its kernel takes now, and its own task the rest. Never waits."""
        try:
            # By its number, asked for each time: a socket that was closed meanwhile has none.
            taken = os.write(self._stream.socket.fileno(), piece)
        except OSError:
            taken = 0  # full, or gone: its task finds out which
        if taken < len(piece):
            self._rest = memoryview(piece)[taken:]
            self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether it waits for something to send."""
        return not self._wake.is_set()

    def wake(self) -> None:
        """Let its task go on."""
        self._wake.set()

    async def wait(self) -> None:
        """Until something was not taken whole, or `wake` was called."""
        await self._wake.wait()

    async def send(self, piece: bytes = b"") -> None:
        """What was left over, and then all of this. trio.BrokenResourceError and trio.ClosedResourceError where the
        reader is gone, or takes nothing for too long."""
        rest, self._rest = self._rest, memoryview(b"")
        await self._stream.send_all(rest)
        await self._stream.send_all(piece)
        self._wake = trio.Event()


def line_of(scope: Scope) -> Line | None:
    """The line of a request's connection; None where its bytes have to be made for it alone."""
    stream: BoundedStream | None = scope.get("state", {}).get(STREAM)
    if stream is None or scope["scheme"] != "http" or scope["http_version"] != "1.1":
        return None
    return Line(stream)


def bound_buffer(scope: Scope) -> None:
    """Let the kernel keep little for a reader that stops reading. It would hold some megabytes, all of it old news."""
    stream: BoundedStream | None = scope.get("state", {}).get(STREAM)
    if stream is not None:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER)


def chunk(piece: bytes) -> bytes:
    """As HTTP/1.1 sends a piece of an answer whose length nobody knows (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
