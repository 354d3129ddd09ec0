"""From a record to swimlanes: for each node what was so, what the others said of it, what it said of itself.

Whoever draws them (a page, a terminal) decides nothing about the run: that is all here. Times are whole microseconds.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import floor, log10
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.record import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshfleet.sim.host import Host
    from meshfleet.sim.record import Record, Wall, Word

WORST_FIRST = (Presence.DOWN, Presence.UNREACHABLE, Presence.STALE, Presence.LEFT, Presence.FRESH)

TOGETHER_US = 5 * MICROSECONDS
"""Changes alike that are no further apart are told as one."""


class Being(msgspec.Struct, frozen=True):
    """What a process did for a while, and whether it was cut off from most of those that ran."""

    begin_us: int
    end_us: int
    process: Process
    cut_off: bool


class Mix(msgspec.Struct, frozen=True):
    """What the others said for a while: how many of them each word, of how many that could be asked."""

    begin_us: int
    end_us: int
    counts: tuple[tuple[Presence, int], ...]
    """Worst first; only words that somebody said."""
    asked: int

    @property
    def most(self) -> Presence | None:
        """What most said, the worse word where as many said either; None where nobody said anything."""
        return max(self.counts, key=lambda pair: pair[1])[0] if self.counts else None

    @property
    def worst(self) -> Presence | None:
        """The worst that anybody said."""
        return self.counts[0][0] if self.counts else None


class Own(msgspec.Struct, frozen=True):
    """What a node said of itself for a while."""

    begin_us: int
    end_us: int
    standing: Standing


class Change(msgspec.Struct):
    """The same word for the same reason, by one or more observers, within a few seconds."""

    begin_us: int
    end_us: int
    who: list[int]
    said: str
    certainty: Certainty | None
    reasons: tuple[str, ...]
    of_itself: bool


class Lane(msgspec.Struct, frozen=True):
    """One node's story."""

    number: int
    name: str
    zone: str | None
    being: tuple[Being, ...]
    said: tuple[Mix, ...]
    own: tuple[Own, ...]
    changes: tuple[Change, ...]

    @property
    def interest_us(self) -> int:
        """For how long there was anything to tell."""
        odd: list[Being | Mix | Own] = []
        odd += [b for b in self.being if b.process not in (Process.RUNNING, Process.ABSENT) or b.cut_off]
        odd += [m for m in self.said if any(said is not Presence.FRESH for said, _ in m.counts)]
        odd += [o for o in self.own if o.standing is not Standing.CONNECTED]
        return sum(span.end_us - span.begin_us for span in odd)


def lanes(record: Record, hosts: Sequence[Host], end_us: int, patience_us: int) -> list[Lane]:
    """All lanes, by name. Whoever is stopped for less than `patience_us` keeps his last word meanwhile."""
    being = {host.number: _being(record, host.number, end_us) for host in hosts}
    asked = {number: _asked(spans, patience_us) for number, spans in being.items()}
    return [
        Lane(
            host.number,
            host.name,
            host.zone,
            being[host.number],
            tuple(_mixes(record.words.get(host.number, []), host.number, asked, end_us)),
            tuple(_own(record, host.number, end_us)),
            tuple(_changes(record, host.number)),
        )
        for host in hosts
    ]


def _being(record: Record, number: int, end_us: int) -> tuple[Being, ...]:
    told = record.truth.get(number, [])
    ends = [now.at_us for now in told[1:]] + [end_us]
    return tuple(Being(now.at_us, end, now.process, now.cut_off) for now, end in zip(told, ends, strict=True))


def _asked(spans: tuple[Being, ...], patience_us: int) -> list[tuple[int, int]]:
    """When a node could be asked what it says of others: spans that touch are one."""
    asked: list[tuple[int, int]] = []
    for span in spans:
        brief = span.process is Process.STOPPED and span.end_us - span.begin_us < patience_us
        if span.process is not Process.RUNNING and not brief:
            continue
        if asked and asked[-1][1] == span.begin_us:
            asked[-1] = (asked[-1][0], span.end_us)
        else:
            asked.append((span.begin_us, span.end_us))
    return asked


def _mixes(words: list[Word], subject: int, asked: dict[int, list[tuple[int, int]]], end_us: int) -> Iterable[Mix]:
    turns: list[tuple[int, int, bool | Word]] = [(word.at_us, word.observer, word) for word in words]
    for number, spans in asked.items():
        if number != subject:
            turns += [(at, number, there) for begin, end in spans for at, there in ((begin, True), (end, False))]
    turns.sort(key=lambda turn: turn[0])
    said: dict[int, Presence | None] = {}
    there: dict[int, bool] = {}
    counts: Counter[Presence | None] = Counter()
    last: Mix | None = None
    for i, (at_us, observer, turn) in enumerate(turns):
        if there.get(observer):
            counts[said.get(observer)] -= 1
        if isinstance(turn, bool):
            there[observer] = turn
        else:
            said[observer] = turn.said
        if there.get(observer):
            counts[said.get(observer)] += 1
        until = turns[i + 1][0] if i + 1 < len(turns) else end_us
        if until > at_us:
            now = tuple((presence, counts[presence]) for presence in WORST_FIRST if counts[presence])
            mix = Mix(at_us, until, now, sum(int(n) for n in counts.values()))
            if last is not None and (last.counts, last.asked) == (mix.counts, mix.asked):
                last = msgspec.structs.replace(last, end_us=until)
                continue
            if last is not None:
                yield last
            last = mix
    if last is not None:
        yield last


def _own(record: Record, number: int, end_us: int) -> Iterable[Own]:
    """What it said of itself: nothing odd, until it said something. Nothing at all while its process is gone."""
    told = record.stood.get(number, [])
    spans: list[Own] = []
    for span in _being(record, number, end_us):
        if span.process in (Process.ABSENT, Process.EXITED, Process.DARK, Process.LEFT):
            continue
        before = [stood.standing for stood in told if stood.at_us <= span.begin_us]
        within = [(s.at_us, s.standing) for s in told if span.begin_us < s.at_us < span.end_us]
        turns = [(span.begin_us, before[-1] if before else Standing.CONNECTED), *within, (span.end_us, None)]
        for (begin, standing), (end, _) in pairwise(turns):
            assert standing is not None
            if spans and (spans[-1].end_us, spans[-1].standing) == (begin, standing):
                spans[-1] = Own(spans[-1].begin_us, end, standing)
            else:
                spans.append(Own(begin, end, standing))
    return spans


def _changes(record: Record, number: int) -> Iterable[Change]:
    told = [
        Change(w.at_us, w.at_us, [w.observer], w.said.value if w.said else "unknown", w.certainty, w.reasons, False)
        for w in record.words.get(number, [])
    ]
    told += [
        Change(s.at_us, s.at_us, [number], s.standing.value, None, s.reasons, True)
        for s in record.stood.get(number, [])
    ]
    alike: dict[tuple[str, str, str, bool], Change] = {}
    merged: list[Change] = []
    for change in sorted(told, key=lambda c: c.begin_us):
        reason = re.sub(r"[\d.]+", "#", change.reasons[0]) if change.reasons else ""
        key = (change.said, change.certainty.value if change.certainty else "", reason, change.of_itself)
        before = alike.get(key)
        if before is not None and change.begin_us - before.end_us <= TOGETHER_US:
            before.end_us = change.begin_us
            before.who = sorted({*before.who, *change.who})
        else:
            alike[key] = change
            merged.append(change)
    return merged


class Barred(msgspec.Struct, frozen=True):
    """What lay between whom, and when: all walls between the same two sides."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    both_ways: bool
    reject: bool
    datagrams_only: bool
    spans: tuple[tuple[int, int], ...]


def barred(walls: Sequence[Wall], end_us: int) -> list[Barred]:
    """The walls of a record, those that come again and those that face each other as one."""
    spans: dict[tuple[tuple[int, ...], tuple[int, ...], bool, bool], list[tuple[int, int]]] = {}
    for wall in walls:
        key = (wall.left, wall.right, wall.reject, wall.datagrams_only)
        spans.setdefault(key, []).append((wall.begin_us, end_us if wall.end_us is None else wall.end_us))
    found: list[Barred] = []
    done: set[tuple[tuple[int, ...], tuple[int, ...], bool, bool]] = set()
    for key, when in spans.items():
        left, right, reject, datagrams_only = key
        facing = (right, left, reject, datagrams_only)
        if key in done:
            continue
        both = spans.get(facing) == when
        if both:
            done.add(facing)
        found.append(Barred(left, right, both, reject, datagrams_only, tuple(when)))
    return found


def names(numbers: Sequence[int]) -> str:
    """`n000–n002, n007`: names of nodes, runs drawn together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts: list[str] = []
    for run in runs:
        if len(run) > 2:
            parts.append(f"n{run[0]:03}–n{run[-1]:03}")
        else:
            parts += [f"n{number:03}" for number in run]
    return ", ".join(parts)


def seconds(at_us: int) -> str:
    """`41.3`: a moment, in seconds."""
    return f"{at_us / MICROSECONDS:.1f}"


def nice(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not less."""
    power = 10.0 ** floor(log10(max(step, 1e-9)))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= step * 0.999)


def told(lane: Lane, most_parts: int = 8) -> str:
    """A lane in a sentence or two, for whoever does not see it."""
    real = [
        f"{span.process.value}{', cut off from the majority' if span.cut_off else ''} from {seconds(span.begin_us)} s"
        for span in lane.being
    ]
    said: list[str] = []
    for mixes in _alike(lane.said):
        most, asked = max((dict(mix.counts)[word], mix.asked) for mix in mixes if (word := mix.most) is not None)
        some = "" if most == asked else f" (at most {most} of {asked})"
        said.append(f"{mixes[0].most.value if mixes[0].most else ''}{some} from {seconds(mixes[0].begin_us)} s")
    own = [
        f"{span.standing.value} from {seconds(span.begin_us)} to {seconds(span.end_us)} s"
        for span in lane.own
        if span.standing is not Standing.CONNECTED
    ]
    text = f"{lane.name} is {_some(real, most_parts)}. The others say {_some(said, most_parts) or 'nothing'}."
    return f"{text} It says of itself: {_some(own, most_parts) or 'connected throughout'}."


def _alike(said: Sequence[Mix]) -> list[list[Mix]]:
    """What was said, in runs through which most said the same."""
    runs: list[list[Mix]] = []
    for mix in said:
        if mix.most is None:
            continue
        if runs and runs[-1][-1].most is mix.most:
            runs[-1].append(mix)
        else:
            runs.append([mix])
    return runs


def _some(parts: list[str], most: int) -> str:
    if len(parts) <= most:
        return "; ".join(parts)
    return "; ".join(parts[:most]) + f"; and {len(parts) - most} more"
