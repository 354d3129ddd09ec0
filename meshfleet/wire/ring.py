"""The fleet's keyring as its owner signed it: which keys open, which one seals, and how often that was changed.

Only the authority makes a ring, so no member can give another one false keys; a higher version replaces a lower one.
A ring holds secrets: it travels over mutual TLS alone, and is kept in a file that only its owner can read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshfleet.errors import ConfigError, Malformed
from meshfleet.wire import cbor
from meshfleet.wire.keyring import KEY_BYTES, KEY_ID_BYTES, KEYS, Keyring, key_id_of

if TYPE_CHECKING:
    from meshfleet.wire.identity import Authority, Fleet

PURPOSE = b"ring"

RING_LIMIT = 1_024
"""Bytes of an encoded ring: four keys and a signature take some 250."""

RING_ITEMS = 128
"""Items of CBOR in it; four keys come to 17."""

_Moment = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class RingKey(msgspec.Struct, frozen=True, array_like=True):
    """One key, and when it was added, in milliseconds since 1970 by the authority's clock."""

    secret: Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    added_ms: _Moment

    @property
    def key_id(self) -> bytes:
        """The two bytes by which packets name it."""
        return key_id_of(self.secret)

    def __repr__(self) -> str:
        return f"RingKey({self.key_id.hex()})"


class Ring(msgspec.Struct, frozen=True, array_like=True):
    """See the module."""

    version: _Moment
    current: Annotated[bytes, msgspec.Meta(min_length=KEY_ID_BYTES, max_length=KEY_ID_BYTES)]
    """Id of the key that seals."""
    keys: Annotated[tuple[RingKey, ...], msgspec.Meta(min_length=1, max_length=KEYS)]
    """Oldest first."""
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]

    def secrets(self) -> tuple[bytes, ...]:
        """All keys."""
        return tuple(key.secret for key in self.keys)

    def dump(self) -> bytes:
        """As bytes, for a file or a TLS stream."""
        return cbor.dump(msgspec.to_builtins(self, builtin_types=(bytes,)))

    @property
    def is_settled(self) -> bool:
        """Whether no rotation is under way."""
        return len(self.keys) == 1


def first_ring(authority: Authority, now_ms: int, secret: bytes | None = None) -> Ring:
    """The ring of a new fleet. Its version is the time, so that a ring that was lost is followed by a higher one."""
    key = RingKey(os.urandom(KEY_BYTES) if secret is None else secret, now_ms)
    return _signed(authority, max(1, now_ms), key.key_id, (key,))


def with_new_key(authority: Authority, ring: Ring, now_ms: int) -> Ring:
    """First step: everybody opens with a new key too. ConfigError while there is no room for one."""
    if len(ring.keys) >= KEYS:
        raise ConfigError(f"the ring holds {KEYS} keys already; a rotation is still under way.")
    taken = {key.key_id for key in ring.keys}
    while (key := RingKey(os.urandom(KEY_BYTES), now_ms)).key_id in taken:
        pass  # one in 65,536
    return _signed(authority, ring.version + 1, ring.current, (*ring.keys, key))


def with_newest_in_use(authority: Authority, ring: Ring) -> Ring:
    """Second step: everybody seals with the newest key."""
    return _signed(authority, ring.version + 1, ring.keys[-1].key_id, ring.keys)


def with_newest_alone(authority: Authority, ring: Ring) -> Ring:
    """Third step: nobody opens with the others any more."""
    return _signed(authority, ring.version + 1, ring.keys[-1].key_id, ring.keys[-1:])


def keyring_of(ring: Ring, fleet: Fleet) -> Keyring:
    """What seals and opens with the keys of `ring`."""
    keyring = Keyring(ring.keys[0].secret, fleet.fleet_id)
    keyring.follow(ring.secrets(), ring.current)
    return keyring


def read_ring(fleet: Fleet, data: bytes) -> Ring:
    """The ring that `data` is. Malformed where it is none, or not of this fleet's authority."""
    if len(data) > RING_LIMIT:
        raise Malformed(f"a ring of {len(data)} bytes; at most {RING_LIMIT} are read.")
    try:
        ring = msgspec.convert(cbor.load_strange(data, max_depth=4, most=RING_ITEMS), Ring, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Malformed(f"not a ring: {error}") from error
    ids = [key.key_id for key in ring.keys]
    if ring.current not in ids or len(set(ids)) != len(ids):
        raise Malformed("a ring whose keys don't fit together.")
    if not fleet.checks(PURPOSE, ring.signature, _said(ring.version, ring.current, ring.keys)):
        raise Malformed("a ring that this fleet's authority did not sign.")
    return ring


def _signed(authority: Authority, version: int, current: bytes, keys: tuple[RingKey, ...]) -> Ring:
    return Ring(version, current, keys, authority.sign(PURPOSE, _said(version, current, keys)))


def _said(version: int, current: bytes, keys: tuple[RingKey, ...]) -> bytes:
    return cbor.dump([version, current, [[key.secret, key.added_ms] for key in keys]])
