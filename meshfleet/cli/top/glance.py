"""Ages, bars and words in few characters. Colour is never alone: a glyph and a word say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meshfleet.cli import showing
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from meshfleet.fleet.presence import Presence

STATUSES = {
    Status.STARTING: ("◔", "+", "cyan"),
    Status.WORKING: ("●", "*", "green"),
    Status.TOOL: ("◆", "#", "cyan"),
    Status.WAITING: ("▲", "!", "bold yellow"),
    Status.IDLE: ("○", "o", ""),
    Status.RATE_LIMITED: ("◑", "%", "yellow"),
    Status.ERROR: ("✖", "x", "bold red"),
    Status.EXITED: ("■", "-", "bright_black"),
}
"""Glyph, its twin in ASCII, and colour."""

HIGH, MIDDLE = 90.0, 70.0
"""Per cent of a context, or of a limit, from which it is red, and yellow."""

GREY = "bright_black"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TIMES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"))


def short(seconds: float | None) -> str:
    """`0.4s`, `12s`, `3m`, `2h`, `4d`: four characters up to 999 days; a dash where it is not known."""
    if seconds is None:
        return "-"
    for length, unit in _TIMES:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.1f}s" if seconds < 9.95 else f"{int(seconds)}s"


def ticking(seconds: float) -> str:
    """What is watched while it runs: `12s`, `3:05`, `1h04`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3_600}h{whole % 3_600 // 60:02}" if whole < 86_400 else short(seconds)


def glyph(of: Status | Presence) -> tuple[str, str]:
    """Glyph and colour of a status or presence."""
    fancy, plain, colour = STATUSES[of] if isinstance(of, Status) else showing.GLYPHS[of]
    return (fancy if showing.has_glyphs() else plain), colour


def word(of: Status | Presence) -> Text:
    """`▲ waiting`; in 13 characters."""
    mark, colour = glyph(of)
    return Text(f"{mark} {'rate limit' if of is Status.RATE_LIMITED else of.value}", colour)


def level(pct: float) -> str:
    """The colour of so much used."""
    return "red" if pct >= HIGH else "yellow" if pct >= MIDDLE else "green"


def share(pct: float) -> str:
    """`61%`. Nothing is called full that is not."""
    return f"{99 if 99 < pct < 100 else pct:.0f}%"


def bar(pct: float, width: int) -> Text:
    """A bar of `width` cells, in eighths of a cell; whole cells where the terminal has ASCII alone."""
    filled = min(100.0, max(0.0, pct)) / 100 * width
    if not showing.has_glyphs():
        return Text("#" * round(filled), level(pct)) + Text("." * (width - round(filled)), GREY)
    whole = int(filled)
    part = _EIGHTHS[int((filled - whole) * 8)].strip() if whole < width else ""
    return Text("█" * whole + part, level(pct)) + Text("░" * (width - whole - len(part)), GREY)
