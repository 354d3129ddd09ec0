"""What arrives at a UDP port: strangers' bytes, and what members seal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.wire.codec import decode_packet, encode_packet
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import OVERHEAD, Sealer
from tests.wire.strategies import packets

if TYPE_CHECKING:
    from hypothesis import strategies as st

SEALED = 1_400 - OVERHEAD
KEY, FLEET = bytes(range(32)), bytes(range(16))

_receiver = Sealer(Keyring(KEY, FLEET))
_sender = Sealer(Keyring(KEY, FLEET), lambda count: bytes(count))


def receive(data: bytes) -> None:
    """As the driver does. Begins anew where it was seen before, so that each input does the same every time."""
    _receiver._senders.clear()
    decode_packet(_receiver.open(data))


def _sealed(packet: bytes) -> bytes:
    return _sender.seal(packet[:SEALED])


drawn: st.SearchStrategy[bytes] = packets.map(encode_packet).map(_sealed)
