"""What a billing period comes to, by the rule of the page: the same cases as in tests/browser/test_modules.py."""

from __future__ import annotations

from datetime import datetime

import pytest

from meshfleet.cli.pace import pace
from meshfleet.fleet.view import Period

NOW = datetime.fromisoformat("2026-11-24T00:00:00Z").timestamp()


@pytest.mark.parametrize(
    ("cost", "budget", "comes_to", "used_up_in"),
    [
        (115.0, None, 150.0, None),
        (115.0, 200.0, 150.0, None),
        (115.0, 120.0, 150.0, 86_400.0),
        (120.0, 120.0, 156.52, 0.0),
        (0.0, 120.0, 0.0, None),
    ],
)
def test_what_a_period_comes_to_and_whether_its_budget_lasts(
    cost: float, budget: float | None, comes_to: float, used_up_in: float | None
) -> None:
    found = pace(Period(start="2026-11-01", end="2026-12-01", cost_usd=cost, budget_usd=budget), NOW)
    assert found is not None
    assert found.comes_to == pytest.approx(comes_to, abs=0.01)
    assert found.used_up_in == (used_up_in if used_up_in is None else pytest.approx(used_up_in))


@pytest.mark.parametrize(
    ("start", "end", "cost"),
    [
        ("2026-11-24", "2026-12-24", 1.0),  # a day says too little
        ("2026-11-01", None, 1.0),
        ("2026-11-01", "2026-12-01", None),
        ("2026-10-01", "2026-11-01", 1.0),  # over
        ("2026-12-01", "2027-01-01", 1.0),  # not begun
        ("November", "2026-12-01", 1.0),
    ],
)
def test_where_nobody_knows_nothing_is_said(start: str, end: str | None, cost: float | None) -> None:
    assert pace(Period(start=start, end=end, cost_usd=cost), NOW) is None
