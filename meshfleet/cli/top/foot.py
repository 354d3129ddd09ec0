"""What stands below the tables: the pages, the place in this one, its order, and the keys that there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meshfleet.cli.top.glance import GREY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.cli.top.looks import Looks

WIDE = 140
"""Columns from which there is room for all keys."""

WIDE_KEYS = "  enter detail  n needs me  / filter  s sort  r turn  b group  c columns  v its view  ? keys  q quit"


def line(pages: Sequence[str], page: str, place: str, looks: Looks | None, width: int) -> Text:
    """The last line. `looks`: how the agents are sorted, where they are what is shown."""
    text = Text()
    for number, name in enumerate(pages, 1):
        text.append(f" {number} {name} ", "reverse" if name == page else "")
    text.append(f" {place}")
    if looks is not None:
        text.append(f"  by {looks.order}{' turned' if looks.turned else ''}")
        if looks.group is not None:
            text.append(f" in {looks.group}s")
    text.append(WIDE_KEYS if width >= WIDE else "  / filter  ? keys  q quit", GREY)
    return text
