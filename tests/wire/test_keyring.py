"""Keys and their rotation: add, use, remove."""

from __future__ import annotations

import pytest

from meshfleet.errors import ConfigError
from meshfleet.wire.keyring import KEYS, Keyring, key_id_of

OLD, NEW, FLEET = b"o" * 32, b"n" * 32, b"f" * 16


def test_a_ring_seals_with_its_first_key_until_told_otherwise() -> None:
    ring = Keyring(OLD, FLEET)
    new = ring.add(NEW)
    assert ring.current.secret == OLD
    ring.use(new)
    assert ring.current.secret == NEW


def test_the_fleet_stays_the_same_when_its_first_key_goes() -> None:
    ring = Keyring(OLD, FLEET)
    fleet = ring.fleet_id
    old = ring.current.key_id
    ring.use(ring.add(NEW))
    ring.remove(old)
    assert ring.find(old) is None
    assert ring.fleet_id == fleet


def test_neither_the_key_id_nor_the_fleet_id_nor_its_repr_gives_the_key_away() -> None:
    ring = Keyring(OLD, FLEET)
    assert len(ring.current.key_id) == 2
    assert len(ring.fleet_id) == 16
    assert repr(ring.current) == f"FleetKey({ring.current.key_id.hex()})"


def test_keys_derived_for_two_purposes_or_contexts_differ() -> None:
    key = Keyring(OLD, FLEET).current
    derived = {key.derive(purpose, context) for purpose in (b"a", b"b") for context in (b"", b"1", b"2")}
    assert len(derived) == 6


def test_adding_a_key_twice_changes_nothing() -> None:
    ring = Keyring(OLD, FLEET)
    ring.add(NEW)
    version, known = ring.version, ring.find(key_id_of(NEW))
    ring.add(NEW)
    assert (ring.find(key_id_of(NEW)), ring.version) == (known, version)


def test_the_key_that_seals_can_not_be_removed() -> None:
    ring = Keyring(OLD, FLEET)
    with pytest.raises(ConfigError, match="Use another"):
        ring.remove(ring.current.key_id)


def test_a_ring_is_bounded_and_says_so() -> None:
    ring = Keyring(bytes(32), FLEET)
    for i in range(1, KEYS):
        ring.add(bytes([i]) * 32)
    with pytest.raises(ConfigError, match=f"holds {KEYS} keys"):
        ring.add(NEW)


@pytest.mark.parametrize("key", [b"", b"short", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        Keyring(key, FLEET)


def test_a_fleet_id_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 bytes"):
        Keyring(OLD, b"short")


def test_an_unknown_key_can_be_neither_used_nor_removed() -> None:
    ring = Keyring(OLD, FLEET)
    for step in (ring.use, ring.remove):
        with pytest.raises(ConfigError, match="no key ffff"):
            step(b"\xff\xff")


def test_two_keys_that_share_an_id_are_never_in_one_ring() -> None:
    ring = Keyring(OLD, FLEET)
    # 65,536 ids: 400,000 keys miss the one that is wanted with a chance of e^-6, and these do not.
    twin = next(key for i in range(400_000) if key_id_of(key := i.to_bytes(32, "big")) == ring.current.key_id)
    with pytest.raises(ConfigError, match="Draw a new key"):
        ring.add(twin)


def test_a_ring_can_become_another_at_once_and_keeps_what_is_in_both() -> None:
    ring = Keyring(OLD, FLEET)
    old, version = ring.current, ring.version
    ring.follow((OLD, NEW), key_id_of(NEW))
    assert ring.current.secret == NEW
    assert ring.find(old.key_id) is old
    assert ring.version > version
    ring.follow((NEW,), key_id_of(NEW))
    assert ring.find(old.key_id) is None
    with pytest.raises(ConfigError, match="not in the ring"):
        ring.follow((NEW,), key_id_of(OLD))
    assert ring.current.secret == NEW
