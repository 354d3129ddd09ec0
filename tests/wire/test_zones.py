"""What is told of whole zones, as bytes and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.fleet.headroom import Headroom
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import SNAPSHOT_LIMIT, Status
from meshfleet.fleet.zone import LIMITS_TOLD, NOTICES_TOLD, ZoneSums, ZoneWord
from meshfleet.wire import cbor
from meshfleet.wire.zones import (
    SUMS_LIMIT,
    decode_sums,
    decode_upper,
    decode_word,
    encode_sums,
    encode_upper,
    encode_word,
)
from tests.wire.test_cddl import agree, altered

short = st.text(max_size=20)
counts = st.integers(1, 10_000)
places = st.lists(st.builds(Address, st.sampled_from(["10.0.0.7", "fd00::8"]), st.integers(1, 65_535)), max_size=3).map(
    tuple
)
zone_sums = st.builds(
    ZoneSums,
    zone=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
    nodes=st.dictionaries(st.sampled_from([p.value for p in Presence]), counts),
    agents=st.dictionaries(st.sampled_from([p.value for p in Presence]), counts),
    by_status=st.dictionaries(st.sampled_from([s.value for s in Status]), counts),
    tokens_in=st.none() | counts,
    tokens_out=st.none() | counts,
    cost_usd=st.none() | st.integers(0, 10**9).map(lambda millionths: millionths / 1_000_000),
    rate_limits=st.lists(
        st.builds(
            Headroom,
            key=short,
            window=short,
            used_pct=st.none() | st.integers(0, 1_000).map(lambda tenths: tenths / 10),
            resets_at=st.none() | short,
            read_at=st.none() | short,
            agents=counts,
        ),
        max_size=2,
    ).map(tuple),
    attention=st.lists(
        st.builds(
            Notice, rule=short, severity=st.sampled_from(Severity), subject=short, since=short, text=short, key=short
        ),
        max_size=2,
    ).map(tuple),
    notices=counts,
    period_cost_usd=st.none() | st.integers(0, 10**9).map(lambda millionths: millionths / 1_000_000),
    today_cost_usd=st.none() | st.integers(0, 10**9).map(lambda millionths: millionths / 1_000_000),
    ring=st.integers(0, 9),
    delegates=places,
    issuers=places,
)
words = st.builds(
    encode_word,
    st.just("n1"),
    st.sampled_from(Presence),
    st.none() | st.integers(0, 2**45),
    zone_sums.map(encode_sums),
)
NOTICE = Notice(
    rule="waiting", severity=Severity.WARNING, subject="n1/claude", since="2026-11-26T09:00:00.000Z",
    text="waits for a person", key="waiting/n1/claude",
)  # fmt: skip
LIMIT = Headroom(key="anthropic:9f2e41", window="5h", used_pct=71.5, resets_at=None, read_at=None, agents=3)


@given(zone_sums)
def test_sums_are_read_as_they_were_told(sums: ZoneSums) -> None:
    same = msgspec.structs.replace(
        sums, **{field: dict(sorted(getattr(sums, field).items())) for field in ("nodes", "agents", "by_status")}
    )
    assert decode_sums(encode_sums(sums)) == same


@given(zone_sums, st.sampled_from(Presence), st.none() | st.integers(0, 2**45))
def test_a_word_brings_the_sums_as_they_came(sums: ZoneSums, presence: Presence, seen_ms: int | None) -> None:
    told = encode_sums(sums)
    assert decode_word(encode_word("n1", presence, seen_ms, told)) == ZoneWord(
        decode_sums(told), NodeName("n1"), presence, seen_ms
    )


@settings(max_examples=200)
@given(altered(zone_sums.map(encode_sums)))
def test_of_altered_sums_reader_and_rules_take_the_same(item: object) -> None:
    assert agree(decode_sums, item, "zone-sums")


@settings(max_examples=200)
@given(altered(words))
def test_of_altered_words_reader_and_rules_take_the_same(item: object) -> None:
    assert agree(decode_word, item, "zone-word")


numbers = st.none() | st.floats() | st.integers(-(2**70), 2**70)
texts = st.text(max_size=900)


@pytest.mark.parametrize("said", [1.7e308, -1.7e308, float("inf"), float("nan"), 2**70, -1])
def test_a_figure_that_is_none_or_too_much_is_told_as_far_as_it_goes(said: float) -> None:
    sums = ZoneSums(zone="eu", nodes={}, agents={}, by_status={}, tokens_in=said, cost_usd=said)  # type: ignore[arg-type]  # agents say what they like
    told = decode_sums(encode_sums(sums))
    assert told.tokens_in in (None, 0, 2**53 - 1)
    assert told.cost_usd in (None, 0, (2**53 - 1) / 1_000_000)


@given(
    zone_sums,
    st.lists(numbers, min_size=5, max_size=5),
    st.lists(st.tuples(texts, texts, st.none() | st.floats(), st.none() | texts), max_size=9),
    st.lists(st.tuples(texts, texts, texts), max_size=6),
)
def test_whatever_agents_say_of_themselves_their_zone_is_understood_elsewhere(
    sums: ZoneSums, numbers: list[float | None], limits: list[Any], notices: list[Any]
) -> None:
    told = msgspec.structs.replace(
        sums,
        tokens_in=numbers[0],
        tokens_out=numbers[1],
        cost_usd=numbers[2],
        period_cost_usd=numbers[3],
        today_cost_usd=numbers[4],
        rate_limits=tuple(
            Headroom(key=key, window=window, used_pct=used, resets_at=at, read_at=at, agents=1)
            for key, window, used, at in limits
        ),
        attention=tuple(
            Notice(rule="presence", severity=Severity.INFO, subject=subject, since="", text=text, key=key)
            for subject, text, key in notices
        ),
    )
    body = encode_sums(told)
    assert len(body) <= SUMS_LIMIT
    assert decode_sums(body).nodes == dict(sorted(sums.nodes.items()))


def test_the_fullest_zone_fits_and_the_worst_notices_stay() -> None:
    long = "é" * 200
    notices = tuple(
        msgspec.structs.replace(NOTICE, subject=f"{n}{long[1:]}", text=2 * long) for n in range(NOTICES_TOLD)
    )
    limits = tuple(msgspec.structs.replace(LIMIT, key=f"{n}{long[1:]}", window=long) for n in range(LIMITS_TOLD))
    sums = ZoneSums(
        zone="z" * 64, nodes={}, agents={}, by_status={}, rate_limits=limits, attention=notices, notices=500
    )
    told = encode_sums(sums)
    assert len(told) <= SUMS_LIMIT
    assert len(encode_word("n" * 64, Presence.STALE, 2**52, told)) <= SNAPSHOT_LIMIT
    assert decode_sums(told).notices == 500
    few = decode_sums(encode_sums(msgspec.structs.replace(sums, rate_limits=())))
    assert few.attention == notices[: len(few.attention)] != ()


def test_what_a_later_version_adds_is_left_out_and_handed_on() -> None:
    told = cbor.dump([1, "eu", [3, 0, 0, 1, 0, 7], [2], [], 10, None, None, [], [], 0, None, None, 3, [], [], "more"])
    word = encode_word("n1", Presence.FRESH, None, told)
    assert told in word
    assert decode_word(word).sums == ZoneSums(
        zone="eu", nodes={"down": 1, "fresh": 3}, agents={"fresh": 2}, by_status={}, tokens_in=10, ring=3
    )


def test_a_presence_of_a_later_version_is_no_reason_to_call_a_zone_there() -> None:
    sums = encode_sums(ZoneSums(zone="eu", nodes={}, agents={}, by_status={}))
    assert decode_word(cbor.dump([1, "n1", 9, None, sums])).presence is Presence.UNREACHABLE


def test_where_a_delegate_listens() -> None:
    assert decode_upper(encode_upper(Address("10.0.0.1", 7879))) == Address("10.0.0.1", 7879)


@pytest.mark.parametrize(
    "item", [7, [], [1, "localhost", 7879], [1, "10.0.0.1", 0], [1, "0.0.0.0", 1], [2, "10.0.0.1", 1]]
)
def test_nowhere_is_refused(item: object) -> None:
    with pytest.raises(Malformed):
        decode_upper(cbor.dump(item))
