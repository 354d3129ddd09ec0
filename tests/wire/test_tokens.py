"""Session tokens: what any node of the fleet believes by itself, and nothing else."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import AccessDenied
from meshfleet.fleet.access import LONGEST_SESSION, SHORTEST_SESSION, Grant, Scope
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.tokens import NAME_LIMIT, PREFIX, SKEW, check, is_name, issue

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NOW = 1_763_923_200
GRANT = Grant(
    scope=Scope.READ, name="grafana", holder="00112233445566ff", issued=NOW, expires=NOW + 1800, renewable_until=0
)
ID = bytes(8)

names = st.from_regex(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_LIMIT - 1}}}", fullmatch=True)
grants = st.builds(
    lambda scope, name, holder, lifetime: Grant(
        scope=scope, name=name, holder=holder.hex(), issued=NOW, expires=NOW + lifetime, renewable_until=NOW + 9
    ),
    st.sampled_from(Scope),
    names,
    st.binary(min_size=8, max_size=8),
    st.integers(SHORTEST_SESSION, LONGEST_SESSION),
)


def denied(token: str, *, ring: Keyring | None = None, now: float = NOW) -> str:
    """Why `token` is not good; the test fails where it is."""
    with pytest.raises(AccessDenied) as caught:
        check(ring or Keyring(KEY, b"f" * 16), token, now)
    return str(caught.value)


@given(grants, st.binary(min_size=8, max_size=8))
def test_what_one_node_issues_any_other_of_the_fleet_reads_the_same(grant: Grant, random_id: bytes) -> None:
    assert check(Keyring(KEY, b"f" * 16), issue(Keyring(KEY, b"f" * 16), grant, random_id), NOW) == grant


def test_no_bit_of_a_token_can_be_changed() -> None:
    token = issue(Keyring(KEY, b"f" * 16), GRANT, ID)
    data = urlsafe_b64decode(token.removeprefix(PREFIX) + "=" * (-len(token.removeprefix(PREFIX)) % 4))
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        denied(PREFIX + urlsafe_b64encode(flipped).rstrip(b"=").decode())


def test_no_bit_of_its_text_can_be_changed() -> None:
    for name in ("a", "ab", "abc"):  # so that each number of unused bits in the last character comes up
        token = issue(Keyring(KEY, b"f" * 16), msgspec.structs.replace(GRANT, name=name), ID).encode()
        for place in range(8 * len(token)):
            flipped = bytearray(token)
            flipped[place // 8] ^= 1 << place % 8
            denied(flipped.decode("latin-1"))
        for more in (b"=", b"\n", b" ", b"A", b"+"):
            denied((token + more).decode())
            denied((more + token).decode())
        for length in range(len(token)):
            denied(token[:length].decode())


@given(st.text() | st.text(alphabet="AZaz09-_").map(lambda text: PREFIX + text))
def test_whatever_is_no_token_is_denied_and_nothing_else_happens(text: str) -> None:
    assert "no session token of this fleet" in denied(text)


def test_a_stranger_can_not_issue_one() -> None:
    for ring in (Keyring(OTHER_KEY, b"f" * 16), Keyring(KEY, b"another fleet id")):
        denied(issue(ring, GRANT, ID))


def test_a_rotation_costs_no_session_and_the_removal_of_a_key_ends_all_that_it_signed() -> None:
    ring = Keyring(KEY, b"f" * 16)
    old = issue(ring, GRANT, ID)
    first = ring.current.key_id
    ring.use(ring.add(OTHER_KEY))
    new = issue(ring, GRANT, ID)
    assert old != new
    assert check(ring, old, NOW) == check(ring, new, NOW) == GRANT
    fleet_id = ring.fleet_id
    ring.remove(first)
    denied(old, ring=ring)
    assert check(ring, new, NOW) == GRANT
    assert check(Keyring(OTHER_KEY, fleet_id), new, NOW) == GRANT


def test_a_token_ends_when_it_says_and_not_a_moment_later() -> None:
    token = issue(Keyring(KEY, b"f" * 16), GRANT, ID)
    check(Keyring(KEY, b"f" * 16), token, GRANT.expires - 0.001)
    assert "expired 0 s ago" in denied(token, now=GRANT.expires)
    assert "expired 60 s ago" in denied(token, now=GRANT.expires + 60)


def test_the_issuers_clock_may_be_three_minutes_ahead() -> None:
    token = issue(Keyring(KEY, b"f" * 16), GRANT, ID)
    assert SKEW == 180
    check(Keyring(KEY, b"f" * 16), token, NOW - SKEW)
    assert "one of the two clocks is wrong" in denied(token, now=NOW - SKEW - 1)


@pytest.mark.parametrize("lifetime", [0, SHORTEST_SESSION - 1, LONGEST_SESSION + 1, 10 * LONGEST_SESSION])
def test_a_token_that_lasts_longer_than_any_may_is_not_believed(lifetime: int) -> None:
    token = issue(Keyring(KEY, b"f" * 16), msgspec.structs.replace(GRANT, expires=NOW + lifetime), ID)
    assert "newer version" in denied(token)


def test_names_of_keys_are_short_and_plain() -> None:
    assert all(is_name(name) for name in ("a", "grafana", "n1.build-box_2", "x" * 32))
    assert not any(is_name(name) for name in ("", "-a", "a b", "a/b", "ä", "a\n", "x" * 33))
