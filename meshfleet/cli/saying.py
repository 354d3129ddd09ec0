"""How commands print. Nothing else in them calls `print`: here nothing that acts on a terminal gets through."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from meshfleet.plain import plain

if TYPE_CHECKING:
    from typing import TextIO


def print_plain(text: str = "", *, end: str = "\n", file: TextIO | None = None, flush: bool = False) -> None:
    """`print`, for text that others may have chosen. JSON stays the same value: what is written out in it is escaped
    as JSON escapes."""
    print(plain(text), end=end, file=sys.stdout if file is None else file, flush=flush)
