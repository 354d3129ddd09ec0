"""`meshfleet sim lifeguard`: the Lifeguard paper's experiments with all detectors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.saying import print_plain
from meshfleet.cli.sim_table import progress, seeds_of
from meshfleet.errors import ConfigError
from meshfleet.sim.catalogue import FOLDER
from meshfleet.sim.lifeguard import BEGIN, cells, markdown
from meshfleet.sim.table import write

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.sim.lifeguard import Cell


def experiments(seeds: str, jobs: int | None, target: Path | None, *, as_json: bool) -> int:
    """Run them, print or write the tables; 1 where meshfleet called anybody down, or a run broke."""
    drawn = seeds_of(seeds)
    if not (FOLDER / "lifeguard").is_dir():
        raise ConfigError(
            "there are no experiments here: they come with a checkout of the project, in sims/lifeguard/."
        )
    with progress(shown=not as_json) as done:
        found = cells(drawn, jobs or os.cpu_count(), done)
    if target is not None:
        write(target, markdown(found, drawn), BEGIN)
    if as_json:
        print_plain(msgspec.json.encode(found).decode())
    elif target is None:
        _print(found)
    wrong = [cell for cell in found if cell.broken or (cell.detector == "meshfleet" and cell.fp + cell.of_the_ill)]
    for cell in wrong:
        why = "; ".join(cell.broken) or f"said down {cell.fp + cell.of_the_ill} times"
        print_plain(f"{cell.experiment}, {cell.ill} ill, {cell.detector}: {why}", file=sys.stderr)
    return 1 if wrong else 0


def _print(found: list[Cell]) -> None:
    """One line a cell, in 80 columns."""
    print_plain(
        f"{'EXPERIMENT':12} {'ILL':>4} {'DETECTOR':10} {'FP':>7} {'FP-':>6} {'OF ILL':>8} {'FIRST S':>8} {'ALL S':>8}"
    )
    for cell in found:
        first, full = (f"{v:.1f}" if v is not None else "-" for v in (cell.first_s, cell.full_s))
        print_plain(
            f"{cell.experiment:12} {cell.ill:4} {cell.detector:10} {cell.fp:7} {cell.fp_healthy:6} "
            f"{cell.of_the_ill:8} {first:>8} {full:>8}"
        )
