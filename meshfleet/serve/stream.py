"""`/v1/fleet/events`: one watcher of the feed, any number of readers, none of whom can slow another or the node.

A reader is told the whole view, then each newer one. While it is slow, views pass it by: it gets the newest when it is
ready again. So a reader that stands still costs one frame, never a queue.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import trio
from starlette.responses import Response

from meshfleet.serve.answers import Refusal
from meshfleet.serve.encoded import Encoded
from meshfleet.serve.limits import (
    KEEP_ALIVE_SECONDS,
    REFRESH_SECONDS,
    STREAMS_LIMIT,
    STREAMS_PER_CLIENT,
    UPDATE_SECONDS,
    Counts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

    from meshfleet.serve.encoded import Encoding
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.gate import Client

KEEP_ALIVE = b": still here\n\n"
# Browsers wait 3 s by default before they connect again; the node's own restart takes less.
RETRY = b"retry: 1000\n"


class Update(NamedTuple):
    """One view as all its readers get it."""

    number: int
    """Counts the updates of one node's life, so that readers know how many passed them by."""
    encoded: Encoded
    frame: bytes


class Broadcast:
    """Watches the feed while somebody reads, and wakes all readers at each news."""

    def __init__(self, feed: Feed, encoding: Encoding, counts: Counts) -> None:
        self.counts = counts
        self.clients: Counter[str] = Counter()
        """How many streams each client reads."""
        self.closed = False
        self.news = trio.Event()
        """Set, and replaced by another, whenever there is something to look at."""
        self.latest = Update(0, Encoded("", b""), b"")
        self._feed = feed
        self._encoding = encoding
        self._wanted = trio.Event()

    async def run(self) -> None:
        """Watch until cancelled. With no reader nothing is built, encoded or waited for."""
        while True:
            if not self.clients:
                self._wanted = trio.Event()
                await self._wanted.wait()
            self._look()
            await trio.sleep(UPDATE_SECONDS)
            with trio.move_on_after(REFRESH_SECONDS - UPDATE_SECONDS):
                await self._feed.changed(self.latest.encoded.version)

    @contextmanager
    def follow(self, client: str) -> Iterator[Follower]:
        """A reader's place, for as long as it reads. Refusal where all are taken (503), or all of that client (429)."""
        if self.clients[client] >= STREAMS_PER_CLIENT:
            self.counts.streams_refused += 1
            raise Refusal(
                429,
                f"This key has {STREAMS_PER_CLIENT} event streams open here, as many as one may. Close one, or let its "
                "readers share a stream.",
                headers={"Retry-After": "10"},
            )
        if self.clients.total() >= STREAMS_LIMIT:
            self.counts.streams_refused += 1
            raise Refusal(
                503,
                f"All {STREAMS_LIMIT} event streams of this node are in use. Poll /v1/fleet with If-None-Match, ask "
                "another node of the fleet, or come back when one is closed.",
                headers={"Retry-After": "10"},
            )
        if not self.clients.total():
            self._look()  # while nobody read, nothing was looked at
        self.clients[client] += 1
        self._wanted.set()
        try:
            yield Follower(self)
        finally:
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]

    def close(self) -> None:
        """End all streams, each after the frame that it is at."""
        self.closed = True
        self._wake()

    def _look(self) -> None:
        encoded = self._encoding.current()
        if encoded is not self.latest.encoded:
            self.latest = Update(self.latest.number + 1, encoded, frame("update", encoded))
            self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = trio.Event()


class Follower:
    """One reader: what it was sent last, and what to send it next."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._sent = broadcast.latest

    @property
    def snapshot(self) -> bytes:
        """What a stream begins with: the whole view, as it was when the reader came."""
        return RETRY + frame("snapshot", self._sent.encoded)

    async def next_frame(self) -> bytes | None:
        """The newest update, once there is one; a comment where none comes for long; None when the stream is to end."""
        if not self._broadcast.closed and self._broadcast.latest is self._sent:
            with trio.move_on_after(KEEP_ALIVE_SECONDS):
                await self._broadcast.news.wait()
        if self._broadcast.closed:
            return None
        latest = self._broadcast.latest
        if latest is self._sent:
            return KEEP_ALIVE
        self._broadcast.counts.updates_merged += latest.number - self._sent.number - 1
        self._sent = latest
        return latest.frame


class EventStream(Response):
    """A response that goes on for as long as its reader listens."""

    media_type = "text/event-stream"

    def __init__(self, broadcast: Broadcast, client: Client) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._broadcast = broadcast
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send frames until the reader goes away, its session is over or the node ends."""
        with self._broadcast.follow(self._client.name) as follower:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_send_frames, follower, send, nursery.cancel_scope, self._client.seconds)
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_frames(follower: Follower, send: Send, stream: trio.CancelScope, seconds: float) -> None:
    piece: bytes | None = follower.snapshot
    end = trio.current_time() + seconds
    while piece is not None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        piece = None
        with trio.move_on_at(end):  # between two frames, never within one
            piece = await follower.next_frame()
    stream.cancel()


def frame(event: str, encoded: Encoded) -> bytes:
    """One server-sent event (HTML standard, section 9.2): its id is the version, its data one line of JSON."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.encode(), encoded.version.encode(), encoded.body)
