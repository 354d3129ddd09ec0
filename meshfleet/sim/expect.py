"""Whether what was to be said was said, and what never was to be said was not.

What an observer says is a series of (from when, word), each word standing until the next; no word at all, None, is
what it says of whom it does not know. While its process does not run an observer is not asked. After that it has
`within` to get right what is to be said; what is `never` to be said holds at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshfleet.sim.scenario import Expect
    from meshfleet.sim.score import Score
    from meshfleet.sim.selectors import Cast

Word = TypeVar("Word", Presence, Standing)
Span = tuple[int, int]
"""From and to, in microseconds."""


class Held(msgspec.Struct, frozen=True):
    """Whether one expectation held, and if not, who said what of whom, when, and on which evidence."""

    index: int
    ok: bool
    detail: str = ""


def check(index: int, expect: Expect, cast: Cast, score: Score, silent: dict[int, list[Span]], end_us: int) -> Held:
    """One expectation against what was said. `silent`: when each observer's process did not run."""
    subjects = cast.select(expect.subjects, f"expect[{index}].subjects") if expect.subjects else ()
    for observer in cast.nodes_of(expect.observers, f"expect[{index}].observers"):
        asked = Asked(expect, silent.get(int(observer[1:]), []), end_us)
        wrong = asked.of_itself(observer, score)
        for subject in subjects:
            if wrong is None and subject.partition("/")[0] != observer:
                wrong = asked.of(observer, subject, score)
        if wrong is not None:
            return Held(index, False, wrong)
    return Held(index, True)


class Asked:
    """When one observer is asked, and for what."""

    def __init__(self, expect: Expect, silent: list[Span], end_us: int) -> None:
        self._expect = expect
        self._start = round(expect.start * MICROSECONDS)
        self._end = end_us if expect.end is None else round(expect.end * MICROSECONDS)
        self._within = round(expect.within * MICROSECONDS)
        self._silent = sorted(silent)

    def of_itself(self, observer: str, score: Score) -> str | None:
        """What is wrong with what it said of itself; None if nothing is."""
        wanted = _words(self._expect.standing)
        told = score.stood.get(int(observer[1:]), [])
        found = self._amiss(told, Standing.CONNECTED, wanted) if wanted else None
        if found is None:
            return None
        when, word = found
        why = score.reasons.get((int(observer[1:]), observer, _since(told, when)), ())
        return f"{observer} stood {word.value if word else ''} at {_seconds(when)}{_because(why)}{_not(wanted)}"

    def of(self, observer: str, subject: str, score: Score) -> str | None:
        """What is wrong with what it said of a node or an agent; None if nothing is."""
        told = score.told(int(observer[1:]), subject)
        found = self._said(told, self._expect.never)
        wanted: tuple[Presence, ...] = ()
        if found is None and (wanted := _words(self._expect.reach)):
            found = self._amiss(told, None, wanted)
        if found is None:
            return None
        when, word = found
        if word is None:
            return f"{observer} knew nothing of {subject} at {_seconds(when)}{_not(wanted)}"
        why = score.reasons.get((int(observer[1:]), subject, _since(told, when)), ())
        return f"{observer} said {word.value} of {subject} at {_seconds(when)}{_because(why)}{_not(wanted)}"

    def _said(
        self, told: Sequence[tuple[int, Presence | None]], never: tuple[Presence, ...]
    ) -> tuple[int, Presence | None] | None:
        """The first moment at which it said what it never may."""
        for begin, stop, said in _states(told, None, self._start, self._end):
            if said is not None and said in never:
                moment = _after(begin, self._silent, 0)
                if moment < stop:
                    return moment, said
        return None

    def _amiss(
        self, told: Sequence[tuple[int, Word | None]], first: Word | None, wanted: tuple[Word, ...]
    ) -> tuple[int, Word | None] | None:
        """The first moment, from when it is due, at which something else was the word."""
        for begin, stop, said in _states(told, first, self._start + self._within, self._end):
            if said not in wanted:
                moment = _after(begin, self._silent, self._within)
                if moment < stop:
                    return moment, said
        return None


def _states(
    told: Sequence[tuple[int, Word | None]], first: Word | None, start: int, end: int
) -> Iterable[tuple[int, int, Word | None]]:
    """Each word that stood between `start` and `end`, with when it did: from and to."""
    begin, held = start, first
    for when, said in told:
        if when > start:
            if when >= end:
                break
            yield begin, when, held
            begin = when
        held = said
    yield begin, end, held


def _after(moment: int, silent: list[Span], within: int) -> int:
    """The first moment from then on at which the observer can be held to its word."""
    for begin, stop in silent:
        if begin <= moment < stop + within:
            moment = stop + within
    return moment


def _words(given: Word | tuple[Word, ...]) -> tuple[Word, ...]:
    return given if isinstance(given, tuple) else (given,)


def _since(told: Sequence[tuple[int, object]], when: int) -> int:
    return max((at for at, _ in told if at <= when), default=0)


def _seconds(when: int) -> str:
    return f"{when / MICROSECONDS:.2f} s"


def _because(reasons: tuple[str, ...]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def _not(wanted: Iterable[Presence | Standing]) -> str:
    words = [word.value for word in wanted]
    return f", not {' or '.join(words)}" if words else ", which it never may"
