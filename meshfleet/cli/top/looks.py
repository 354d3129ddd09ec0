"""How somebody likes to look at the fleet, kept from one time to the next: columns, order, groups."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

LOOKS = ".top.json"
"""Beside the state dirs."""

SIZE_LIMIT = 4_096


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept. Whatever is not there is as at first."""

    columns: dict[str, tuple[str, ...]] = {}
    """By page, the keys of the columns that were chosen. A page that is not in it shows what has room."""
    order: str = "state"
    turned: bool = False
    group: str | None = None


def read_looks(path: Path) -> Looks:
    """What was kept; the first looks where nothing can be read: a file of another version is no reason not to start."""
    with suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        return msgspec.json.decode(file.read(SIZE_LIMIT), type=Looks)
    return Looks()


def keep_looks(path: Path, looks: Looks) -> None:
    """Keep them. Where that can't be, they hold until the program ends."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(looks))
        beside.replace(path)


def possible(
    looks: Looks, orders: Collection[str], groups: Collection[str | None], columns: Mapping[str, Collection[str]]
) -> Looks:
    """Of what was kept, what this version knows. `columns`: the keys of each page's."""
    return Looks(
        columns={page: keys for page, keys in looks.columns.items() if set(columns.get(page, ())) & set(keys)},
        order=looks.order if looks.order in orders else "state",
        turned=looks.turned,
        group=looks.group if looks.group in groups else None,
    )
