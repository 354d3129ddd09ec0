"""What is said where a node knows no such name: what a person at a terminal can do about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from meshfleet.errors import ConfigError, MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.client import Reader

OF_PROGRAMS = "GET /v1/fleet lists"
"""How a node hints at where all names are (`serve/reading.py`)."""

NAMED = 8
"""Other zones that are named."""


@contextmanager
def in_words(node: Reader, *, elsewhere: bool = False) -> Iterator[None]:
    """Errors about names are told for who types commands. `elsewhere`: another zone may know the name."""
    try:
        yield
    except ConfigError as error:
        said = str(error)
        if " knows no " not in said:
            raise
        hint = _zones(node) if elsewhere else ""
        raise ConfigError(said.replace(OF_PROGRAMS, "`meshfleet status` lists") + hint) from error


def _zones(node: Reader) -> str:
    try:
        others = [zone.zone for zone in node.fleet().zones]
    except MeshfleetError:
        return ""  # it has just answered: that it does no longer is for the next command to tell
    if not others:
        return ""
    ways = " or ".join(f"meshfleet status --zone {zone}" for zone in others[:NAMED])
    more = f", or one of {len(others) - NAMED} more zones" if len(others) > NAMED else ""
    return f" It may be in another zone: {ways}{more}."
