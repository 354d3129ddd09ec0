"""What is said at the entrance, and the lines and addresses that lead there."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

from hypothesis import strategies as st

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import parse_address
from meshfleet.node.invites import PREFIX, Invite, read_invite
from meshfleet.node.process import parse
from meshfleet.wire import entrance
from meshfleet.wire.ring import Ring, RingKey, first_ring, read_ring, with_new_key
from tests.fuzz.certificates import AUTHORITY, NOW, REQUEST
from tests.wire.strategies import names, revocations

REFUSES = ConfigError

bytes_8, bytes_16 = st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16)
ders = st.just(REQUEST) | st.binary(max_size=200)
questions: st.SearchStrategy[bytes] = st.one_of(
    st.builds(entrance.Enter, bytes_8, bytes_16, ders),
    st.just(entrance.Renew()),
    st.just(entrance.FetchRing()),
    st.just(entrance.FindDelegates()),
    st.builds(entrance.FindZone, st.text(max_size=200)),
    st.just(entrance.FetchFleet()),
).map(entrance.dump)

_places = st.lists(st.builds(entrance.Where, st.text(max_size=20), st.integers(1, 65_535)), max_size=3).map(tuple)
_told = st.lists(revocations, max_size=3).map(tuple)
answers: st.SearchStrategy[bytes] = st.one_of(
    st.builds(entrance.Welcome, ders),
    st.builds(entrance.Admitted, ders, st.binary(max_size=300), _told),
    st.builds(entrance.RingIs, st.binary(max_size=300), _told),
    st.builds(entrance.Refused, st.text(max_size=500)),
    st.builds(entrance.At, _places),
    st.builds(entrance.FleetPart, st.binary(max_size=300), st.booleans()),
).map(entrance.dump)

_FIRST = first_ring(AUTHORITY, int(NOW) * 1000, bytes(range(32)))
_moments = st.integers(0, 2**53 - 1)
_keys = st.lists(st.builds(RingKey, st.binary(min_size=32, max_size=32), _moments), min_size=1, max_size=4)
rings: st.SearchStrategy[bytes] = st.one_of(
    st.just(_FIRST),
    st.just(with_new_key(AUTHORITY, _FIRST, int(NOW) * 1000)),
    st.builds(Ring, _moments, st.binary(min_size=2, max_size=2), _keys.map(tuple), st.binary(min_size=64, max_size=64)),
).map(Ring.dump)


def ring_of(data: bytes) -> object:
    """A ring, as it is fetched from another node."""
    return read_ring(AUTHORITY.fleet, data)


def invitation(data: bytes) -> None:
    """The line itself; and what it would hold were it whole, for no engine guesses four bytes of SHA-256."""
    whole = PREFIX + urlsafe_b64encode(data + sha256(data).digest()[:4]).decode().rstrip("=")
    for line in (data.decode("utf-8", "replace"), PREFIX + data.decode("latin-1"), whole):
        try:
            read_invite(line)
        except ConfigError:
            continue


_addresses = st.sampled_from(("127.0.0.1:7878", "[::1]:7878", "box.example:1"))
invitations: st.SearchStrategy[bytes] = st.builds(
    Invite,
    st.binary(min_size=32, max_size=32),
    names,
    st.lists(_addresses, min_size=1, max_size=8).map(tuple),
    bytes_8,
    bytes_16,
    _moments,
).map(lambda invite: invite.line().encode())


def address(data: bytes) -> None:
    """Where an invitation or a peer says that somebody listens, and which process that is."""
    text = data.decode("utf-8", "replace")
    parse(text)
    parse_address(text)


addresses: st.SearchStrategy[bytes] = st.one_of(_addresses, st.text(max_size=60), st.just("0a1b:4711:99")).map(
    str.encode
)
