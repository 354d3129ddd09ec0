"""One stream with one peer: TLS 1.3, in it frames of one packet each, and how it begins and ends.

Begin: both sides show their certificates. The first frame of each side is an empty packet, which says who speaks; that
must be whom the certificate names. End: a Goodbye, then FIN. Any other end is RST.

A frame is its length, four bytes, and a packet. There was a WebSocket here once: its framing, masking and closing
handshake did nothing for two programs of ours over TLS but cost a round trip, a dependency, and time.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import TooBig, Untrusted, WireError
from meshfleet.gossip.messages import Goodbye, Message, Packet, StreamEnd
from meshfleet.node.frames import Frames, Hello, broken_because
from meshfleet.node.tls import ENTRANCE
from meshfleet.wire.codec import decode_packet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.node.network import Stream
    from meshfleet.node.trust import MeshTrust

HANDSHAKE = 5.0
"""Seconds in which a stranger must have shown that it belongs to the fleet."""

QUEUE = 128
"""Frames that wait for a slow peer. At it the oldest goes: `dropped_frame`. Those that still wait when the stream is
over: `dropped_unsent`."""

PARTING = 1.0
"""Seconds that the other side has to hang up after a Goodbye. Closing before it did could make a RST, which would
take the Goodbye from it."""

UNPROVEN = "it closed the connection before it had shown that it belongs to this fleet"


class Link:
    """See the module. Lives in `run`; everything else may be called from any task of the same Trio run."""

    def __init__(self, address: Address, peer: NodeName | None, *, dialled: bool, count: Callable[[str], None]) -> None:
        self.address = address
        self.peer = peer
        """Who is there: whom we expect, until it has shown its certificate; then who it is."""
        self.sought: NodeName | None = None
        """Who was expected, where somebody else is."""
        self.dialled = dialled
        self.kept = False
        """A standing stream: not closed for being idle."""
        self.ready = trio.Event()
        """Set once the peer has shown that it belongs to the fleet."""
        self.not_after = math.inf
        """When the certificate ends by which it did: nobody is told more on the strength of it."""
        self.over = trio.Event()
        self.failure: str | None = None
        self.active_at = trio.current_time()
        self._count = count
        self._queue: deque[tuple[Message, ...]] = deque()
        self._wake = trio.Event()
        self._closing = False
        self.said_goodbye = False
        self.stream: Stream | None = None
        self._scope: trio.CancelScope | None = None

    @property
    def is_closing(self) -> bool:
        """Whether either side has said the last word: what is queued now is not sent."""
        return self._closing or self.said_goodbye

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

    def throw_out(self, why: str) -> None:
        """End it at once, with an RST."""
        self.failure, self._closing = why, True
        if self._scope is not None:
            self._scope.cancel()

    def end(self) -> None:
        """It is over: nothing that waits is sent any more."""
        self.over.set()
        for messages in self._queue:
            if any(not isinstance(message, Goodbye) for message in messages):
                self._count("dropped_unsent")
        self._queue.clear()

    async def run(
        self,
        stream: Stream,
        trust: MeshTrust,
        encode: Callable[[tuple[Message, ...]], bytes],
        receive: Callable[[Packet, Link], None],
        may_send: Callable[[NodeName | None], Awaitable[None]],
        enter: Callable[[Hello, Address], Awaitable[None]],
        counts: Counter[str],
    ) -> StreamEnd:
        """Speak with the peer until either side ends it; how it ended, as seen from here. A newcomer is taken to
        `enter` instead."""
        self.stream = stream
        entered = False
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                with trio.fail_after(HANDSHAKE):
                    hello = await trust.greet(stream, dialled=self.dialled)
                    if entered := hello.protocol == ENTRANCE:
                        await enter(hello, self.address)
                        nursery.cancel_scope.cancel()
                        await trio.lowlevel.checkpoint()
                    certificate = trust.admit(hello.certificate)
                    self.not_after = certificate.not_after
                    self._meet(certificate.name)
                    await may_send(self.peer)
                    self._queue.appendleft(())
                    nursery.start_soon(self._send_forever, hello.frames, stream, encode, may_send, nursery.cancel_scope)
                    await self._receive_one(hello.frames, receive, counts)
                self.ready.set()
                while not self.said_goodbye:
                    await self._receive_one(hello.frames, receive, counts)
                nursery.cancel_scope.cancel()
        except* trio.BrokenResourceError as errors:
            self.failure = self.failure or broken_because(errors) or UNPROVEN
        except* trio.TooSlowError:
            self.failure = f"it did not show within {HANDSHAKE:.0f} s that it belongs to this fleet"
            self._count("stream_mute")
        except* trio.ClosedResourceError:
            self.failure = self.failure or "it was closed from here"
        except* WireError as errors:
            for error in _leaves(errors):
                self.failure = str(error) if isinstance(error, Untrusted) else f"what it sent makes no sense ({error})"
                self._count(f"stream_{error.cause}")
        finally:
            self.end()
            if not self.ready.is_set() and not self.dialled and not entered:
                self._count("stream_unproven")
            await trio.aclose_forcefully(stream)
        return self._end(stream)

    def _end(self, stream: Stream) -> StreamEnd:
        if self.said_goodbye:
            return StreamEnd.GOODBYE
        if self._closing or stream.saw is None:
            return StreamEnd.DROPPED
        return stream.saw

    def _meet(self, name: NodeName) -> None:
        expected, self.peer = self.peer, name
        if expected not in (None, name):
            self.sought = expected
            raise Untrusted(f"{name} answers at the address of {expected}, by its certificate")

    async def _receive_one(self, frames: Frames, receive: Callable[[Packet, Link], None], counts: Counter[str]) -> None:
        packet = decode_packet(await frames.receive(), counts)
        if packet.source != self.peer:
            raise Untrusted(f"{packet.source} speaks on the stream of {self.peer}")
        self.active_at = trio.current_time()
        self.said_goodbye = any(isinstance(message, Goodbye) for message in packet.messages)
        receive(packet, self)

    async def _send_forever(
        self,
        frames: Frames,
        stream: Stream,
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
                await frames.send(encode(messages))
            except TooBig:
                self._count("frame_too_big")  # the core packs by size: a bug of ours, and no reason to end the stream
                continue
            except trio.BrokenResourceError:
                return  # it ended; whoever reads from it sees how
            if messages and isinstance(messages[-1], Goodbye):
                stream.farewell = True
                await trio.sleep(PARTING)
                link.cancel()
                return


def _leaves(group: BaseExceptionGroup[WireError]) -> list[WireError]:
    found: list[WireError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
