"""What arrives on a stream, behind TLS: lengths, and as many bytes of packets, in pieces of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import trio
from hypothesis import strategies as st

from meshfleet.errors import WireError
from meshfleet.node.frames import Frames
from meshfleet.wire.codec import decode_packet, encode_packet
from tests.wire.strategies import packets

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

REFUSES = (WireError, trio.BrokenResourceError)


class _Pieces:
    """A TLS stream that has all that will ever come, and gives it in pieces."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        self._at = 0

    async def receive_some(self) -> bytes:
        self._at += self._size
        return self._data[self._at - self._size : self._at]


def finish(coroutine: Coroutine[object, object, T]) -> T:
    """What `coroutine` returns, which never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("it waits for something")


def receive(data: bytes) -> None:
    """The first byte says in which pieces the rest arrives: of one byte, two, four, … up to 32 KiB."""
    frames = Frames(cast("Any", _Pieces(data[1:], 1 << data[0] % 16 if data else 1)), cast("Any", None))
    while True:
        decode_packet(finish(frames.receive()))


def _framed(told: list[bytes]) -> bytes:
    return b"\x0c" + b"".join(len(packet).to_bytes(4, "big") + packet for packet in told)


drawn: st.SearchStrategy[bytes] = st.lists(packets.map(encode_packet), min_size=1, max_size=3).map(_framed)
