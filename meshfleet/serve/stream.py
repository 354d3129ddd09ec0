"""`/v1/fleet/events`: one watcher of the feed, any number of readers, none of whom can slow another or the node.

A reader is told the whole view, and then what changed in it (`client.change`). While it is slow, looks pass it by: when
it is ready again it gets each node and agent that changed meanwhile, once. So a reader that stands still costs one
frame, never a queue; and one that comes back says what it was told last, and goes on from there.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.responses import Response

from meshfleet.serve.answers import Refusal
from meshfleet.serve.changes import Changes
from meshfleet.serve.limits import (
    BURST,
    KEEP_ALIVE_SECONDS,
    REFRESH_SECONDS,
    STREAMS_LIMIT,
    STREAMS_PER_CLIENT,
    UPDATE_SECONDS,
    Counts,
)
from meshfleet.serve.line import bound_buffer, chunk, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from meshfleet.fleet.view import FleetView
    from meshfleet.serve.encoded import Encoding
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.gate import Client
    from meshfleet.serve.line import Line

KEEP_ALIVE = b": still here\n\n"
KEEP_ALIVE_CHUNK = chunk(KEEP_ALIVE)
# Browsers wait 3 s by default before they connect again; the node's own restart takes less.
RETRY = b"retry: 1000\n"
RETRY_CHUNK = chunk(RETRY)

NUMBER_DIGITS = 16
"""Of a look's number in an id: four looks a second come to it in no time that matters."""

FRAMES_LIMIT = 64
"""Frames of one look that are kept: readers that are not slow all need the same one."""


class Told:
    """One event of the stream, whatever carries it."""

    def __init__(self, event: str, told_id: str, data: bytes) -> None:
        self.event = event
        """`snapshot` or `update`."""
        self.id = told_id
        """What to say on coming back."""
        self.data = data
        """JSON: a FleetView, or a Change."""

    @cached_property
    def chunk(self) -> bytes:
        """As it goes over a line. Made once for all who are told the same."""
        return chunk(frame(self))


class Broadcast:
    """Watches the feed while somebody reads, and wakes all readers at each news."""

    def __init__(self, feed: Feed, encoding: Encoding, counts: Counts) -> None:
        self.counts = counts
        self.clients: Counter[str] = Counter()
        """How many streams each client reads."""
        self.closed = False
        self.news = trio.Event()
        """Set, and replaced by another, whenever there is something to look at."""
        self._feed = feed
        self._encoding = encoding
        self._changes = Changes()
        self._view: FleetView | None = None
        self._life = os.urandom(4).hex()
        """Begins all ids: those of another life mean nothing."""
        self._updates: dict[int, Told] = {}
        self._followers: dict[Follower, Callable[[], bool]] = {}
        """All of them, and whether each may still be told."""
        self._held_at = 0.0
        """When that was asked last."""
        self._lines: dict[Line, Follower] = {}
        self._spread_number = 0
        self._spread_at = 0.0
        self._snapshot: Told | None = None
        self._wanted = trio.Event()

    @property
    def number(self) -> int:
        """Of the newest look."""
        return self._changes.number

    async def run(self) -> None:
        """Watch until cancelled. With no reader nothing is built, encoded or waited for."""
        next_at, self._spread_at, self._held_at = -math.inf, trio.current_time(), trio.current_time()
        while True:
            if not self.clients:
                self._wanted = trio.Event()
                await self._wanted.wait()
            next_at = max(next_at, trio.current_time() - BURST * UPDATE_SECONDS) + UPDATE_SECONDS
            view = self._look()
            self._end_void()
            self._spread()
            with trio.move_on_after(REFRESH_SECONDS):
                await self._feed.changed(view.version)
            await trio.sleep_until(next_at)

    @contextmanager
    def follow(
        self, client: str, last_id: str | None = None, holds: Callable[[], bool] = lambda: True
    ) -> Iterator[Follower]:
        """A reader's place, for as long as it reads; `last_id`: what it was told last; `holds`: whether its session
        still does, which is asked each KEEP_ALIVE_SECONDS. Refusal where all are taken (503), or all of that client
        (429)."""
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
        follower = Follower(self, last_id)
        self._followers[follower] = holds
        try:
            yield follower
        finally:
            del self._followers[follower]
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]

    @contextmanager
    def on(self, line: Line, follower: Follower) -> Iterator[None]:
        """While this lasts, the follower's updates and signs of life are offered to the line: `_spread` does."""
        self._lines[line] = follower
        try:
            yield
        finally:
            del self._lines[line]

    def close(self) -> None:
        """End all streams, each after the frame that it is at."""
        self.closed = True
        self._wake()
        for line in self._lines:
            line.wake()

    def _end_void(self) -> None:
        """End the streams whose token is good no more: the fleet's key was changed, perhaps because of them. A look at
        500 takes some 10 ms, so it is not done with each update."""
        now = trio.current_time()
        if now - self._held_at < KEEP_ALIVE_SECONDS - REFRESH_SECONDS:
            return
        self._held_at = now
        for follower, holds in self._followers.items():
            if not holds():
                follower.end()
        for line, follower in self._lines.items():
            if follower.over:
                line.wake()

    def _spread(self) -> None:
        """Offer what is new to all lines, or a sign of life where nothing was for long. In one go: 500 take some 6 ms,
        less than a view does; if others got their turn in between, the last reader would wait for them."""
        now = trio.current_time()
        silent = now - self._spread_at >= KEEP_ALIVE_SECONDS - REFRESH_SECONDS
        if self._spread_number == self.number and not silent:
            return
        self._spread_number, self._spread_at = self.number, now
        for line, follower in self._lines.items():
            if line.idle:
                told = follower.take()
                if told is not None or silent:
                    line.offer(KEEP_ALIVE_CHUNK if told is None else told.chunk)

    def snapshot(self) -> Told:
        """The whole view, as of the newest look."""
        view = self._look() if self._view is None else self._view
        if self._snapshot is None:
            self._snapshot = Told("snapshot", self._id(), self._encoding.of(view).body)
        return self._snapshot

    def since(self, number: int) -> Told | None:
        """What changed after that look. Made once for all who need it. None where a snapshot is needed."""
        told = self._updates.get(number)
        if told is None:
            change = self._changes.since(number)
            if change is None:
                return None
            told = Told("update", self._id(), msgspec.json.encode(change))
            if len(self._updates) < FRAMES_LIMIT:
                self._updates[number] = told
        return told

    def number_of(self, last_id: str) -> int | None:
        """The look that an id of this life stands for."""
        life, _, number = last_id.partition("-")
        known = life == self._life and number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS
        return int(number) if known else None

    def _id(self) -> str:
        return f"{self._life}-{self._changes.number}"

    def _look(self) -> FleetView:
        view = self._feed.fleet()
        if self._changes.look(view):
            self._updates.clear()
            self._snapshot = None
            self._view = view
            self._wake()
        return view

    def _wake(self) -> None:
        self.news.set()
        self.news = trio.Event()


class Follower:
    """One reader: what it was told last, and what to tell it next."""

    def __init__(self, broadcast: Broadcast, last_id: str | None) -> None:
        self._broadcast = broadcast
        known = None if last_id is None else broadcast.number_of(last_id)
        first = None if known is None else broadcast.since(known)
        self.first = broadcast.snapshot() if first is None else first
        """What its stream begins with: the whole view, or what it missed."""
        self._told = broadcast.number
        self.over = False
        """Its reader may be told no more."""
        self._waiting = trio.CancelScope()

    def end(self) -> None:
        """Tell it nothing more."""
        self.over = True
        self._waiting.cancel()

    async def next(self) -> Told | None:
        """The newest, once there is something; None where nothing came for so long that a sign of life is due. Raises
        trio.EndOfChannel when the stream is to end."""
        broadcast = self._broadcast
        if not broadcast.closed and not self.over and broadcast.number == self._told:
            with trio.move_on_after(KEEP_ALIVE_SECONDS) as self._waiting:
                await broadcast.news.wait()
        if broadcast.closed or self.over:
            raise trio.EndOfChannel
        return self.take()

    def take(self) -> Told | None:
        """What there is to tell now, once; None where that is nothing."""
        broadcast = self._broadcast
        if broadcast.number == self._told:
            return None
        told = broadcast.since(self._told) or broadcast.snapshot()
        broadcast.counts.updates_merged += broadcast.number - self._told - 1
        self._told = broadcast.number
        return told


class EventStream(Response):
    """A response that goes on for as long as its reader listens."""

    media_type = "text/event-stream"

    def __init__(self, broadcast: Broadcast, client: Client, last_id: str | None = None) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._last_id = last_id
        self._broadcast = broadcast
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send frames until the reader goes away, its session is over or the node ends."""
        with self._broadcast.follow(self._client.name, self._last_id, self._client.holds) as follower:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                bound_buffer(scope)
                line, end = line_of(scope), trio.current_time() + self._client.seconds
                async with trio.open_nursery() as nursery:
                    if line is None:
                        nursery.start_soon(_send_frames, follower, send, nursery.cancel_scope, end)
                    else:
                        nursery.start_soon(self._follow_on, line, follower, nursery.cancel_scope, end)
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow_on(self, line: Line, follower: Follower, stream: trio.CancelScope, end: float) -> None:
        """The same over a line."""
        broadcast = self._broadcast
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await line.send(RETRY_CHUNK)
            await line.send(follower.first.chunk)
            while not broadcast.closed and not follower.over and trio.current_time() < end:
                missed = follower.take()  # while something was sent it was offered nothing
                if missed is not None:
                    await line.send(missed.chunk)
                    continue
                with broadcast.on(line, follower), trio.move_on_at(end):
                    await line.wait()
                await line.send()  # never ends within an event
        stream.cancel()


async def _send_frames(follower: Follower, send: Send, stream: trio.CancelScope, end: float) -> None:
    piece = RETRY + frame(follower.first)
    while True:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        with trio.move_on_at(end) as session:  # between two frames, never within one
            try:
                told = await follower.next()
            except trio.EndOfChannel:
                break
        if session.cancelled_caught:
            break
        piece = KEEP_ALIVE if told is None else frame(told)
    stream.cancel()


def frame(told: Told) -> bytes:
    """One server-sent event (HTML standard, section 9.2): its data is one line of JSON."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (told.event.encode(), told.id.encode(), told.data)
