"""`meshfleet bench growth`, from what was typed to an exit code."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.growth.figures import SIZES, Kind
from meshfleet.cli.growth.measuring import all_of, failures, load, missing
from meshfleet.cli.growth.shown import BEGIN, drawn, markdown, text
from meshfleet.cli.outcome import INTERRUPTED
from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError
from meshfleet.sim.table import around, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST: dict[Kind, int] = {"simulated": 10_000, "real": 512}
"""The largest fleet of each kind: what the core takes, and what `bench mesh` does."""

LEAST = 4
"""Nodes: one process and one host die, and two must be left to agree on the second."""


def growth(
    sizes: str | None, runs: int, kind: Kind | None, *,
    results: Path | None, picture: Path | None, page: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Measure what is missing, and show all there is. 1 where something was amiss, 130 where somebody stopped it."""
    wanted = sizes_of(sizes, kind)
    before = load(results)
    for path, flag in ((results, "--results"), (picture, "--picture"), (page, "--write")):
        if path is not None and not path.resolve().parent.is_dir():
            raise ConfigError(f"{flag}: there is no folder {path.parent} to put {path.name} into.")
    if page is not None:
        around(page, BEGIN)
    measured = all_of(missing(wanted, runs, before), before, results, _say)
    found = measured.results
    if not found.points:
        _say("nothing was measured.")
        return INTERRUPTED if measured.left else 1
    print_plain(msgspec.json.encode(found).decode() if as_json else text(found))
    wrong = [*measured.wrong, *failures(found)]
    for each in wrong:
        _say(f"AMISS: {each}")
    if measured.left:
        kept = f", and kept in {results}: the same command goes on from there" if results else "; --results keeps it"
        _say(f"stopped, runs to go: {measured.left}. What was measured is shown above{kept}.")
        return INTERRUPTED
    if picture is not None:
        picture.write_text(f"{drawn(found)}\n", encoding="utf-8")
    if page is not None:
        write(page, markdown(found), BEGIN)
    return 1 if wrong else 0


def sizes_of(sizes: str | None, kind: Kind | None) -> dict[Kind, Sequence[int]]:
    """How many nodes are wanted of each kind. ConfigError where --sizes means nothing."""
    kinds: tuple[Kind, ...] = ("simulated", "real") if kind is None else (kind,)
    if sizes is None:
        return {each: SIZES[each] for each in kinds}
    if not re.fullmatch(r"\d+(,\d+)*", sizes):
        raise ConfigError(f"--sizes: {sizes!r} is no list of numbers of nodes. Write them as 8,64,512.")
    given = sorted({int(size) for size in sizes.split(",")})
    most = max(MOST[each] for each in kinds)
    if given[0] < LEAST:
        raise ConfigError(
            f"--sizes: {given[0]} are too few: two nodes die, and the rest have to agree on it; {LEAST} at least."
        )
    if given[-1] > most:
        raise ConfigError(f"--sizes: {given[-1]:,} are too many: {most:,} at most.")
    return {each: [nodes for nodes in given if nodes <= MOST[each]] for each in kinds}


def _say(said: str) -> None:
    print_plain(said, file=sys.stderr, flush=True)
