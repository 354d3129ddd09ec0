"""One virtual TCP connection: two ends, each a Trio stream, between kernels that answer as Linux's do.

What a process gives away is delivered in order, sent again while nothing passes, and bounded: who writes to a peer that
does not read waits. A process that ends leaves a FIN, or an RST where bytes lay unread. Silence ends a connection only
when ten seconds of keepalives went unanswered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.gossip.messages import StreamEnd
from meshfleet.node.network import Stream
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.sim.attachment import Attachment
    from meshfleet.sim.fabric import Fabric

ON_THE_WAY = 262_144
"""Bytes that one end has sent and the other's process has not read. At it `send_all` waits."""

AGAIN_US = 1_000_000
"""Until what could not pass is sent again. A real kernel begins with 0.2 s and doubles it."""

IDLE_US = 5_000_000
"""Silence after which a kernel asks the other whether it is still there, as node.sockets sets it."""

ASK_EVERY_US = 1_000_000

GIVE_UP_US = 10_000_000
"""Silence after which a connection is given up: five questions unanswered."""

ORPHAN_US = 60_000_000
"""For how long a kernel remembers an end that its process has closed and the other side has not."""


class End(Stream, trio.abc.HalfCloseableStream):
    """One side of a connection."""

    def __init__(self, fabric: Fabric, owner: Attachment, near: Address, far: Address) -> None:
        super().__init__()
        self.near = near
        self.far = far
        self._fabric = fabric
        self._owner = owner
        self._machine = owner.machine
        self._other: End
        self._inbox = bytearray()
        self._wake = trio.Event()
        self._room = trio.Event()
        self._receiving = self._sending = False
        self._closed = False
        """Closed by its process."""
        self._known = True
        """Whether the kernel still knows of it."""
        self._broken = False
        self._fin_sent = self._fin_seen = False
        self._out = 0
        """Bytes sent that the other's process has not read."""
        self._sent = self._got = 0
        """Numbers of the next segment to send, and of the next to hand over."""
        self._early: dict[int, bytes] = {}
        self._last_us = 0
        """When the last segment sent arrives: no RST overtakes it."""
        self._heard_us = fabric.now_us
        owner.ends[self] = None

    def connect(self, other: End) -> None:
        """Both ends know each other from here on."""
        self._other, other._other = other, self
        for end in (self, other):
            self._fabric.after(IDLE_US, end._look)

    # What the process does

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data`; waits while too much is on its way."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            self._owner.counts["stream_bytes_out"] += len(data)
            rest = bytes(data)
            while rest:
                piece, rest = rest[: ON_THE_WAY - self._out], rest[ON_THE_WAY - self._out :]
                if piece:
                    self._out += len(piece)
                    self._send(piece)
                if rest:
                    await self._have_room()
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """Until there is room."""
        await trio.lowlevel.checkpoint()
        self._check_sendable()
        if self._out >= ON_THE_WAY:
            await self._have_room()

    async def _have_room(self) -> None:
        self._room = trio.Event()
        await self._room.wait()
        self._check_sendable()

    def _check_sendable(self) -> None:
        if self._closed or (self._fin_sent and not self._broken):
            raise trio.ClosedResourceError("this end was closed")
        if self._broken:
            raise trio.BrokenResourceError("the connection was reset")

    async def send_eof(self) -> None:
        """A FIN: nothing more comes from here, and what comes from there is still read."""
        await trio.lowlevel.checkpoint()
        if not self._fin_sent:
            self._check_sendable()
            self._fin()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some bytes, or none at the end; which end it was is noted in `saw`."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving on this stream")
        self._receiving = True
        try:
            if self._is_readable():  # else the waiting is the checkpoint
                await trio.lowlevel.checkpoint()
            while not self._is_readable():
                self._wake = trio.Event()
                await self._wake.wait()
        finally:
            self._receiving = False
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")
        if self._broken:
            self.saw = self.saw or StreamEnd.RESET
            raise trio.BrokenResourceError("the connection was reset")
        if not self._inbox:
            self.saw = self.saw or StreamEnd.EOF
            return b""
        return self._read(max_bytes or len(self._inbox))

    def _is_readable(self) -> bool:
        return bool(self._closed or self._broken or self._inbox or self._fin_seen)

    def _read(self, at_most: int) -> bytes:
        data = bytes(self._inbox[:at_most])
        del self._inbox[:at_most]
        self._owner.counts["stream_bytes_in"] += len(data)
        if self._other._out >= ON_THE_WAY:
            self._fabric.after(self._fabric.way_us(self._machine, self._other._machine), self._other._room_arrives)
        self._other._out -= len(data)
        return data

    def acknowledged_ago(self) -> float | None:
        """Seconds since the other's kernel last acknowledged anything; None once this end was closed."""
        return None if self._closed else max(0, self._fabric.now_us - self._heard_us) / MICROSECONDS

    async def aclose(self) -> None:
        """FIN after a goodbye, else RST."""
        self._close(politely=self.farewell)
        await trio.lowlevel.checkpoint()

    # What the kernel does

    def abandon(self) -> None:
        """Its process died: the kernel closes it."""
        self._close(politely=True)

    def reset(self) -> None:
        """Closed in a hurry."""
        self._close(politely=False)

    def vanish(self) -> None:
        """The machine lost its power, and with it all memory of the connection."""
        self._closed = True
        self._forget()

    def _close(self, *, politely: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if self._known:
            if not politely or self._inbox:
                self._rst()
            else:
                self._fin()
                self._fabric.after(ORPHAN_US, self._forget)
        self._inbox.clear()
        self._wake.set()
        self._room.set()

    def _forget(self) -> None:
        self._known = False
        self._owner.ends.pop(self, None)
        self._wake.set()
        self._room.set()

    def _break(self) -> None:
        if self._known:
            self._broken = True
            self._inbox.clear()
            self._forget()

    def _fin(self) -> None:
        if not self._fin_sent:
            self._fin_sent = True
            self._send(b"")

    def _send(self, segment: bytes) -> None:
        self._sent += 1
        self._transmit(self._sent - 1, segment)

    def _transmit(self, number: int, segment: bytes) -> None:
        """Segment `number` leaves, or leaves later. An empty one is the FIN."""
        if not self._known:
            return
        fabric, there = self._fabric, self._other._machine
        if not fabric.passes(self._machine, there):
            fabric.after(AGAIN_US, self._transmit, number, segment)
            return
        arrives_us = fabric.now_us + fabric.way_us(self._machine, there)
        self._last_us = max(self._last_us, arrives_us)
        fabric.at(arrives_us, self._other._arrives, number, segment)

    def _arrives(self, number: int, segment: bytes) -> None:
        fabric, other = self._fabric, self._other
        if not self._machine.powered or self._machine.nic_down:
            fabric.after(AGAIN_US, other._transmit, number, segment)
            return
        if not self._known or (self._closed and segment):
            self._rst()
            return
        now_us = fabric.now_us
        self._heard_us = max(self._heard_us, now_us)
        other._heard_us = max(other._heard_us, now_us + fabric.way_us(self._machine, other._machine))
        self._early[number] = segment
        while self._got in self._early:
            self._take(self._early.pop(self._got))
            self._got += 1
        self._wake.set()

    def _take(self, segment: bytes) -> None:
        if segment:
            self._inbox += segment
            return
        self._fin_seen = True
        if self._closed and self._other._closed:
            self._forget()
            self._other._forget()

    def _room_arrives(self) -> None:
        self._room.set()

    def _rst(self) -> None:
        fabric, there = self._fabric, self._other._machine
        if fabric.passes(self._machine, there):
            when_us = max(self._last_us, fabric.now_us + fabric.way_us(self._machine, there))
            fabric.at(when_us, self._other._reset_arrives)
        self._forget()

    def _reset_arrives(self) -> None:
        if self._machine.powered and not self._machine.nic_down:
            self._break()

    def _look(self) -> None:
        """Whether the other kernel still answers."""
        if not self._known or self._closed:
            return
        fabric, now_us = self._fabric, self._fabric.now_us
        if not self._machine.powered:  # asleep: its clock stands still
            self._heard_us += ASK_EVERY_US
            fabric.after(ASK_EVERY_US, self._look)
            return
        silent_us = now_us - self._heard_us
        if silent_us >= GIVE_UP_US:
            self._break()
            return
        if silent_us >= IDLE_US and fabric.passes(self._machine, self._other._machine):
            there = self._other._machine
            trip_us = fabric.way_us(self._machine, there) + fabric.way_us(there, self._machine)
            if self._other._known:
                self._heard_us = now_us + trip_us
                self._other._heard_us = max(self._other._heard_us, now_us)
            else:
                fabric.after(trip_us, self._reset_arrives)
        silent_us = now_us - self._heard_us
        fabric.after(ASK_EVERY_US if silent_us >= IDLE_US else IDLE_US - silent_us, self._look)
