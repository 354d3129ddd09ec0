"""How fast a context fills, and when it is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.runtimes.trend import AGAIN, AT_LEAST, READINGS, Growth, Trend

T0 = 1_795_000_000.0


def growth(*readings: tuple[float, float | None]) -> Growth:
    """After readings at so many seconds."""
    trend = Trend()
    for at, percent in readings:
        said = trend.read(T0 + at, percent)
    return said


def test_a_context_that_grows_evenly_has_its_growth_as_slope() -> None:
    # Two points every 30 s are 4 a minute; from 26 there are 74 to go, which is 18.5 minutes.
    assert growth((0, 20), (30, 22), (60, 24), (90, 26)) == Growth(4.0, 1110.0)


def test_a_large_file_that_is_read_does_not_bend_it() -> None:
    even = [(30.0 * i, 20.0 + i) for i in range(12)]  # 2 a minute
    leap = [*even[:10], *[(at, percent + 30) for at, percent in even[10:]]]
    assert growth(*leap).slope == 2.0


def test_a_compaction_begins_anew() -> None:
    before = [(30.0 * i, 60 + 3 * i) for i in range(10)]
    assert growth(*before).slope == 6.0
    assert growth(*before, (300, 20)) == Growth()
    assert growth(*before, (300, 20), (330, 21), (360, 22)).slope == 2.0
    assert growth(*before, (285, None), (300, 20)) == Growth()


def test_too_little_is_no_trend() -> None:
    assert growth((0, 20)) == Growth()
    assert growth((0, 20), (AT_LEAST - 1, 25)) == Growth()
    assert growth((0, None)) == Growth()


def test_a_context_that_rests_grows_more_and_more_slowly_and_is_not_worked_out_at_each_look() -> None:
    trend = Trend()
    for i in range(4):
        at_work = trend.read(T0 + 30 * i, 20 + 2 * i)
    looks = {trend.read(T0 + 90 + 2 * i, 26) for i in range(round(AGAIN / 2))}
    assert looks == {at_work}
    rested = [trend.read(T0 + 90 + AGAIN * (1 + i), 26).slope or 0 for i in range(10)]
    assert rested == sorted(rested, reverse=True)
    assert rested[-1] == 0
    assert trend.read(T0 + 2000, 26) == Growth()  # all of it is long ago


def test_what_would_be_full_after_a_day_or_never_is_not_told() -> None:
    assert growth((0, 20), (600, 20.1), (800, 20.2)).full_in is None
    assert growth((0, 50), (60, 48), (120, 46)).full_in is None


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 120) | st.none()), max_size=60))
def test_whatever_is_read_it_answers_and_stays_small(readings: list[tuple[float, float | None]]) -> None:
    trend = Trend()
    for at, percent in sorted(readings, key=lambda reading: reading[0]):
        said = trend.read(T0 + at, percent)
        assert said.full_in is None or said.full_in >= 0
    assert len(trend._readings) <= READINGS
