"""What counts: growth beyond what was counted, whatever is repeated, reordered, corrected or begun anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import ConfigError
from meshfleet.fleet.rendezvous import ranked
from meshfleet.fleet.state import AgentState, Status
from meshfleet.fleet.usage import (
    NOTHING,
    Account,
    Counted,
    Daily,
    Figures,
    Usage,
    figures,
    growth,
    named_period,
    next_start,
    period_start,
    spent,
    spent_on,
)

AMOUNTS = st.integers(0, 10**9)
USAGES = st.builds(Usage, AMOUNTS, AMOUNTS, AMOUNTS)


def counted(*said: Figures, restarts: bool = False) -> Usage:
    mark = total = NOTHING
    for each in said:
        used, mark = growth(mark, each, restarts=restarts)
        total = total.plus(used)
    return total


def of(usage: Usage) -> Figures:
    return Figures(usage.cost, usage.tokens_in, usage.tokens_out)


@given(st.lists(USAGES, min_size=1), st.booleans())
def test_totals_that_only_grow_count_once_however_often_they_are_told(said: list[Usage], restarts: bool) -> None:
    grown: list[Usage] = []
    for each in said:
        grown.append(each if not grown else grown[-1].join(each))
    twice = [of(each) for each in grown for _ in range(2)]
    assert counted(*twice, restarts=restarts) == grown[-1]


@given(st.lists(USAGES, min_size=1), st.randoms(use_true_random=False))
def test_of_a_session_that_is_named_the_greatest_of_each_figure_counts_in_any_order(
    said: list[Usage], rng: object
) -> None:
    greatest = NOTHING
    for each in said:
        greatest = greatest.join(each)
    shuffled = sorted(said, key=lambda _: rng.random())  # type: ignore[attr-defined]  # a random.Random
    assert counted(*(of(each) for each in shuffled)) == greatest


def test_a_correction_counts_nothing_until_it_is_exceeded() -> None:
    # 5 $, priced anew at 3 $, then 6 $ in the end: 6 $ and not 5 + 3.
    assert counted(Figures(5, 100, 10), Figures(3, 100, 10), Figures(6, 120, 12)) == Usage(6, 120, 12)


def test_an_agent_without_a_session_that_begins_anew_counts_on() -> None:
    # 100 tokens, then a new process: 30, then 40. 100 + 40 in all; of the money 5 + 2.
    assert counted(Figures(5, 100, 10), Figures(1, 30, 3), Figures(2, 40, 4), restarts=True) == Usage(7, 140, 14)


def test_a_price_that_falls_while_tokens_do_not_is_no_new_beginning() -> None:
    assert counted(Figures(5, 100, 10), Figures(3, 100, 10), restarts=True) == Usage(5, 100, 10)


def test_without_tokens_a_cost_that_falls_is_a_new_beginning() -> None:
    assert counted(Figures(cost=5), Figures(cost=2), restarts=True).cost == 7


def test_what_is_not_known_changes_nothing() -> None:
    assert counted(Figures(5, 100, 10), Figures(), Figures(cost=6), restarts=True) == Usage(6, 100, 10)


@pytest.mark.parametrize("cost", [None, -1.0, float("inf"), float("nan"), 1e300])
def test_a_cost_that_is_no_amount_is_not_known(cost: float | None) -> None:
    state = AgentState(agent_id="a", timestamp="", status=Status.IDLE, runtime="r", cost_usd=cost, tokens_in=7)
    assert figures(state) == Figures(None, 7, None)


def test_money_is_counted_in_millionths() -> None:
    state = AgentState(agent_id="a", timestamp="", status=Status.IDLE, runtime="r", cost_usd=0.1 + 0.2)
    assert figures(state).cost == 300_000


@pytest.mark.parametrize(
    ("day", "first", "start"),
    [
        ("2026-11-25", 1, "2026-11-01"),
        ("2026-11-14", 15, "2026-10-15"),
        ("2026-11-15", 15, "2026-11-15"),
        ("2027-01-05", 28, "2026-12-28"),
    ],
)
def test_a_period_begins_on_its_day_of_each_month(day: str, first: int, start: str) -> None:
    assert period_start(day, first) == start
    assert start <= day < next_start(start)


def test_a_period_is_called_by_its_month_or_its_first_day() -> None:
    assert named_period("2026-11", 15) == "2026-11-15"
    assert named_period("2026-11-01", 15) == "2026-11-01"


@pytest.mark.parametrize(
    "text", ["", "2026", "26-11", "2026-13", "2026-00", "2026-11-", "2026-11-32", "november", "२०२६-11"]
)
def test_what_is_no_period_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="2026-11"):
        named_period(text, 1)


@given(st.lists(st.tuples(st.sampled_from("ab"), USAGES)))
def test_what_is_spent_is_the_sum_over_ledgers_of_that_period_alone(said: list[tuple[str, Usage]]) -> None:
    accounts = [
        Account(node, i.to_bytes(8, "big"), 1, 1, {"2026-11-01": used, "2026-10-01": Usage(1, 1, 1)})
        for i, (node, used) in enumerate(said)
    ]
    assert spent(accounts, "2026-11-01").cost == sum(used.cost for _, used in said)


@given(st.sets(st.text(min_size=1, max_size=5), min_size=2), st.text())
def test_when_somebody_goes_the_others_keep_their_turns(names: set[str], matter: str) -> None:
    order = ranked(matter, names)
    assert sorted(order) == sorted(names)
    assert ranked(matter, names - {order[0]}) == order[1:]


DAYS = st.sampled_from(["2026-11-24", "2026-11-25", "2026-11-26"])
COUNTED = st.builds(
    Counted,
    st.dictionaries(st.sampled_from(["2026-10-01", "2026-11-01"]), USAGES),
    st.none() | st.builds(Daily, DAYS, USAGES),
)


@given(COUNTED, COUNTED, COUNTED)
def test_what_was_counted_joins_in_any_order_and_never_shrinks(a: Counted, b: Counted, c: Counted) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    both = a.join(b)
    assert both.join(a) == both
    for each in (a.newest, b.newest):
        if each is not None:
            assert both.newest is not None
            assert both.newest.day >= each.day, "an older day never replaces a newer one"
            if both.newest.day == each.day:
                assert each.used.beyond(both.newest.used) == NOTHING


def an_account(day: str | None, used: Usage, periods: dict[str, Usage]) -> Account:
    return Account("n1", b"ledger-1", 1, 1, periods, None if day is None else Daily(day, used))


def test_of_a_day_those_are_summed_whose_newest_it_is() -> None:
    november = {"2026-11-01": Usage(50, 500, 50)}
    told = [
        an_account("2026-11-26", Usage(5, 50, 5), november),
        an_account("2026-11-26", Usage(2, 20, 2), november),
        an_account("2026-11-25", Usage(9, 90, 9), november),  # idle today
        an_account("2026-11-27", Usage(9, 90, 9), november),  # of a clock that is ahead
        an_account(None, NOTHING, november),  # of an earlier version
    ]
    assert spent_on(told, "2026-11-26") == Usage(7, 70, 7)
    assert spent_on(told, "2026-11-28") == NOTHING


@pytest.mark.parametrize(
    ("periods", "most"),
    [
        ({}, 0),
        ({"2026-10-01": Usage(10**9)}, 0),
        ({"2026-11-01": Usage(3)}, 3),
        ({"2026-11-01": Usage(30)}, 20),
        ({"2026-11-15": Usage(7)}, 7),
        ({"2026-11-01": Usage(7), "2026-11-15": Usage(3)}, 7),  # its billing day was another before
        ({"2026-13-99": Usage(10**9), "0000-00-00": Usage(10**9)}, 0),
    ],
)
def test_a_day_has_no_more_than_its_period(periods: dict[str, Usage], most: int) -> None:
    assert spent_on([an_account("2026-11-26", Usage(20), periods)], "2026-11-26").cost == most
