"""What is wrong with a setting, in the words of the operator who wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "float | str": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "text",
}


def wrong(error: msgspec.ValidationError, named: str, choices: Mapping[str, tuple[str, ...]]) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.a.b` `` in the words of the operator."""
    said, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".").replace("[...]", "")
    if path in choices:
        said = f"{said.rpartition(' ')[2]} is none of {', '.join(choices[path])}"
    for word in re.findall(r"`(.+?)`", said):
        kind = word.removesuffix(" | null")
        said = said.replace(f"`{word}`", WORDS.get(kind, kind))
    return f"{place_of(named, path)}: {said[:1].lower()}{said[1:]}."


def place_of(named: str, path: str) -> str:
    """The setting `path`, such as `timing.heartbeat`, as its source calls it."""
    variable = "TIMING" if path == "timing.preset" else path.replace(".", "_").upper()
    return named.format(
        path=path, flag=path.removesuffix(".preset").removesuffix(".endpoint").replace("_", "-"), VARIABLE=variable
    )
