"""One stream with one peer: a WebSocket whose every frame is sealed, and how it begins and ends.

Begin: both sides send a random salt in the clear; from both and the fleet's key come the two directions' keys. The
first sealed frame of each side is an empty packet, which says who speaks. End: a sealed Goodbye, then FIN. Any other
end is RST.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import trio
import trio_websocket

from meshfleet.errors import Malformed, TooBig, WireError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.messages import Goodbye, Message, Packet, StreamEnd
from meshfleet.wire.codec import decode_packet
from meshfleet.wire.seal import FRAME_LIMIT
from meshfleet.wire.streams import StreamDialer, StreamSealer, accept_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshfleet.node.network import Stream
    from meshfleet.wire.keyring import Keyring

HANDSHAKE = 5.0
"""Seconds in which a stranger must have shown that it belongs to the fleet."""

QUEUE = 128
"""Frames that wait for a slow peer. At it the oldest goes: `dropped_frame`."""

PATH = "/mesh"


class Link:
    """See the module. Lives in `run`; everything else may be called from any task of the same Trio run."""

    def __init__(self, address: Address, peer: NodeName | None, *, dialled: bool, count: Callable[[str], None]) -> None:
        self.address = address
        self.peer = peer
        """Who is there: whom we expect, until it has spoken; then who it is."""
        self.dialled = dialled
        self.kept = False
        """A standing stream: not closed for being idle."""
        self.ready = trio.Event()
        """Set once the peer has shown that it belongs to the fleet."""
        self.over = trio.Event()
        self.failure: str | None = None
        self.active_at = trio.current_time()
        self._count = count
        self._queue: deque[tuple[Message, ...]] = deque()
        self._wake = trio.Event()
        self._closing = False
        self.said_goodbye = False
        self.stream: Stream | None = None

    def send(self, messages: tuple[Message, ...]) -> None:
        """Queue one packet."""
        self.active_at = trio.current_time()
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self._count("dropped_frame")
        self._queue.append(messages)
        self._wake.set()

    def close(self) -> None:
        """End it on purpose, after what is queued."""
        if not self._closing:
            self._closing = True
            self.send((Goodbye(),))

    async def run(
        self,
        stream: Stream,
        keyring: Keyring,
        encode: Callable[[tuple[Message, ...]], bytes],
        receive: Callable[[Packet, Link], None],
        may_send: Callable[[NodeName | None], Awaitable[None]],
        counts: Counter[str],
    ) -> StreamEnd:
        """Speak with the peer until either side ends it; how it ended, as seen from here."""
        self.stream = stream
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(HANDSHAKE):
                    ws, sealer = await self._greet(nursery, stream, keyring)
                    self._queue.appendleft(())
                    self._wake.set()
                    nursery.start_soon(self._send_forever, ws, stream, sealer, encode, may_send, nursery.cancel_scope)
                    await self._receive_one(ws, sealer, receive, counts)
                self.ready.set()
                while not self.said_goodbye:
                    await self._receive_one(ws, sealer, receive, counts)
        except* (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError, trio.BrokenResourceError):
            self.failure = self.failure or "it closed the connection before it had shown that it belongs to this fleet"
        except* trio.TooSlowError:
            self.failure = f"it did not show within {HANDSHAKE:.0f} s that it belongs to this fleet"
            self._count("stream_mute")
        except* trio.ClosedResourceError:
            self.failure = self.failure or "it was closed from here"
        except* WireError as errors:
            for error in _leaves(errors):
                self.failure = f"what it sent is not of this fleet ({error})"
                self._count(f"stream_{error.cause}")
        finally:
            self.over.set()
            if not self.ready.is_set() and not self.dialled:
                self._count("stream_unproven")
            await trio.aclose_forcefully(stream)
        return self._end(stream)

    def _end(self, stream: Stream) -> StreamEnd:
        if self.said_goodbye:
            return StreamEnd.GOODBYE
        if self._closing or stream.saw is None:
            return StreamEnd.DROPPED
        return stream.saw

    async def _greet(
        self, nursery: trio.Nursery, stream: Stream, keyring: Keyring
    ) -> tuple[trio_websocket.WebSocketConnection, StreamSealer]:
        if self.dialled:
            ws = await trio_websocket.wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type]  # typed for sockets alone, yet any Trio stream will do
                str(self.address),
                PATH,
                max_message_size=FRAME_LIMIT,
            )
        else:
            request = await trio_websocket.wrap_server_stream(nursery, stream, max_message_size=FRAME_LIMIT)
            if request.path != PATH:
                await request.reject(404)
                raise Malformed(f"asked for {request.path[:40]!r} instead of {PATH}")
            ws = await request.accept()
        if self.dialled:
            dialer = StreamDialer(keyring)
            await ws.send_message(dialer.hello)
            return ws, dialer.finish(await _bytes(ws))
        answer, sealer = accept_stream(keyring, await _bytes(ws))
        await ws.send_message(answer)
        return ws, sealer

    async def _receive_one(
        self,
        ws: trio_websocket.WebSocketConnection,
        sealer: StreamSealer,
        receive: Callable[[Packet, Link], None],
        counts: Counter[str],
    ) -> None:
        packet = decode_packet(sealer.open(await _bytes(ws)), counts)
        if not self.ready.is_set():
            expected, self.peer = self.peer, NodeName(packet.source)
            if expected not in (None, self.peer):
                raise Malformed(f"{packet.source} answers at the address of {expected}")
        elif packet.source != self.peer:
            raise Malformed(f"{packet.source} speaks on the stream of {self.peer}")
        self.active_at = trio.current_time()
        self.said_goodbye = any(isinstance(message, Goodbye) for message in packet.messages)
        receive(packet, self)

    async def _send_forever(
        self,
        ws: trio_websocket.WebSocketConnection,
        stream: Stream,
        sealer: StreamSealer,
        encode: Callable[[tuple[Message, ...]], bytes],
        may_send: Callable[[NodeName | None], Awaitable[None]],
        link: trio.CancelScope,
    ) -> None:
        while True:
            while not self._queue:
                self._wake = trio.Event()
                await self._wake.wait()
            messages = self._queue.popleft()
            await may_send(self.peer)
            try:
                frame = sealer.seal(encode(messages))
            except TooBig:
                self._count("frame_too_big")  # the core packs by size: a bug of ours, and no reason to end the stream
                continue
            await ws.send_message(frame)
            if messages and isinstance(messages[-1], Goodbye):
                stream.farewell = True
                with trio.move_on_after(1.0):
                    await ws.aclose()
                link.cancel()
                return


async def _bytes(ws: trio_websocket.WebSocketConnection) -> bytes:
    frame = await ws.get_message()
    if not isinstance(frame, bytes):
        raise Malformed("a text frame, where only binary ones are spoken")
    return frame


def _leaves(group: BaseExceptionGroup[WireError]) -> list[WireError]:
    found: list[WireError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
