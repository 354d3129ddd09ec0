"""The fleet's keys: one that seals, and others that still open while a new key goes round.

A key is 32 random bytes. Nothing is ever sealed with it: for each use a key of its own is derived by keyed BLAKE2b
(RFC 7693: a pseudorandom function, with a personalisation that keeps the uses apart; 0.5 us here, HKDF takes 2.3).
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from meshfleet.errors import ConfigError

KEY_BYTES = 32
KEY_ID_BYTES = 2
"""Enough to tell a stranger's bytes from the fleet's 65,535 times in 65,536 before any cryptography is done."""

FLEET_ID_BYTES = 16

KEYS = 4
"""Keys in a ring. A rotation needs two; the rest is room for one that was left half done."""


def key_id_of(key: bytes) -> bytes:
    """By which id packets name `key`."""
    return blake2b(b"", digest_size=KEY_ID_BYTES, key=key, person=b"mf1 key id").digest()


class FleetKey(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One key and the id by which packets name it."""

    secret: bytes
    key_id: bytes

    def __repr__(self) -> str:
        return f"FleetKey({self.key_id.hex()})"

    def derive(self, purpose: bytes, context: bytes) -> bytes:
        """32 bytes for one purpose (at most 16 bytes of name) in one context (a salt, a connection)."""
        return blake2b(context, digest_size=KEY_BYTES, key=self.secret, person=purpose).digest()


class Keyring:
    """The keys of one fleet. Rotation in three steps, each taken by all nodes before the next: add, use, remove.

    The fleet's id, which is its authority's, goes into every seal, so that two fleets never merge where an address
    changes hands.
    """

    def __init__(self, key: bytes, fleet_id: bytes) -> None:
        self._keys: dict[bytes, FleetKey] = {}
        self.version = 0
        """Changes with every change of the ring, so that whoever caches derived keys knows when to forget them."""
        self._current = self._keys[self.add(key)]
        self.fleet_id = fleet_id
        if len(self.fleet_id) != FLEET_ID_BYTES:
            raise ConfigError(f"a fleet id has {FLEET_ID_BYTES} bytes; this one has {len(self.fleet_id)}.")

    @property
    def current(self) -> FleetKey:
        """The key that seals."""
        return self._current

    def find(self, key_id: bytes) -> FleetKey | None:
        """The key of that id, if it is in the ring."""
        return self._keys.get(key_id)

    def add(self, key: bytes) -> bytes:
        """Open with `key` too, from now on; its id. Adding it twice changes nothing. ConfigError where it can't be."""
        if len(key) != KEY_BYTES:
            raise ConfigError(f"a fleet key has {KEY_BYTES} bytes; this one has {len(key)}.")
        key_id = key_id_of(key)
        known = self._keys.get(key_id)
        if known is not None and known.secret == key:
            return key_id
        if known is not None:
            raise ConfigError(f"another key of the ring has the id {key_id.hex()} already. Draw a new key.")
        if len(self._keys) >= KEYS:
            raise ConfigError(f"the ring holds {KEYS} keys already. Remove one that is no longer used.")
        self._keys[key_id] = FleetKey(key, key_id)
        self.version += 1
        return key_id

    def use(self, key_id: bytes) -> None:
        """Seal with that key from now on."""
        self._current = self._known(key_id)
        self.version += 1

    def remove(self, key_id: bytes) -> None:
        """Open nothing more that was sealed with that key."""
        if self._known(key_id) is self._current:
            raise ConfigError(f"key {key_id.hex()} is the one that seals. Use another before it is removed.")
        del self._keys[key_id]
        self.version += 1

    def follow(self, keys: tuple[bytes, ...], current: bytes) -> None:
        """Be these keys, of which the one with the id `current` seals; nothing in between is ever seen."""
        wanted = {key_id_of(key): key for key in keys}
        if current not in wanted:
            raise ConfigError(f"key {current.hex()} is to seal, and is not in the ring.")
        self._keys = {key_id: self._keys.get(key_id) or FleetKey(key, key_id) for key_id, key in wanted.items()}
        self._current = self._keys[current]
        self.version += 1

    def _known(self, key_id: bytes) -> FleetKey:
        key = self._keys.get(key_id)
        if key is None:
            known = ", ".join(each.hex() for each in self._keys)
            raise ConfigError(f"no key {key_id.hex()} in the ring. It holds {known}.")
        return key
