"""How a view is shown on a terminal: words, glyphs and colours, ages, sums. Nothing here decides anything."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from meshfleet.fleet.notice import Severity
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.plain import is_one_line, one_line, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType

    from meshfleet.fleet.view import Totals

GLYPHS = {
    Presence.FRESH: ("●", "*", "green"),
    Presence.STALE: ("◐", "~", "yellow"),
    Presence.UNREACHABLE: ("○", "?", "magenta"),
    Presence.DOWN: ("✕", "x", "red"),
    Presence.LEFT: ("→", "-", "bright_black"),
}
"""Glyph, its twin in ASCII, and colour. The word always stands beside them: neither says anything alone."""

STANDINGS = {
    Standing.CONNECTED: "green",
    Standing.DEGRADED: "yellow",
    Standing.SPLIT: "yellow",
    Standing.RESUMING: "yellow",
    Standing.PARTITIONED: "red",
    Standing.ISOLATED: "red",
}

SEVERITIES = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "red"}

DAY_S = 86_400.0
_AGES = ((DAY_S, "d"), (3_600.0, "h"), (60.0, "min"))


class PlainConsole(Console):
    """Obeys no text: whatever in one would act on the terminal, or begin a line, is written out. Each Text is a line of
    its own, or a cell's; several are a Group. Rich itself takes out five controls and lets escape sequences through.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """All that is printed comes through here, and each part of it: Text before it is laid out."""
        if isinstance(renderable, str):
            renderable = self.render_str(renderable)
        if isinstance(renderable, Text):
            renderable = written_out(renderable)
        for segment in super().render(renderable, options):
            # What acts on the terminal for Rich itself is marked as control.
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


def written_out(text: Text) -> Text:
    """The same text, of the same styles, with nothing in it that acts on a terminal."""
    if is_one_line(text.plain):
        return text
    shown = text.blank_copy()
    for letter in text.divide(range(1, len(text.plain))):
        shown.append_text(letter if is_one_line(letter.plain) else Text(one_line(letter.plain)))
    return shown


def console(*, to_errors: bool = False) -> Console:
    """Standard output, or error: coloured on a terminal, plain where it is piped or NO_COLOR is set."""
    return PlainConsole(stderr=to_errors, highlight=False, emoji=False, markup=False, soft_wrap=False)


def has_glyphs() -> bool:
    """Whether standard output can show more than ASCII. `top` puts something in its place that has no encoding."""
    real = getattr(sys.__stdout__, "encoding", None)
    encoding = (getattr(sys.stdout, "encoding", None) or real or "ascii").lower()
    return encoding.replace("-", "").startswith("utf")


def presence(which: Presence, certainty: Certainty | None = None) -> Text:
    """`● fresh`, `✕ down, proven`."""
    glyph, letter, colour = GLYPHS[which]
    sure = "" if certainty is None else f" {certainty.value}"
    return Text(f"{glyph if has_glyphs() else letter} {which.value}{sure}", style=colour)


def age(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `2 h`, `4 d`."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def clock(when: str, age_s: float) -> str:
    """RFC 3339 as this terminal's time of day, `14:03:07`; with the day where it is longer ago than one."""
    there = datetime.fromisoformat(when).astimezone()
    return f"{there:%H:%M:%S}" if age_s < DAY_S else f"{there:%m-%d %H:%M:%S}"


def since(when: str, now: str) -> str:
    """How long ago `when` was at `now`, both RFC 3339."""
    return age(max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(when)).total_seconds()))


def money(usd: float | None) -> str:
    """`$7.31`; a dash where it is not known."""
    return "-" if usd is None else f"${usd:,.2f}"


def count(number: int | None) -> str:
    """`950`, `12.3k`, `1.9M`; a dash where it is not known."""
    if number is None:
        return "-"
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def agents(totals: Totals) -> str:
    """`5 agents: 3 working, 1 tool, 1 out of sight`: statuses count only where the agent is heard of."""
    out_of_sight = totals.agents - sum(totals.by_status.values())
    return how_many({**totals.by_status, "out of sight": out_of_sight}, "agent")


def how_many(counts: dict[str, int], one: str) -> str:
    """`5 nodes: 4 fresh, 1 down`."""
    total = sum(counts.values())
    parts = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    return f"{total} {one}{'' if total == 1 else 's'}" + (f": {parts}" if parts else "")
