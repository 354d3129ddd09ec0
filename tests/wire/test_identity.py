"""Certificates: what the fleet's authority signed is believed, for as long as it is good, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import ConfigError, Malformed, Untrusted
from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Revoked
from meshfleet.wire.identity import (
    BACKDATED,
    FOREVER,
    LIFETIME,
    Authority,
    Fleet,
    NodeKey,
    der_of,
    is_signed,
    pem_of,
    read_request,
)
from meshfleet.wire.revocation import is_genuine, revoke
from meshfleet.wire.ring import first_ring, keyring_of, read_ring, with_new_key, with_newest_alone, with_newest_in_use

NOW = 1_763_923_200.0
N1 = NodeName("n1")
OURS = Authority.begin(NodeKey.of(b"o" * 32), NOW)
THEIRS = Authority.begin(NodeKey.of(b"t" * 32), NOW)
KEY = NodeKey.of(b"n" * 32)


@given(st.binary(max_size=300), st.integers(0), st.integers(1, 64))
def test_a_signature_is_good_for_all_of_its_data_and_for_nothing_else(data: bytes, place: int, moved: int) -> None:
    signature = KEY.sign(data)
    assert is_signed(KEY.public, signature, data)
    whole = bytearray(signature + data)
    whole[place // 8 % len(whole)] ^= 1 << place % 8
    assert not is_signed(KEY.public, bytes(whole[:64]), bytes(whole[64:]))
    assert not is_signed(KEY.public, signature[:-moved], signature[-moved:] + data), "the border is not where it was"
    assert not is_signed(KEY.public, signature + data[:moved], data[moved:]) or not data
    assert not is_signed(OURS.key.public, signature, data)
    assert not is_signed(KEY.public + b"\0", signature, data), "a key has 32 bytes, and no more are ever looked at"


@given(st.binary(max_size=40), st.binary(max_size=70), st.binary(max_size=9))
def test_whatever_is_no_signature_is_not_one_and_raises_nothing(public: bytes, signature: bytes, data: bytes) -> None:
    assert not is_signed(public, signature, data)
    assert not is_signed(KEY.public, signature, data)


def test_a_certificate_says_name_role_key_and_time() -> None:
    certificate = OURS.fleet.verify(OURS.issue(N1, "observer", KEY.public, NOW).der, NOW)
    assert (certificate.name, certificate.role, certificate.public) == ("n1", "observer", KEY.public)
    assert (certificate.not_before, certificate.not_after) == (NOW - BACKDATED, NOW + LIFETIME)
    assert not certificate.is_due(NOW)
    assert certificate.is_due(NOW + LIFETIME / 2)


def test_a_certificate_is_good_and_not_due_from_when_it_begins_and_due_before_it_ends() -> None:
    certificate = OURS.issue(N1, "agent", KEY.public, NOW)
    begins, ends = certificate.not_before, certificate.not_after
    moments = [begins - 1, begins, ends - 1, ends]
    assert [certificate.is_good(at) for at in moments] == [False, True, True, False]
    assert [certificate.is_due(at) for at in moments] == [True, False, True, True]


def test_the_certificate_of_another_fleet_is_not_believed() -> None:
    with pytest.raises(Untrusted, match="not of this fleet"):
        OURS.fleet.verify(THEIRS.issue(N1, "agent", KEY.public, NOW).der, NOW)


def test_a_certificate_that_a_member_signed_is_not_believed() -> None:
    hostile = Authority.begin(KEY, NOW)
    with pytest.raises(Untrusted, match="not of this fleet"):
        OURS.fleet.verify(hostile.issue(NodeName("n2"), "agent", KEY.public, NOW).der, NOW)


def test_the_authoritys_own_certificate_is_no_nodes() -> None:
    with pytest.raises(Untrusted):
        OURS.fleet.verify(OURS.fleet.der, NOW)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (NOW + LIFETIME, "expired on 2025-12-23; by the clock here it is 2025-12-23"),
        (NOW - BACKDATED - 86_400, "before 2025-11-22; by the clock here, which may be wrong, it is 2025-11-21"),
    ],
)
def test_time_is_judged_by_the_clock_that_is_passed_in(now: float, said: str) -> None:
    certificate = OURS.issue(N1, "agent", KEY.public, NOW)
    with pytest.raises(Untrusted, match=said):
        OURS.fleet.verify(certificate.der, now)
    assert OURS.fleet.read_certificate(certificate.der) == certificate


def test_all_certificates_take_the_same_bytes_so_that_lengths_do_not_vary_by_chance() -> None:
    lengths = {len(OURS.issue(N1, "agent", NodeKey.new().public, NOW).der) for _ in range(100)}
    assert len(lengths) == 1
    assert OURS.issue(N1, "agent", KEY.public, 0.0, FOREVER).not_after == FOREVER


@given(st.binary(max_size=500))
def test_random_bytes_are_no_certificate_and_no_request(data: bytes) -> None:
    for read in (OURS.fleet.read_certificate, Fleet, read_request):
        with pytest.raises(Untrusted):
            read(data)


@given(st.integers(0, 429), st.integers(1, 255))
def test_a_certificate_with_any_byte_changed_is_not_believed(place: int, change: int) -> None:
    der = bytearray(OURS.issue(N1, "agent", KEY.public, NOW).der)
    der[place] ^= change
    with pytest.raises(Untrusted):
        OURS.fleet.verify(bytes(der), NOW)


def test_a_request_proves_that_the_asker_has_the_key() -> None:
    asked = read_request(KEY.request(N1))
    assert (asked.name, asked.public) == ("n1", KEY.public)
    forged = KEY.request(N1).replace(KEY.public, NodeKey.new().public)
    with pytest.raises(Untrusted, match="does not have"):
        read_request(forged)


def test_files_are_read_as_they_were_written() -> None:
    certificate = OURS.issue(N1, "agent", KEY.public, NOW)
    assert der_of(pem_of(certificate.der)) == certificate.der
    assert Fleet.read(OURS.fleet.pem()).fingerprint == OURS.fleet.fingerprint
    assert NodeKey.read(KEY.pem()).public == KEY.public
    for read in (NodeKey.read, Fleet.read, der_of):
        with pytest.raises(ConfigError):
            read(b"-----BEGIN NOTHING-----\n")


def test_a_key_signs_what_its_certificate_checks() -> None:
    certificate = OURS.issue(N1, "agent", KEY.public, NOW)
    assert certificate.checks(KEY.sign(b"said"), b"said")
    assert not certificate.checks(KEY.sign(b"said"), b"never said")
    assert not certificate.checks(b"", b"said")
    assert KEY.public.hex() not in repr(KEY)


def test_a_revocation_is_the_owners_word_about_one_name() -> None:
    said = revoke(OURS, N1, 7)
    assert is_genuine(OURS.fleet, said)
    assert not is_genuine(THEIRS.fleet, said)
    for changed in (Revoked("n2", 7, said.signature), Revoked("n1", 8, said.signature), Revoked("n1", 7, bytes(64))):
        assert not is_genuine(OURS.fleet, changed)


def test_a_signature_for_one_purpose_is_good_for_no_other() -> None:
    assert OURS.fleet.checks(b"ring", OURS.sign(b"ring", b"x"), b"x")
    assert not OURS.fleet.checks(b"revoked", OURS.sign(b"ring", b"x"), b"x")


def test_a_ring_goes_through_a_rotation_and_is_read_as_it_was_signed() -> None:
    ring = first_ring(OURS, 1_000)
    added = with_new_key(OURS, ring, 2_000)
    used, alone = with_newest_in_use(OURS, added), with_newest_alone(OURS, added)
    assert [each.version for each in (ring, added, used)] == [1_000, 1_001, 1_002]
    assert (added.current, len(added.keys)) == (ring.current, 2)
    assert used.current == added.keys[1].key_id == alone.current
    assert alone.is_settled
    assert read_ring(OURS.fleet, used.dump()) == used
    assert keyring_of(used, OURS.fleet).current.secret == used.keys[1].secret


def test_a_ring_that_another_signed_or_somebody_changed_is_refused() -> None:
    dumped = first_ring(OURS, 1_000).dump()
    with pytest.raises(Malformed, match="did not sign"):
        read_ring(THEIRS.fleet, dumped)
    for place in range(len(dumped)):
        changed = bytearray(dumped)
        changed[place] ^= 1
        with pytest.raises(Malformed):
            read_ring(OURS.fleet, bytes(changed))


def test_a_full_ring_takes_no_new_key() -> None:
    ring = first_ring(OURS, 1_000)
    for _ in range(3):
        ring = with_new_key(OURS, ring, 2_000)
    with pytest.raises(ConfigError, match="under way"):
        with_new_key(OURS, ring, 2_000)
    assert not any(key.secret.hex() in repr(ring) for key in ring.keys)
