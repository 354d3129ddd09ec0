"""What a billing period comes to at the pace that it had so far: the page's `pace` in totals.js, for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meshfleet.fleet.view import Period

DAY_S = 86_400.0


class Pace(NamedTuple):
    """Where it leads."""

    comes_to: float
    """USD by the period's end."""
    used_up_in: float | None
    """Seconds until the budget is; 0 where it is already; None where it lasts, or there is none."""


def pace(period: Period, now: float) -> Pace | None:
    """At `now`, Unix time. None where nobody knows: a first day says too little, and so does a clock outside of the
    period. Days are taken for UTC's: no zone shifts a month by more than a thirtieth."""
    if period.cost_usd is None or period.end is None:
        return None
    try:
        start, end = _unix(period.start), _unix(period.end)
    except ValueError:
        return None  # a node's own word, in whatever form
    if not (now - start >= DAY_S and now < end):
        return None
    per_s, budget = period.cost_usd / (now - start), period.budget_usd
    used_up_in = None
    if budget is not None and period.cost_usd >= budget:
        used_up_in = 0.0
    elif budget is not None and budget < per_s * (end - start):
        used_up_in = (budget - period.cost_usd) / per_s
    return Pace(per_s * (end - start), used_up_in)


def _unix(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
