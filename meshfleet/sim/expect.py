"""Whether what was to be said was said, and what never was to be said was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from meshfleet.sim.scenario import Expect
    from meshfleet.sim.score import Score
    from meshfleet.sim.selectors import Cast

Word = TypeVar("Word", Presence, Standing)
Span = tuple[int, int]
"""From and to, in microseconds."""


class Held(msgspec.Struct, frozen=True):
    """Whether one expectation held, and if not, who said what when."""

    index: int
    ok: bool
    detail: str = ""


def check(index: int, expect: Expect, cast: Cast, score: Score, silent: dict[int, list[Span]], end_us: int) -> Held:
    """One expectation against what was said. `silent`: when each observer's process did not run."""
    start = round(expect.start * MICROSECONDS)
    end = end_us if expect.end is None else round(expect.end * MICROSECONDS)
    due = start + round(expect.within * MICROSECONDS)
    path = f"expect[{index}]"
    for observer in cast.select(expect.observers, f"{path}.observers"):
        number = int(observer[1:])
        spans = silent.get(number, [])
        if expect.standing:
            wanted = expect.standing if isinstance(expect.standing, tuple) else (expect.standing,)
            told = score.stood.get(number, [])
            wrong = _amiss(told, Standing.CONNECTED, wanted, due, end, spans, round(expect.within * MICROSECONDS))
            if wrong is not None:
                return Held(index, False, f"{observer} stood {wrong[1].value} at {wrong[0] / MICROSECONDS:.2f} s")
        for subject in cast.select(expect.subjects, f"{path}.subjects") if expect.subjects else ():
            carrier = subject.partition("/")[0]
            if carrier == observer:
                continue
            detail = _about(expect, score.said.get((number, int(carrier[1:])), []), start, due, end, spans)
            if detail:
                return Held(
                    index, False, f"{observer} said {detail[0]} of {subject} at {detail[1] / MICROSECONDS:.2f} s"
                )
    return Held(index, True)


def _about(
    expect: Expect, told: list[tuple[int, Presence]], start: int, due: int, end: int, spans: list[Span]
) -> tuple[str, int] | None:
    for when, said in _states(told, Presence.FRESH, start, end):
        if said in expect.never and not _inside(when, spans):
            return said.value, when
    if expect.reach:
        wanted = expect.reach if isinstance(expect.reach, tuple) else (expect.reach,)
        wrong = _amiss(told, Presence.FRESH, wanted, due, end, spans, due - start)
        if wrong is not None:
            return wrong[1].value, wrong[0]
    return None


def _amiss(
    told: list[tuple[int, Word]],
    first: Word,
    wanted: tuple[Word, ...],
    due: int,
    end: int,
    spans: list[Span],
    within: int,
) -> tuple[int, Word] | None:
    """The first moment in due..end at which something else was the word; after a silence of its own, `within` later."""
    states = _states(told, first, due, end)
    for i, (when, said) in enumerate(states):
        if said in wanted:
            continue
        until = states[i + 1][0] if i + 1 < len(states) else end
        moment = when
        for begin, stop in spans:
            if begin <= moment < stop + within:
                moment = stop + within
        if moment < until:
            return moment, said
    return None


def _states(told: list[tuple[int, Word]], first: Word, start: int, end: int) -> list[tuple[int, Word]]:
    """What held at `start`, and every change up to `end`."""
    held = first
    states: list[tuple[int, Word]] = []
    for when, said in told:
        if when <= start:
            held = said
        elif when < end:
            states.append((when, said))
    states.insert(0, (start, held))
    return states


def _inside(when: int, spans: list[Span]) -> bool:
    return any(begin <= when < stop for begin, stop in spans)
