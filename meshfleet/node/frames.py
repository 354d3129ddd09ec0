"""What streams are made of: TLS over a `Stream` of the network, and in it frames with their length in front."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple

import trio

from meshfleet.errors import TooBig, Untrusted
from meshfleet.wire.seal import FRAME_LIMIT

if TYPE_CHECKING:
    from meshfleet.node.network import Stream

LENGTH_BYTES = 4

_OTHER_AUTHORITY = frozenset({7, 18, 19, 20, 21})
"""X509_V_ERR_* (openssl/x509_vfy.h) of a certificate that no authority known here has signed, be it in the name of one
(7: the signature is not that one's); nameless in Python."""

_TO_ENTER = (
    "This node is not in that one: run `meshfleet invite` there, and start this one with --invite LINE and a new "
    "--state-dir"
)


class Frames:
    """Frames on one stream: each a length, four bytes, big-endian, and that many bytes."""

    def __init__(self, tls: trio.SSLStream[Stream], transport: Stream, limit: int = FRAME_LIMIT) -> None:
        self._tls = tls
        self._transport = transport
        self.limit = limit
        """Bytes of a frame, either way."""
        self._buffer = bytearray()

    async def send(self, frame: bytes) -> None:
        """One frame. TooBig where it is over the limit, and then nothing was sent."""
        if len(frame) > self.limit:
            raise TooBig(f"a packet of {len(frame)} bytes; a frame holds {self.limit}.")
        await self._tls.send_all(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)

    async def receive(self) -> bytes:
        """The next frame. BrokenResourceError at the end of the stream, TooBig before one over the limit is read."""
        length = int.from_bytes(await self._take(LENGTH_BYTES), "big")
        if length > self.limit:
            raise TooBig(f"a frame of {length} bytes; at most {self.limit} are sent.")
        return await self._take(length)

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            try:
                data = await self._tls.receive_some()
            except trio.BrokenResourceError:
                await self._see_how_it_ended()
                raise
            if not data:
                raise trio.BrokenResourceError("the stream ended")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _see_how_it_ended(self) -> None:
        """Where sending failed first, TLS reads no more; but what the peer's kernel said last lies in ours still."""
        with trio.move_on_after(1.0):
            try:
                while self._transport.saw is None and await self._transport.receive_some():
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                pass


class Hello(NamedTuple):
    """A stream after its handshake."""

    protocol: str
    certificate: bytes | None
    """What the peer showed, as DER, not looked at beyond what TLS does; a newcomer shows none."""
    frames: Frames


async def greet(stream: Stream, context: ssl.SSLContext, *, dialled: bool) -> Hello:
    """TLS with whoever is there. BrokenResourceError where that fails; Untrusted where it speaks another protocol."""
    tls: trio.SSLStream[Stream] = trio.SSLStream(stream, context, server_side=not dialled, https_compatible=True)
    await tls.do_handshake()
    protocol = tls.selected_alpn_protocol()
    if protocol is None:
        raise Untrusted("it speaks TLS, and not a protocol of ours")
    return Hello(protocol, tls.getpeercert(binary_form=True), Frames(tls, stream))


def broken_because(errors: BaseExceptionGroup[trio.BrokenResourceError]) -> str | None:
    """What TLS said when it broke a stream, in words; None where the network broke it."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return broken_because(error)
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _OTHER_AUTHORITY:
                return f"it belongs to another fleet. {_TO_ENTER}"
            return f"its certificate is not good here ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or str(cause)).lower().replace("_", " ")
            if "unknown ca" in reason:
                return f"it refuses this node's certificate, so it belongs to another fleet. {_TO_ENTER}"
            if "certificate" in reason:
                return f"it refuses this node's certificate ({reason})"
            return f"TLS with it failed ({reason}), so it can't show that it belongs to this fleet"
    return None
