"""Whatever a walk over the heads lets through is what its bytes say, and nothing is made of the rest."""

from __future__ import annotations

import tracemalloc

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.wire import cbor, entrance, heads

LEVELS = 6

flat: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=30),
)


def items_of(item: object) -> int:
    """How many there are, containers counted."""
    return 1 + sum(map(items_of, item)) if isinstance(item, list) else 1


def depth_of(item: object) -> int:
    return 1 + max(map(depth_of, item), default=0) if isinstance(item, list) else 0


@given(flat, st.binary(max_size=3))
def test_what_has_as_many_items_as_may_be_passes_and_one_more_does_not(item: object, behind: bytes) -> None:
    data, items = cbor2.dumps(item), items_of(item)
    heads.check(data + behind, items)
    with pytest.raises(Malformed, match="more than"):
        heads.check(data, items - 1)


@given(flat)
def test_each_cut_is_found_without_making_anything(item: object) -> None:
    data = cbor2.dumps(item)
    for end in {0, 1, len(data) // 2, len(data) - 1} - {len(data)}:
        with pytest.raises(Malformed):
            heads.check(data[:end], 10_000)


@given(st.binary(max_size=60))
def test_of_any_bytes_the_walk_refuses_nothing_that_is_cbor_without_maps(data: bytes) -> None:
    try:
        item = cbor.load(data, max_depth=LEVELS, text_keys=True)
    except Malformed:
        return
    if not any(0xA0 <= byte <= 0xBF for byte in data):
        heads.check(data, items_of(item))
        assert cbor.load_strange(data, max_depth=LEVELS, most=items_of(item)) is not None or item is None


@pytest.mark.parametrize(
    "data", ["", "9f00ff", "5f4161ff", "7f6161ff", "a0", "a1616100", "c100", "d9d9f780", "ff", "1c", "5d", "fc", "820"
             "1", "19ff", "5affffffff00", "7b7fffffffffffffff61", "9affffffff00", "9bffffffffffffffff", "5803aabb"]
)  # fmt: skip
def test_what_declares_more_than_it_is_or_is_of_another_kind_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        heads.check(bytes.fromhex(data), 10_000)


@pytest.mark.parametrize("claim", ["5a00010001", "5b0000000100000000", "7a7fffffff", "99ffff", "9b00ffffffffffffff"])
def test_a_strangers_question_takes_no_memory_for_what_it_only_declares(claim: str) -> None:
    question = bytes.fromhex("8602") + b"\x99\x01\x6d" + b"\x80" * 360 + bytes.fromhex(claim)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            entrance.load(question)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_192, "the error, and nothing of what is declared or stands before it"


def test_levels_are_as_deep_as_a_reader_says() -> None:
    for levels in (1, 4, 5):
        data = b"\x81" * levels + b"\x00"
        heads.check(data, 10)
        if levels > 4:
            with pytest.raises(Malformed):
                cbor.load_strange(data, max_depth=4, most=10)
        else:
            assert depth_of(cbor.load_strange(data, max_depth=4, most=10)) == levels
