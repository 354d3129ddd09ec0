"""Tokens and money: each response once, with its last word, at list prices."""

from __future__ import annotations

import pytest

from meshfleet.fleet.usage import Figures, Moment
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.usage import QUARTER, QUARTERS, RECENT, Ledger, Usage
from tests.runtimes.writing import T0, Flat


def test_a_response_said_again_counts_once_with_its_last_word() -> None:
    ledger = Ledger(Flat())
    ledger.count("a", "m", Usage(fresh=10, output=1), T0)
    ledger.count("a", "m", Usage(fresh=10, output=1), T0)
    ledger.count("a", "m", Usage(fresh=10, output=90), T0)
    assert (ledger.total, ledger.cost) == (Usage(fresh=10, output=90), 90.0)


def test_a_less_complete_word_that_comes_late_changes_nothing() -> None:
    ledger = Ledger(Flat())
    ledger.count("a", "m", Usage(fresh=10, output=90), T0)
    ledger.count("a", "m", Usage(fresh=10, output=1), T0)
    assert ledger.total == Usage(fresh=10, output=90)


def test_a_sum_with_one_response_that_has_no_price_has_none_either() -> None:
    ledger = Ledger(Flat())
    ledger.count("a", "m", Usage(output=5), T0)
    before = ledger.cost
    ledger.count("b", "secret-model", Usage(output=7), T0)
    assert (before, ledger.cost, ledger.total.output) == (5.0, None, 12)


def test_what_can_still_be_corrected_is_bounded_and_the_sum_is_not_lost() -> None:
    ledger = Ledger(Flat())
    for number in range(RECENT + 50):
        ledger.count(str(number), "m", Usage(output=1), T0)
    assert ledger.total.output == RECENT + 50


def test_cache_reads_and_writes_have_their_own_prices() -> None:
    # claude-sonnet-4-5, USD per million: in 3, cache write 3.75, cache read 0.30, out 15.
    # 600 x 3 + 18,000 x 3.75 + 8,000 x 0.30 + 154 x 15 = 1,800 + 67,500 + 2,400 + 2,310 = 74,010 millionths.
    cost = Prices("anthropic").cost("claude-sonnet-4-5", Usage(600, 8_000, 18_000, 0, 154), T0)
    assert cost == pytest.approx(0.07401)


def test_an_hour_of_cache_costs_twice_the_price_of_fresh_tokens() -> None:
    # 1,000 written, of which 400 for an hour: 600 x 3.75 + 400 x 6 = 4,650 millionths.
    cost = Prices("anthropic").cost("claude-sonnet-4-5", Usage(cache_write=1_000, cache_write_1h=400), T0)
    assert cost == pytest.approx(0.00465)


def test_a_prompt_over_a_step_of_the_prices_is_dearer_and_the_next_one_below_is_not() -> None:
    # claude-sonnet-4-5 above 200,000 prompt tokens: in 6, out 22.50. 300,000 x 6 + 10 x 22.5 = 1,800,225 millionths.
    prices = Prices("anthropic")
    assert prices.cost("claude-sonnet-4-5", Usage(fresh=300_000, output=10), T0) == pytest.approx(1.800225)
    # At 200,000 exactly: 200,000 x 3 + 10 x 15 = 600,150 millionths.
    assert prices.cost("claude-sonnet-4-5", Usage(fresh=200_000, output=10), T0) == pytest.approx(0.60015)


def test_codex_models_are_found_by_their_own_names() -> None:
    # gpt-5: in 1.25, cached 0.125, out 10. 6,000 x 1.25 + 4,000 x 0.125 + 100 x 10 = 9,000 millionths.
    assert Prices("openai").cost("gpt-5-codex", Usage(6_000, 4_000, 0, 0, 100), T0) == pytest.approx(0.009)


def test_the_provider_whose_runtime_it_is_comes_first_and_others_are_asked_too() -> None:
    assert Prices("anthropic").window("claude-opus-4-8") == 1_000_000
    assert Prices("anthropic").cost("gpt-5", Usage(fresh=1_000_000), T0) is not None


def test_a_model_that_nobody_lists_has_neither_price_nor_window() -> None:
    prices = Prices("anthropic")
    assert prices.cost("made-up-model", Usage(fresh=1), T0) is None
    assert prices.window("made-up-model") is None


def test_it_is_known_when_what_was_used() -> None:
    ledger = Ledger(Flat())
    ledger.count("a", "m-200k", Usage(fresh=100, output=1), T0)
    ledger.count("b", "m-200k", Usage(cache_read=50, output=2), T0 + 3 * QUARTER)
    ledger.count("a", "m-200k", Usage(fresh=100, output=4), T0 + 3 * QUARTER)  # its last word, where it now stands
    ledger.add("m-200k", Usage(fresh=7), 0.0)  # nobody knows when
    ledger.count("c", "m-200k", Usage(output=1), T0 + 5 * QUARTER)
    quarter = T0 // QUARTER * QUARTER
    assert ledger.course() == (
        Moment(quarter + 3 * QUARTER, Figures(6_000_000, 150, 6)),
        Moment(quarter + 5 * QUARTER, Figures(7_000_000, 150, 7)),
    )
    ledger.count("d", "secret-model", Usage(output=1), T0 + 9 * QUARTER)
    assert [moment.said.cost for moment in ledger.course()] == [None, None, None]


def test_a_long_past_is_kept_in_few_quarters() -> None:
    ledger = Ledger(Flat())
    for n in range(QUARTERS + 50):
        ledger.count(str(n), "m-200k", Usage(output=1), T0 + n * QUARTER)
    course = ledger.course()
    assert len(course) == QUARTERS
    assert (course[0].said.tokens_out, course[-1].said.tokens_out) == (51, QUARTERS + 50)
