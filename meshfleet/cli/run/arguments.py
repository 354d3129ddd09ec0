"""The words after `meshfleet run`. Read by hand: the command's parser takes longer to import than all else here."""

from __future__ import annotations

from typing import NamedTuple


class Arguments(NamedTuple):
    """What is to be run, and as whom."""

    command: tuple[str, ...]
    agent: str | None = None
    node: str | None = None


def read(words: list[str]) -> Arguments | None:
    """`[--id ID] [--node URL] [--] COMMAND...`; None where it is anything else, which the command's parser explains."""
    given: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        flag, equals, value = word.partition("=")
        if flag not in ("--id", "--node") or flag in given:
            return None
        if not equals:
            if not rest:
                return None
            value = rest.pop(0)
        given[flag] = value
    return Arguments(tuple(rest), given.get("--id"), given.get("--node")) if rest else None
