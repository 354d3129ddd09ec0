"""The swimlanes in characters: one column a cell of time, plain ASCII, so that they read without colour, piped or in a
mail. What a cell shows is the worst that was so in it: a moment is not lost between two columns."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.lanes import WORST_FIRST, Being, Mix, Own, names, nice
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.record import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshfleet.sim.lanes import Barred, Lane

Span = TypeVar("Span", Being, Mix, Own)

NAMES = 11
"""Columns before the first cell: a node's name and which of its lines it is."""

SAID = {
    Presence.FRESH: ".",
    Presence.STALE: "s",
    Presence.UNREACHABLE: "u",
    Presence.DOWN: "d",
    Presence.LEFT: "l",
}
"""A small letter where some say so, a capital where more than half do."""

IS = {
    Process.ABSENT: " ",
    Process.RUNNING: "=",
    Process.STOPPED: "S",
    Process.ASLEEP: "Z",
    Process.EXITED: "x",
    Process.DARK: "x",
    Process.LEFT: "l",
}
CUT_OFF = "-"

SELF = {
    Standing.CONNECTED: ".",
    Standing.RESUMING: "r",
    Standing.DEGRADED: "g",
    Standing.SPLIT: "s",
    Standing.PARTITIONED: "P",
    Standing.ISOLATED: "I",
}

LEGEND = (
    ("is", "= runs, - cut off from the majority, S stopped, Z asleep, x dead, l left"),
    ("said", ". fresh, s stale, u unreachable, d down, l left; a capital: most say so"),
    ("self", ". connected, r resuming, g degraded, s split, P partitioned, I isolated"),
)


class Line(msgspec.Struct, frozen=True):
    """One line: what stands before the cells, the cells, and which of the three it is (or "", for all others)."""

    head: str
    cells: str
    kind: str = ""


class Columns:
    """Cells over time: each `width`-th part of a run."""

    def __init__(self, end_us: int, width: int) -> None:
        self.end_us = end_us
        self.width = width

    def cells(self, begin_us: int, end_us: int) -> range:
        """The cells that a span touches; a moment touches one."""
        first = min(self.width - 1, begin_us * self.width // self.end_us)
        last = max(first, -(-end_us * self.width // self.end_us) - 1)
        return range(first, min(last, self.width - 1) + 1)

    def ruler(self) -> str:
        """Seconds, each number beginning where its moment is."""
        step = max(1, round(nice(self.end_us / MICROSECONDS / 6)))
        line = [" "] * self.width
        for second in range(0, self.end_us // MICROSECONDS + 1, step):
            at = second * MICROSECONDS * self.width // self.end_us
            text = f"|{second}"
            if at + len(text) <= self.width:
                line[at : at + len(text)] = text
        return "".join(line)


def timeline(
    lanes: Sequence[Lane], walls: Sequence[Barred], faults: Sequence[tuple[str, str, list[tuple[int, int]]]],
    end_us: int, width: int = 80, most: int = 16,
) -> list[Line]:  # fmt: skip
    """All lines of a picture `width` columns wide. Nodes of whom there is nothing to tell are told in one line where
    there are many; of those with something, the `most` with most."""
    columns = Columns(end_us, width - NAMES)
    lines = [Line("seconds", columns.ruler())]
    for wall in walls:
        arrow = "<->" if wall.both_ways else "-->"
        how = "refused" if wall.reject else "cut"
        text = f"{how}: {names(wall.left)} {arrow} {names(wall.right)}"
        lines += _bar(text + (" (datagrams)" if wall.datagrams_only else ""), wall.spans, columns)
    for kind, whom, spans in faults:
        lines += _bar(f"{kind} {whom}", spans, columns)
    shown, rest = _chosen(lanes, most)
    for lane in shown:
        lines += _lane(lane, columns)
    if rest:
        quiet = [lane.number for lane in rest if not lane.interest_us]
        odd = [lane.number for lane in rest if lane.interest_us]
        lines.append(Line("", ""))
        lines += _note(f"nothing to tell of {names(quiet)}", columns) if quiet else []
        lines += _note(f"not drawn: {names(odd)}; --report has them", columns) if odd else []
    return lines


def _note(text: str, columns: Columns) -> list[Line]:
    return [Line("", part, "note") for part in wrap(text.replace("–", "-"), columns.width)]


def _chosen(lanes: Sequence[Lane], most: int) -> tuple[list[Lane], list[Lane]]:
    if len(lanes) <= most // 2:
        return list(lanes), []
    ranked = sorted(lanes, key=lambda lane: (-lane.interest_us, lane.number))
    shown = {lane.number for lane in ranked[:most] if lane.interest_us}
    return [lane for lane in lanes if lane.number in shown], [lane for lane in lanes if lane.number not in shown]


def _bar(text: str, spans: Sequence[tuple[int, int]], columns: Columns) -> list[Line]:
    cells = [" "] * columns.width
    for begin, end in spans:
        for i in columns.cells(begin, end):
            cells[i] = "#"
    return [*_note(text, columns), Line("", "".join(cells).rstrip(), "bar")]


def _lane(lane: Lane, columns: Columns) -> list[Line]:
    """Its process and its own standing only where there is anything to tell."""
    real = _cells(lane.being, columns, _how_odd, lambda span: CUT_OFF if span.cut_off else IS[span.process])
    said = _cells(lane.said, columns, _how_bad, _letter)
    own = _cells(lane.own, columns, lambda span: (list(SELF).index(span.standing),), lambda span: SELF[span.standing])
    rows = [("is", real)] if real.strip("=") else []
    rows.append(("said", said))
    rows += [("self", own)] if own.strip(". ") else []
    return [Line(f"{'' if i else lane.name:5} {kind}", cells, kind) for i, (kind, cells) in enumerate(rows)]


def _cells(
    spans: Sequence[Span], columns: Columns, rank: Callable[[Span], tuple[int, ...]], letter: Callable[[Span], str]
) -> str:
    """The letter of what ranks highest in each cell."""
    worst: dict[int, Span] = {}
    for span in spans:
        for i in columns.cells(span.begin_us, span.end_us):
            if i not in worst or rank(span) > rank(worst[i]):
                worst[i] = span
    return "".join(letter(worst[i]) if i in worst else " " for i in range(columns.width))


def _how_odd(span: Being) -> tuple[int, ...]:
    odd = span.process in (Process.EXITED, Process.DARK, Process.LEFT)
    return (odd, span.process in (Process.STOPPED, Process.ASLEEP), span.cut_off, span.process is Process.RUNNING)


def _how_bad(mix: Mix) -> tuple[int, ...]:
    counts = dict(mix.counts)
    return tuple(counts.get(word, 0) for word in WORST_FIRST)


def _letter(mix: Mix) -> str:
    worst = mix.worst
    if worst is None:
        return " "
    return SAID[worst].upper() if 2 * dict(mix.counts)[worst] > mix.asked else SAID[worst]
