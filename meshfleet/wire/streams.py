"""Streams, sealed: each connection has keys of its own, and frames can't be dropped, repeated or moved unnoticed.

    dialer    -> hello: version (1 byte, 0x01), key id (2), salt (16 random bytes)
    acceptor  -> hello: the same version and key id, and a salt of its own
    both      -> frames: the packet sealed by ChaCha20-Poly1305, 16 bytes longer

Each direction has its key: BLAKE2b(fleet key, fleet id + dialer's salt + acceptor's salt + direction). The nonce is
the number of the frame in its direction, from 0; it is not sent, since a stream keeps its order. So a frame that is
missing, repeated, reordered or reflected does not open, and nothing after it does. Each side draws its salt anew, so
that nothing recorded from another connection opens in this one; equal keys would take two equal salts of 128 bits on
both sides. Who does not hold the fleet key can exchange hellos and nothing else: give the first frame a deadline.
"""

from __future__ import annotations

import os
from typing import Final
from weakref import WeakSet

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from meshfleet.errors import TooBig, Unsealed
from meshfleet.wire.keyring import KEY_ID_BYTES, FleetKey, Keyring
from meshfleet.wire.seal import FRAME_LIMIT, TAG_BYTES, Draw

STREAM_VERSION: Final = 1
STREAM_SALT_BYTES: Final = 16
HELLO_BYTES: Final = 1 + KEY_ID_BYTES + STREAM_SALT_BYTES

FRAME_OVERHEAD: Final = TAG_BYTES


class StreamSealer:
    """One side's seal on one connection, after both hellos. Once a frame did not open, none does: close the stream."""

    def __init__(self, outbound: ChaCha20Poly1305, inbound: ChaCha20Poly1305, fleet_id: bytes) -> None:
        self._outbound: ChaCha20Poly1305 | None = outbound
        self._inbound: ChaCha20Poly1305 | None = inbound
        self._fleet_id = fleet_id
        self._sent = 0
        self._received = 0
        _STREAMS.add(self)

    def seal(self, plain: bytes) -> bytes:
        """`plain` as the next frame; TooBig where it would be over the limit of frames."""
        if len(plain) > FRAME_LIMIT - FRAME_OVERHEAD:
            raise TooBig(f"a packet of {len(plain)} bytes; a frame holds {FRAME_LIMIT - FRAME_OVERHEAD}.")
        if self._outbound is None:
            raise Unsealed("this stream's seal was given up. Open a new stream.")
        number = self._sent.to_bytes(12, "big")
        self._sent += 1
        return self._outbound.encrypt(number, plain, self._fleet_id)

    def open(self, sealed: bytes) -> bytes:
        """What the next frame holds; Unsealed or TooBig where it is not the peer's next."""
        try:
            return self._open(sealed)
        except (TooBig, Unsealed):
            self._inbound = None
            raise

    def give_up(self) -> None:
        """Seal and open nothing more."""
        self._outbound = self._inbound = None

    def _open(self, sealed: bytes) -> bytes:
        if len(sealed) > FRAME_LIMIT:
            raise TooBig(f"a frame of {len(sealed)} bytes; at most {FRAME_LIMIT} are sent.")
        if self._inbound is None or len(sealed) < FRAME_OVERHEAD:
            raise Unsealed("not a frame of this stream.")
        try:
            plain = self._inbound.decrypt(self._received.to_bytes(12, "big"), sealed, self._fleet_id)
        except InvalidTag:
            raise Unsealed("not the peer's next frame.") from None
        self._received += 1
        return plain


class StreamDialer:
    """The dialer's side of a stream's beginning: send `hello`, and give the answer to `finish`."""

    def __init__(self, keyring: Keyring, draw: Draw = os.urandom) -> None:
        self._fleet_id = keyring.fleet_id
        self._key = keyring.current
        self._salt = draw(STREAM_SALT_BYTES)
        self.hello = _hello(self._key, self._salt)

    def finish(self, answer: bytes) -> StreamSealer:
        """The seal of the connection; Unsealed where `answer` is no answer to this hello."""
        key_id, salt = _read_hello(answer)
        if key_id != self._key.key_id:
            raise Unsealed("the answer names another key than the one it was asked with.")
        there, back = _keys(self._key, self._fleet_id, self._salt, salt)
        return StreamSealer(there, back, self._fleet_id)


def accept_stream(keyring: Keyring, hello: bytes, draw: Draw = os.urandom) -> tuple[bytes, StreamSealer]:
    """The acceptor's side: what to answer to the dialer's `hello`, and the seal of the connection.

    Raises Unsealed where the dialer is a stranger: then answer nothing.
    """
    key_id, dialer_salt = _read_hello(hello)
    key = keyring.find(key_id)
    if key is None:
        raise Unsealed("sealed with a key that this fleet does not have.")
    salt = draw(STREAM_SALT_BYTES)
    there, back = _keys(key, keyring.fleet_id, dialer_salt, salt)
    return _hello(key, salt), StreamSealer(back, there, keyring.fleet_id)


def _hello(key: FleetKey, salt: bytes) -> bytes:
    return bytes((STREAM_VERSION,)) + key.key_id + salt


def _read_hello(hello: bytes) -> tuple[bytes, bytes]:
    if len(hello) != HELLO_BYTES or hello[0] != STREAM_VERSION:
        raise Unsealed("not the hello of a stream of this protocol.")
    return hello[1 : 1 + KEY_ID_BYTES], hello[1 + KEY_ID_BYTES :]


def _keys(key: FleetKey, fleet_id: bytes, dialer: bytes, acceptor: bytes) -> tuple[ChaCha20Poly1305, ChaCha20Poly1305]:
    """What the dialer seals with, and what the acceptor seals with."""
    there = key.derive(b"mf1 stream", fleet_id + dialer + acceptor + b"there")
    back = key.derive(b"mf1 stream", fleet_id + dialer + acceptor + b"back")
    return ChaCha20Poly1305(there), ChaCha20Poly1305(back)


_STREAMS: WeakSet[StreamSealer] = WeakSet()


def _give_up_all() -> None:
    """A forked child would number its frames as its parent does: the same nonces for other frames."""
    for stream in list(_STREAMS):
        stream.give_up()


os.register_at_fork(after_in_child=_give_up_all)
