"""Text of others, made fit for a terminal: whatever would act on one is written out instead, as `\\u001b`.

Agents and members say what they like: in a model's name, a note, a reason. A terminal would obey what is in it: clear
the screen, set its title, fill the clipboard (OSC 52), turn the order of letters round. Written out it is only read,
and in JSON it stays the same value.
"""

from __future__ import annotations

import re

_STRANGE = (
    "\x00-\x08\x0b-\x1f"  # C0 but tab and newline; \r too, which begins the line anew over what was there
    "\x7f-\x9f"  # DEL and C1: U+009B is an escape sequence's beginning where a terminal has 8-bit controls
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # all of Unicode's Bidi_Control: "Trojan Source", CVE-2021-42574
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # halves of pairs, from file names that are no UTF-8; standard output refuses them
)
_ACTS = re.compile(f"[{_STRANGE}]")
_ACTS_OR_BREAKS = re.compile(f"[{_STRANGE}\t\n]")


def plain(text: str) -> str:
    """`text` with whatever acts on a terminal written out. Lines and tabs stay."""
    return _ACTS.sub(_written_out, text)


def one_line(text: str) -> str:
    """The same as one line: breaks are written out, too, so that no part of it passes for a line of ours."""
    return _ACTS_OR_BREAKS.sub(_written_out, text)


def without(text: str) -> str:
    """`text` without what acts on a terminal, for where it has been laid out: no other character changes its place."""
    return _ACTS_OR_BREAKS.sub("", text)


def is_one_line(text: str) -> bool:
    """Whether `one_line` leaves it as it is."""
    return _ACTS_OR_BREAKS.search(text) is None


def _written_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
