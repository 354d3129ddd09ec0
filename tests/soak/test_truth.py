"""Whether the soak's truth tells a wrong `down` from a right one: times are given, nothing runs."""

from __future__ import annotations

import pytest

from meshfleet.fleet.presence import Certainty
from meshfleet.fleet.timing import PRESETS
from tests.soak.truth import Call, Truth

NAMES = ("a", "b", "c", "d", "e", "f")
TIMING = PRESETS["lan"]
T = TIMING.heartbeat
PROVEN, PRESUMED = Certainty.PROVEN, Certainty.PRESUMED
EPOCH = 7


@pytest.fixture
def truth() -> Truth:
    """Six that have run for long."""
    made = Truth(NAMES, TIMING)
    for name in NAMES:
        made.begins(name, 0.0)
        made.has_epoch(name, 1, EPOCH)
    return made


def cut(truth: Truth, one: str, other: str, at: float, by: int = 1) -> None:
    truth.blocks(one, other, at, by)
    truth.blocks(other, one, at, by)


def test_of_a_process_that_ended_it_is_right(truth: Truth) -> None:
    truth.ends("a", 100.0)
    assert truth.call("b", "a", 100.1, PROVEN, EPOCH) is Call.RIGHT


def test_of_a_past_life_it_is_right_while_the_next_one_runs(truth: Truth) -> None:
    truth.ends("a", 100.0)
    truth.begins("a", 101.0)
    assert truth.call("b", "a", 102.0, PROVEN, EPOCH) is Call.OF_A_PAST_LIFE
    truth.has_epoch("a", 2, EPOCH + 1)
    assert truth.call("b", "a", 110.0, PROVEN, EPOCH + 1) is Call.FALSE


def test_proven_of_one_that_runs_it_is_false_however_long_it_was_cut_off(truth: Truth) -> None:
    cut(truth, "a", "bcdef", 100.0)
    assert truth.call("b", "a", 100.0 + 50 * T, PROVEN, EPOCH) is Call.FALSE


def test_presumed_of_one_that_was_alone_behind_a_cut_for_long_it_is_the_price(truth: Truth) -> None:
    cut(truth, "a", "bcdef", 100.0)
    assert truth.call("b", "a", 100.0 + 2 * T, PRESUMED, EPOCH) is Call.FALSE
    assert truth.call("b", "a", 100.0 + 4 * T, PRESUMED, EPOCH) is Call.PRESUMED_WRONG


def test_presumed_of_one_of_a_group_it_is_false_until_the_hold_is_over(truth: Truth) -> None:
    cut(truth, "ab", "cdef", 100.0)
    assert truth.call("c", "a", 100.0 + 10 * T, PRESUMED, EPOCH) is Call.FALSE
    assert truth.call("c", "a", 101.0 + TIMING.group_hold, PRESUMED, EPOCH) is Call.PRESUMED_WRONG


def test_whoever_is_cut_off_alone_has_lost_a_group(truth: Truth) -> None:
    cut(truth, "a", "bcdef", 100.0)
    assert truth.call("a", "b", 100.0 + 10 * T, PRESUMED, EPOCH) is Call.FALSE


def test_a_path_over_somebody_else_is_a_path(truth: Truth) -> None:
    cut(truth, "a", "bcde", 100.0)
    assert truth.call("b", "a", 100.0 + 10 * T, PRESUMED, EPOCH) is Call.FALSE
    cut(truth, "a", "f", 200.0)
    assert truth.call("b", "a", 200.0 + 4 * T, PRESUMED, EPOCH) is Call.PRESUMED_WRONG


def test_one_that_stands_still_is_no_way_to_others(truth: Truth) -> None:
    cut(truth, "a", "bcde", 100.0)
    truth.stops("f", 101.0)
    assert truth.call("b", "a", 101.0 + 4 * T, PRESUMED, EPOCH) is Call.PRESUMED_WRONG


def test_a_stopped_process_answers_by_its_kernel_to_whoever_reaches_it(truth: Truth) -> None:
    truth.stops("a", 100.0)
    assert truth.call("b", "a", 100.0 + 50 * T, PRESUMED, EPOCH) is Call.FALSE
    cut(truth, "a", "b", 400.0)
    assert truth.call("b", "a", 400.0 + 4 * T, PRESUMED, EPOCH) is Call.PRESUMED_WRONG
    assert truth.call("c", "a", 400.0 + 4 * T, PRESUMED, EPOCH) is Call.FALSE


def test_where_only_datagrams_are_lost_a_stream_is_a_path(truth: Truth) -> None:
    truth.blocks("a", "bcdef", 100.0, 1, udp=True)
    assert truth.call("b", "a", 100.0 + 10 * T, PRESUMED, EPOCH) is Call.FALSE


def test_two_cuts_of_one_pair_end_with_the_second(truth: Truth) -> None:
    cut(truth, "a", "bcdef", 100.0)
    cut(truth, "a", "b", 105.0)
    cut(truth, "a", "bcdef", 110.0, by=-1)
    assert truth.call("c", "a", 130.0, PRESUMED, EPOCH) is Call.FALSE
    assert truth.call("b", "a", 130.0, PRESUMED, EPOCH) is Call.FALSE, "over c"


def test_left_is_wrong_of_a_life_that_runs_and_was_not_asked_to_go(truth: Truth) -> None:
    assert truth.is_here("a", EPOCH)
    assert not truth.is_here("a", EPOCH - 1)
    truth.leaves("a", 100.0)
    assert not truth.is_here("a", EPOCH)
    truth.ends("a", 101.0, left=True)
    truth.begins("a", 102.0)
    assert not truth.is_here("a", EPOCH)


def test_a_card_that_is_down_is_a_cut_on_all_sides(truth: Truth) -> None:
    truth.card("a", 100.0, down=True)
    assert truth.call("b", "a", 100.0 + 4 * T, PRESUMED, EPOCH) is Call.PRESUMED_WRONG
    truth.card("a", 200.0, down=False)
    assert truth.call("b", "a", 200.0 + T, PRESUMED, EPOCH) is Call.FALSE
