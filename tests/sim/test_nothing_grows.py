"""An hour of everything that goes wrong: what a member holds at its end it held after half an hour as well."""

from __future__ import annotations

from tests.holding import held
from tests.sim.churn import Churn

MINUTE = 60.0
MORE = 1.25
"""How many times as much there may be, at the least of the last looks, as there was at the most of the first: what
comes and goes is now more, now less, and what grows all along is 1.7 times as much."""
FEW = 50
"""And so many besides: of small numbers some are larger by chance."""


def test_of_nothing_that_a_member_holds_there_is_more_after_an_hour_of_trouble() -> None:
    churn = Churn(3, seed=0)
    before = [_look(churn, minute) for minute in (10, 20, 30)]
    after = [_look(churn, minute) for minute in (50, 55, 60)]
    assert churn.faults > 200
    grown: dict[str, list[int]] = {}
    for path in after[-1]:
        first, last = ([look.get(path, 0) for look in looks] for looks in (before, after))
        if min(last) > MORE * max(first) + FEW:
            grown[path] = [*first, *last]
    assert not grown


def _look(churn: Churn, minute: int) -> dict[str, int]:
    """Of each path, the most that any member that stays holds there then, in containers or beside each other."""
    churn.run(minute * MINUTE)
    found: dict[str, int] = {}
    for here in churn.staying:
        for path, what in held(member=here.member).items():
            found[path] = max(found.get(path, 0), what.items, what.objects)
    return found
