"""What of a soak's figures is an error."""

from __future__ import annotations

import msgspec
import pytest

from tests.soak.measuring import Served, Weight, share, slope
from tests.soak.plan import Plan, draw
from tests.soak.report import FDS, JUDGED_FROM, P99, WARM_UP, judged, told
from tests.soak.soaking import WITHIN, Outcome, Settled

PLAN: Plan = draw(1, 9)
NAME = PLAN.steady[0]
LONG = WARM_UP + JUDGED_FROM + 60.0


def outcome(
    *, took: float = 0.01, grows: float = 0.0, fds: tuple[int, ...] = (40,) * 9, after: float = 15.0, failed: int = 0
) -> Outcome:
    """One in which all held, but for what is given; `grows`: MB an hour after the warm-up."""
    weights = [Weight(at, round(70e6 + grows * 1e6 * at / 3600.0), 40) for at in range(0, int(LONG), 5)]
    return Outcome(
        began=0.0,
        seconds=LONG,
        settled=[Settled(after, (), {name: count for name in PLAN.steady}) for count in fds],
        served={name: Served([took] * 200, ["refused"] * failed) for name in PLAN.names},
        weights={name: {1: weights} for name in PLAN.names},
    )


def test_where_all_held_nothing_is_an_error() -> None:
    assert judged(PLAN, outcome()) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (outcome(took=P99 + 0.001), "served within 101 ms"),
        (outcome(grows=1.5), "grew by 1.50 MB an hour"),
        (outcome(fds=(40, 41, 39, 42, 43, 44, 45, 46, 47)), "at most 41 file descriptors at first, and at least 45"),
        (outcome(after=WITHIN + 1.0), "right after 51 s, not within 50"),
        (outcome(failed=2), "did not serve 2 times: refused"),
    ],
    ids=["slow", "grows", "descriptors", "late", "silent"],
)
def test_what_broke_is_said(broken: Outcome, said: str) -> None:
    assert any(said in each for each in judged(PLAN, broken))


def test_streams_that_come_and_go_are_no_leak() -> None:
    assert judged(PLAN, outcome(fds=(40, 44, 39, 48, 36, 41, 47, 44 + FDS, 49))) == []


def test_a_short_soak_says_nothing_of_memory() -> None:
    short = outcome(grows=30.0)
    short.seconds = JUDGED_FROM
    assert judged(PLAN, short) == []


def test_a_slope_is_of_what_comes_after_the_warm_up() -> None:
    weights = [Weight(at, 70_000_000 + min(at, 600) * 10_000, 40) for at in range(0, 1_200, 5)]
    assert slope(weights, 0.0) == pytest.approx(18.0, abs=1.0)
    assert slope(weights, 600.0) == pytest.approx(0.0)
    assert slope(weights, 1_190.0) is None


def test_of_a_hundred_the_99th_counts() -> None:
    assert share([float(n) for n in range(100)], 0.99) == 99.0
    assert share([], 0.99) is None


def test_the_report_has_a_row_for_each_node_and_its_warnings_counted() -> None:
    made = msgspec.structs.replace(
        outcome(), complaints=["n001: 2026-01-01T00:00:00.000Z WARNING meshfleet.node: full: why=x"] * 3
    )
    lines = told(PLAN, made).splitlines()
    assert len([line for line in lines if line.startswith("| n0")]) == len(PLAN.names)
    assert lines[-1] == "3 × WARNING meshfleet.node: full:"
