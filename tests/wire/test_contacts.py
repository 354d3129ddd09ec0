"""What a node says of the agents that it asks, as bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.fleet.endpoint import ENDPOINTS_LIMIT, Contact, Transport, Trouble
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import SNAPSHOT_LIMIT
from meshfleet.wire import cbor
from meshfleet.wire.contacts import decode_contacts, encode_contacts, key_of
from tests.wire.test_cddl import agree, altered

KEY = key_of(AgentId("lab/one"))
WORST = Contact(
    transport=Transport.STREAM,
    presence=Presence.UNREACHABLE,
    trouble=Trouble.NONSENSE,
    status=599,
    silent_s=2.0**31 - 1,
    cut_off=True,
)

contacts = st.builds(
    Contact,
    transport=st.sampled_from(Transport),
    presence=st.sampled_from([Presence.FRESH, Presence.STALE, Presence.UNREACHABLE]),
    trouble=st.none() | st.sampled_from(Trouble),
    status=st.integers(0, 599),
    silent_s=st.integers(0, 2**31 - 1).map(float),
    cut_off=st.booleans(),
)
told = st.dictionaries(st.binary(min_size=8, max_size=8), st.none() | contacts, max_size=8)


@settings(max_examples=200)
@given(altered(told.map(encode_contacts)))
def test_of_altered_contacts_reader_and_rules_take_the_same(item: object) -> None:
    assert agree(decode_contacts, item, "endpoints")


@given(told)
def test_whatever_is_said_is_read_as_it_was_said(said: dict[bytes, Contact | None]) -> None:
    assert decode_contacts(encode_contacts(said)) == said


def test_as_many_as_a_node_may_know_fit_into_a_snapshot() -> None:
    most = {key_of(AgentId(f"lab/{n}")): WORST for n in range(ENDPOINTS_LIMIT)}
    assert len(encode_contacts(most)) <= SNAPSHOT_LIMIT


def test_what_a_later_version_says_besides_is_left_out_and_new_words_are_the_worst() -> None:
    later = cbor.dump([1, [[KEY, 9, 9, 99, 503, 7, False, "more"]], "more"])
    assert decode_contacts(later)[KEY] == Contact(
        transport=Transport.STREAM,
        presence=Presence.UNREACHABLE,
        trouble=Trouble.NONSENSE,
        status=503,
        silent_s=7.0,
    )


@pytest.mark.parametrize(
    "item",
    [
        7,
        [],
        [2, []],
        [1, [[b"short"]]],
        [1, [[KEY, -1]]],
        [1, [[KEY, 0, 0, 0, 1000]]],
        [1, [[KEY, 0, 0, 0, 0, 2**31]]],
        [1, [[bytes([n]) * 8] for n in range(ENDPOINTS_LIMIT + 1)]],
    ],
)
def test_nonsense_is_refused(item: object) -> None:
    with pytest.raises(Malformed):
        decode_contacts(cbor.dump(item))
