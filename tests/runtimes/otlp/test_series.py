"""Points of counters count once, by the temporality that they came with."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.runtimes.otlp.plain import Origin, Point, Temporality
from meshfleet.runtimes.otlp.series import SERIES_LIMIT, Series

from .writing import CUMULATIVE, DELTA

ANYWHERE = 10**6
"""Room for as many series."""


def point(value: float, start: float, time: float, temporality: int) -> Point:
    return Point(Origin({}), "tokens", value, Temporality(temporality), start, time, {})


def total(*points: Point) -> float:
    series = Series()
    return sum(series.added(each, (), ANYWHERE) or 0.0 for each in points)


def test_deltas_are_added_up() -> None:
    assert total(point(5, 0, 10, DELTA), point(7, 10, 20, DELTA)) == 12


def test_a_delta_that_is_sent_again_counts_once() -> None:
    assert total(point(5, 0, 10, DELTA), point(7, 10, 20, DELTA), point(5, 0, 10, DELTA)) == 12


def test_a_delta_that_comes_late_counts() -> None:
    assert total(point(7, 10, 20, DELTA), point(5, 0, 10, DELTA)) == 12


def test_of_a_cumulative_series_the_newest_value_counts() -> None:
    assert total(point(5, 1, 10, CUMULATIVE), point(12, 1, 20, CUMULATIVE), point(12, 1, 30, CUMULATIVE)) == 12


def test_a_cumulative_point_that_comes_late_or_twice_adds_nothing() -> None:
    assert total(point(12, 1, 20, CUMULATIVE), point(5, 1, 10, CUMULATIVE), point(12, 1, 20, CUMULATIVE)) == 12


def test_a_counter_that_begins_anew_keeps_what_it_had() -> None:
    assert total(point(12, 1, 20, CUMULATIVE), point(3, 25, 30, CUMULATIVE), point(4, 25, 40, CUMULATIVE)) == 16


def test_a_counter_that_falls_without_a_word_has_begun_anew() -> None:
    assert total(point(12, 0, 20, CUMULATIVE), point(3, 0, 30, CUMULATIVE)) == 15


def test_two_processes_of_one_session_count_side_by_side() -> None:
    first = [point(5, 1, 10, CUMULATIVE), point(8, 1, 20, CUMULATIVE)]
    second = [point(100, 2, 11, CUMULATIVE), point(120, 2, 21, CUMULATIVE)]
    assert total(first[0], second[0], first[1], second[1]) == 128


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(0, 2**32), st.booleans())
def test_in_any_order_and_however_often_deltas_give_the_same_sum(amounts: list[int], seed: int, twice: bool) -> None:
    points = [point(each, number, number + 1, DELTA) for number, each in enumerate(amounts)]
    points += points if twice else []
    Random(seed).shuffle(points)
    assert total(*points) == sum(amounts)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(0, 2**32))
def test_in_any_order_a_cumulative_series_gives_at_most_its_last_value(amounts: list[int], seed: int) -> None:
    sums = [sum(amounts[: n + 1]) for n in range(len(amounts))]
    points = [point(each, 1, 10 + number, CUMULATIVE) for number, each in enumerate(sums)]
    Random(seed).shuffle(points)
    assert total(*points) == sums[-1]


def test_a_session_has_so_many_series_and_no_more() -> None:
    series = Series()
    one = point(1, 0, 1, DELTA)
    assert all(series.added(one, (("n", str(n)),), ANYWHERE) == 1 for n in range(SERIES_LIMIT))
    assert series.added(one, (("n", "one too many"),), ANYWHERE) is None
    assert series.added(point(2, 1, 2, DELTA), (("n", "0"),), 0) == 2  # those that are there go on


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_where_there_is_no_room_no_series_begins(temporality: int) -> None:
    assert Series().added(point(1, 1, 2, temporality), (), 0) is None
