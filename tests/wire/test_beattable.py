"""Heartbeats packed: nothing lost, nothing made older, and few bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.gossip.messages import Beat
from meshfleet.wire.beattable import centiseconds, pack, unpack
from tests.wire.strategies import beats

SOME_DAY = 24 * 3600 / 2.5
"""Heartbeats of a day, one each 2.5 s."""


@given(st.lists(beats, max_size=100).map(tuple))
def test_a_table_is_read_as_it_was_written(entries: tuple[Beat, ...]) -> None:
    assert unpack(pack(entries, 0.0)) == (entries, False)
    bare = tuple(msgspec.structs.replace(entry, proof=b"") for entry in entries)
    assert unpack(pack(entries, 0.0, bare=True)) == (bare, bool(entries))


@given(st.lists(st.floats(0.0, 1e7), min_size=1, max_size=20))
def test_no_heartbeat_becomes_older_on_the_wire_and_none_much_younger(seconds: list[float]) -> None:
    read, _ = unpack(pack(tuple(Beat(1, 1, -age) for age in seconds), 0.0))
    for age, beat in zip(seconds, read, strict=True):
        assert age - 0.0101 < -beat.raised_at <= age
        assert beat.raised_at == -centiseconds(age) / 100


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_whatever_two_clocks_say_an_age_is_in_its_range(raised_at: float, at: float) -> None:
    ((read,), _) = unpack(pack((Beat(1, 1, raised_at),), at))
    assert 0.0 <= -read.raised_at <= 1e7


@given(st.floats(0.0, 1e7))
def test_rounding_twice_is_rounding_once(age: float) -> None:
    once = centiseconds(age)
    assert centiseconds(once / 100) == once


def test_after_a_day_of_uptime_a_heartbeat_takes_seventeen_bytes() -> None:
    table = pack(tuple(Beat(2**40 - 1 - i, int(SOME_DAY) + i, -4.99, b"proof..%d" % (i % 10)) for i in range(60)), 0.0)
    assert len(table) == 1 + 60 * 17
    assert len(pack(unpack(table)[0], 0.0, bare=True)) == 1 + 60 * 9


def test_an_empty_table_takes_no_bytes() -> None:
    assert pack((), 1.0) == b""
    assert unpack(b"") == ((), False)


@pytest.mark.parametrize(
    "table",
    [
        b"\x22" + bytes(16),
        b"\x22" + bytes(18),
        b"\x00" + bytes(13),
        b"\x02" + bytes(15),
        b"\x20" + bytes(15),
        b"\x81" + bytes(22),
        b"\x15" + bytes(19),
        b"\xff" + bytes(43),
    ],
)
def test_a_table_of_another_form_or_length_is_malformed(table: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(table)


def test_a_counter_beyond_its_range_is_malformed() -> None:
    assert unpack(b"\x71" + bytes(5) + (2**53 - 1).to_bytes(7, "big") + b"\x00" + bytes(8))[0][0].counter == 2**53 - 1
    with pytest.raises(Malformed):
        unpack(b"\x71" + bytes(5) + (2**53).to_bytes(7, "big") + b"\x00" + bytes(8))


def test_an_age_beyond_its_range_is_malformed() -> None:
    assert unpack(b"\x14" + bytes(6) + (10**9).to_bytes(4, "big") + bytes(8))[0][0].raised_at == -1e7
    with pytest.raises(Malformed):
        unpack(b"\x14" + bytes(6) + (10**9 + 1).to_bytes(4, "big") + bytes(8))
