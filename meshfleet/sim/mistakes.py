"""What is wrong with a scenario file, in words: the key's path as people write it, and the nearest valid word."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LISTED = 20
"""Where nothing is near, this many valid words are listed at most."""


def nearest(word: str, words: Iterable[str]) -> str:
    """`; the nearest is 'down'`, or all that there are, where those are few; else nothing."""
    known = list(words)
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are {', '.join(known)}" if 0 < len(known) < LISTED else ""


def explain(error: str, data: object, keys: Callable[[str], list[str]], words: dict[str, list[str]]) -> str:
    """msgspec's `error` about `data`, retold. `keys` knows what keys a place may have, `words` what a key may say."""
    said, _, path = error.partition(" - at ")
    place = _named(path.strip("`").removeprefix("$").removeprefix("."), data)
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", said)
    if unknown:
        key = unknown.group(1)
        return f"{place or 'the file'}: {key!r} is no key here{nearest(key, keys(place))}."
    missing = re.fullmatch(r"Object missing required field `(.*)`", said)
    if missing:
        key = missing.group(1)
        there = f"; there are {', '.join(words[key])}" if key in words else ""
        return f"{place or 'the file'}: missing required field `{key}`{there}."
    invalid = re.fullmatch(r"Invalid (?:enum )?value '?(.*?)'?", said)
    if invalid:
        last = re.sub(r"(\[\d*\])+$", "", place).rpartition(".")[2]
        word = invalid.group(1)
        return f"{place}: {word!r} is not a word for this{nearest(word, words.get(last, []))}."
    value = _at(data, place)
    given = f"; it is {value!r}" if isinstance(value, int | float | str) and "got" not in said else ""
    return f"{place or 'the file'}: {said[:1].lower()}{said[1:]}{given}."


def _named(place: str, data: object) -> str:
    """`place`, with the key where msgspec has `[...]` for a table's: the first whose value is no list of texts."""
    before, dots, after = place.partition("[...]")
    table = _at(data, before)
    if not dots or not isinstance(table, dict):
        return place
    bad = [key for key, value in table.items() if not (isinstance(value, list) and value and _all_texts(value))]
    return f"{before}.{bad[0]}{after}" if bad else before


def _all_texts(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _at(data: object, place: str) -> object:
    """What stands at a place such as `fault[2].nodes`; None where nothing does."""
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        if key:
            data = data.get(key) if isinstance(data, dict) else None
        else:
            data = data[int(index)] if isinstance(data, list) and int(index) < len(data) else None
    return data
