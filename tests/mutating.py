"""Tries mutants: each is one edit of one line or two, in a copy of the tree.

It is caught when the tests of the core fail, or, should they pass, when a swarm of 200 seeds does. One that survives is
a rule that nothing holds to; exit 1 then. An edit that no longer fits the source is an error (exit 2), so that the list
cannot rot in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/fleet", "tests/gossip", "tests/sim/test_swarm.py::test_what_broke_once_holds_for_good"]
OF_ZONES = ["tests/zones"]
"""Of what is in `zones/`."""
PATIENCE = 1_800.0
"""Seconds; tests and swarm take a tenth of it."""
SWARM = ["-m", "meshfleet", "sim", "sweep", "--swarm", "--seeds", "0:200"]


class Mutant(NamedTuple):
    """One rule, and how it is broken."""

    rule: str
    file: str
    was: str
    becomes: str


def main(mutants: Sequence[Mutant]) -> int:
    """Try each mutant; 0 if all are caught, 1 if one survives, 2 if one no longer fits."""
    wanted = [m for m in mutants if len(sys.argv) < 2 or sys.argv[1] in m.rule]
    if misfits := [said for mutant in wanted if (said := misfit(mutant))]:
        print(*misfits, "Mend tests/mutants.py.", sep="\n")
        return 2
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        for number, mutant in enumerate(wanted, 1):
            began = time.monotonic()
            by = caught_by(mutant, tree)
            survivors += by is None
            said = f"caught by {by}" if by else "SURVIVED"
            print(f"{number:2}/{len(wanted)}  {mutant.rule}: {said}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(wanted)} mutants, {survivors} survived.")
    return 1 if survivors else 0


def misfit(mutant: Mutant) -> str | None:
    """What is wrong with a mutant whose edit does not fit the source, or not one place of it."""
    count = (ROOT / "meshfleet" / mutant.file).read_text(encoding="utf-8").count(mutant.was)
    return None if count == 1 else f"{mutant.file} holds {mutant.was!r} {count} times, not once."


def caught_by(mutant: Mutant, tree: Path) -> str | None:
    """What notices that this rule is broken; None where nothing does."""
    file = tree / "meshfleet" / mutant.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutant.was, mutant.becomes), encoding="utf-8")
    try:
        tests = OF_ZONES if mutant.file.startswith("zones/") else TESTS
        if fails(tree, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests):
            return "a test"
        return "the swarm" if fails(tree, *SWARM) else None
    finally:
        file.write_text(text, encoding="utf-8")


def fails(tree: Path, *arguments: str) -> bool:
    """Whether a Python program run in that tree ends badly, or not at all: a broken rule may go round for ever."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return True
    return run.returncode != 0
