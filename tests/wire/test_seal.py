"""Sealed datagrams: what the fleet says comes through, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import Replayed, TooBig, Unsealed, Untrusted
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.wire import seal as seal_module
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import HEADER_BYTES, OVERHEAD, SENDERS, WINDOW, Sealer, UnknownKey

KEY, OTHER, FLEET = b"k" * 32, b"o" * 32, b"f" * 16


def who_and_which(sealed: bytes) -> bytes:
    """Key id, salt and counter: what makes up key and nonce."""
    return sealed[1:HEADER_BYTES]


@given(st.binary(max_size=DATAGRAM_BYTES - OVERHEAD))
def test_what_one_node_seals_another_of_its_fleet_opens(plain: bytes) -> None:
    sealed = Sealer(Keyring(KEY, FLEET)).seal(plain)
    assert Sealer(Keyring(KEY, FLEET)).open(sealed) == plain
    assert len(sealed) == len(plain) + OVERHEAD
    assert OVERHEAD <= 36


def test_nothing_of_the_plain_text_shows() -> None:
    assert b"project-name" not in Sealer(Keyring(KEY, FLEET)).seal(b"project-name")


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(Unsealed):
        Sealer(Keyring(OTHER, FLEET)).open(Sealer(Keyring(KEY, FLEET)).seal(b"hello"))


def test_another_fleet_does_not_open_it_though_it_has_the_key() -> None:
    sealed = Sealer(Keyring(KEY, b"fleet-one-------")).seal(b"hello")
    with pytest.raises(Unsealed):
        Sealer(Keyring(KEY, b"fleet-two-------")).open(sealed)


def test_a_context_that_differs_does_not_open_it() -> None:
    sealer = Sealer(Keyring(KEY, FLEET))
    sealed = sealer.seal(b"hello", b"to n2")
    for context in (b"", b"to n3"):
        with pytest.raises(Unsealed):
            sealer.open(sealed, context)
    assert sealer.open(sealed, b"to n2") == b"hello"


def test_each_single_flipped_bit_is_noticed() -> None:
    opener, sender = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    assert opener.open(sender.seal(b"known"))
    sealed = sender.seal(b"twelve bytes")
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Unsealed, Replayed)):  # the counter is in it: some flips make an earlier datagram's
            opener.open(bytes(changed))
    assert opener.open(sealed) == b"twelve bytes"


def test_each_truncation_is_noticed() -> None:
    opener = Sealer(Keyring(KEY, FLEET))
    sealed = Sealer(Keyring(KEY, FLEET)).seal(b"twelve bytes")
    for length in range(len(sealed)):
        with pytest.raises(Unsealed):
            opener.open(sealed[:length])
    with pytest.raises(Unsealed):
        opener.open(sealed + b"\x00")


def test_no_datagram_over_the_limit_is_sealed_or_opened() -> None:
    sealer = Sealer(Keyring(KEY, FLEET))
    assert len(sealer.seal(bytes(DATAGRAM_BYTES - OVERHEAD))) == DATAGRAM_BYTES
    with pytest.raises(TooBig, match="1365"):
        sealer.seal(bytes(DATAGRAM_BYTES - OVERHEAD + 1))
    with pytest.raises(TooBig, match="1401"):
        sealer.open(bytes(DATAGRAM_BYTES + 1))


def test_no_two_datagrams_share_key_and_nonce() -> None:
    ring = Keyring(KEY, FLEET)
    seen: set[bytes] = set()
    for _restart in range(20):
        sealer = Sealer(ring)
        seen.update(who_and_which(sealer.seal(b"")) for _ in range(50))
    assert len(seen) == 1000


def test_before_the_counter_runs_out_a_new_salt_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_module, "_LAST", 2)
    sealer, opener = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    sealed = [sealer.seal(bytes([i])) for i in range(10)]
    assert [opener.open(each) for each in sealed] == [bytes([i]) for i in range(10)]
    assert len({who_and_which(each) for each in sealed}) == 10
    assert {each[HEADER_BYTES - 5 : HEADER_BYTES] for each in sealed} == {bytes(4) + bytes([i]) for i in range(3)}


def test_after_a_resume_it_goes_on_as_another_sender() -> None:
    sealer = Sealer(Keyring(KEY, FLEET))
    before = sealer.seal(b"")
    sealer.renew()
    assert who_and_which(sealer.seal(b""))[:-5] != who_and_which(before)[:-5]


def test_a_forked_child_never_seals_with_its_parents_nonces() -> None:
    script = """
import os, sys
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import Sealer, HEADER_BYTES
sealer = Sealer(Keyring(bytes(32), bytes(16)))
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, sealer.seal(b"child")[:HEADER_BYTES])
    os._exit(0)
os.wait()
print(os.read(read, 100).hex(), sealer.seal(b"parent")[:HEADER_BYTES].hex())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    child, parent = done.stdout.split()
    assert child[:6] == parent[:6]
    assert child != parent


def test_randomness_can_be_given_so_that_simulations_repeat() -> None:
    def draw(count: int) -> bytes:
        return b"s" * count

    assert Sealer(Keyring(KEY, FLEET), draw).seal(b"x") == Sealer(Keyring(KEY, FLEET), draw).seal(b"x")


def test_a_rotation_in_three_steps_loses_no_datagram() -> None:
    rings = [Keyring(KEY, FLEET) for _ in range(3)]
    sealers = [Sealer(ring) for ring in rings]
    old = rings[0].current.key_id

    def all_hear_all() -> None:
        for sender in sealers:
            sealed = sender.seal(b"beat")
            assert [receiver.open(sealed) for receiver in sealers] == [b"beat"] * 3

    new = old
    for ring in rings:
        new = ring.add(OTHER)
        all_hear_all()
    for ring in rings:
        ring.use(new)
        all_hear_all()
    late = Sealer(Keyring(KEY, FLEET)).seal(b"late")
    for ring in rings:
        ring.remove(old)
        all_hear_all()
    for sealer in sealers:
        with pytest.raises(Unsealed):
            sealer.open(late)


def test_a_removed_key_no_longer_opens_even_for_senders_that_are_known() -> None:
    ring = Keyring(KEY, FLEET)
    opener, sender = Sealer(ring), Sealer(Keyring(KEY, FLEET))
    assert opener.open(sender.seal(b"one")) == b"one"
    old = ring.current.key_id
    ring.use(ring.add(OTHER))
    ring.remove(old)
    with pytest.raises(Unsealed):
        opener.open(sender.seal(b"two"))


def test_strangers_can_not_push_a_sender_out_of_the_cache_or_fill_it() -> None:
    opener, sender = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    sealed = sender.seal(b"known")
    opener.open(sealed)
    for i in range(2 * SENDERS):
        with pytest.raises(Unsealed):
            opener.open(sealed[:3] + i.to_bytes(12, "big") + sealed[15:])
    assert opener.senders == 1


def test_the_cache_of_senders_is_bounded_and_the_longest_silent_goes_first() -> None:
    opener = Sealer(Keyring(KEY, FLEET))
    many = [Sealer(Keyring(KEY, FLEET)) for _ in range(SENDERS + 10)]
    for sender in many:
        assert opener.open(sender.seal(b"x")) == b"x"
    assert opener.senders == SENDERS
    assert opener.open(many[0].seal(b"again")) == b"again"


@given(st.binary(max_size=DATAGRAM_BYTES))
def test_random_bytes_are_never_opened(data: bytes) -> None:
    with pytest.raises(Unsealed):
        Sealer(Keyring(KEY, FLEET)).open(data)


def test_keys_are_drawn_from_the_system_unless_told_otherwise() -> None:
    assert Sealer(Keyring(os.urandom(32), FLEET)).seal(b"")[1:15] != Sealer(Keyring(KEY, FLEET)).seal(b"")[1:15]


@given(st.lists(st.integers(0, 400), max_size=300))
def test_each_datagram_is_opened_once_and_what_is_too_old_never(order: list[int]) -> None:
    sender, opener = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    sealed = [sender.seal(b"%d" % i) for i in range(401)]
    here: set[int] = set()
    for i in order:
        if i in here or i <= max(here, default=-1) - WINDOW:
            with pytest.raises(Replayed):
                opener.open(sealed[i])
        else:
            assert opener.open(sealed[i]) == b"%d" % i
            here.add(i)


def test_what_was_damaged_on_the_way_is_not_taken_for_the_datagram_that_it_was() -> None:
    sender, opener = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    opener.open(sender.seal(b"known"))
    sealed = sender.seal(b"whole")
    with pytest.raises(Unsealed):
        opener.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert opener.open(sealed) == b"whole"


def test_a_rotation_makes_no_old_datagram_new() -> None:
    ring = Keyring(KEY, FLEET)
    sender, opener = Sealer(Keyring(KEY, FLEET)), Sealer(ring)
    sealed = sender.seal(b"once")
    opener.open(sealed)
    ring.use(ring.add(OTHER))
    opener.renew()
    with pytest.raises(Replayed):
        opener.open(sealed)


def test_a_salt_is_held_to_the_first_name_that_speaks_under_it() -> None:
    sender, opener = Sealer(Keyring(KEY, FLEET)), Sealer(Keyring(KEY, FLEET))
    for name in ("n1", "n1"):
        sealed = sender.seal(b"x")
        opener.open(sealed)
        opener.hold_to(sealed, name)
    sealed = sender.seal(b"x")
    opener.open(sealed)
    with pytest.raises(Untrusted, match="n2 speaks with the salt of n1"):
        opener.hold_to(sealed, "n2")


def test_a_key_that_is_not_known_is_told_from_a_seal_that_is_broken() -> None:
    with pytest.raises(UnknownKey):
        Sealer(Keyring(KEY, FLEET)).open(Sealer(Keyring(OTHER, FLEET)).seal(b""))
