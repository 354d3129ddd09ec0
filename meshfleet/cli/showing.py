"""How a view is shown on a terminal: words, glyphs and colours, ages, sums. Nothing here decides anything."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from meshfleet.fleet.notice import Severity
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
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


def console() -> Console:
    """Standard output: coloured on a terminal, plain where it is piped or NO_COLOR is set."""
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=False)


def has_glyphs() -> bool:
    """Whether standard output can show more than ASCII. `top` puts something in its place that has no encoding."""
    real = getattr(sys.__stdout__, "encoding", None)
    encoding = (getattr(sys.stdout, "encoding", None) or real or "ascii").lower()
    return encoding.replace("-", "").startswith("utf")


def presence(which: Presence, certainty: Certainty | None = None) -> Text:
    """`● fresh`, `✕ down, proven`."""
    glyph, plain, colour = GLYPHS[which]
    sure = "" if certainty is None else f" {certainty.value}"
    return Text(f"{glyph if has_glyphs() else plain} {which.value}{sure}", style=colour)


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
