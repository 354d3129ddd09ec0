"""`make fuzz`: looks for inputs that crash a decoder or cost too much, so many minutes for each.

What is found lies in `.fuzz/NAME/found`. Once it is mended it belongs into `tests/fuzz/corpus/NAME`, which the ordinary
tests replay; `--keep` adds inputs that reach different lines of ours, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis.errors import NonInteractiveExampleWarning

from tests.fuzz.exploring import examine, with_hypothesis
from tests.fuzz.targets import TARGETS, Target

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
WORK = ROOT / ".fuzz"
PRODUCT = str(ROOT / "meshfleet")

KEPT = 12
"""Inputs that `--keep` adds to the corpus of one target: the shortest of those that reach a line of ours that none
there does."""

KEPT_BYTES = 2_000


def main() -> int:
    """0: nothing was found."""
    asked = _asked()
    wrong = [name for name in asked.target if name not in TARGETS]
    if wrong:
        print(f"No target {', '.join(wrong)}. There are: {' '.join(TARGETS)}.", file=sys.stderr)
        return 2
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print("Atheris has no wheel for this Python on this system: Hypothesis has all of the time.")
    found = 0
    for name in asked.target or TARGETS:
        found += _fuzz(TARGETS[name], asked.minutes * 60, guided, asked.keep)
    return 1 if found else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--target", action="append", default=[], help="one of the table in tests/fuzz/targets.py")
    parser.add_argument("--keep", action="store_true", help="add what reaches new lines to the corpus")
    return parser.parse_args()


def _fuzz(decoder: Target, seconds: float, guided: bool, keep: bool) -> int:
    work = WORK / decoder.name
    for part in ("corpus", "found", "suspects", "crashes"):
        (work / part).mkdir(parents=True, exist_ok=True)
    for data in _examples(decoder):
        (work / "corpus" / sha256(data).hexdigest()[:16]).write_bytes(data)
    tried, findings = with_hypothesis(decoder, seconds / 2 if guided else seconds, Random().randrange(2**32))
    line = f"{decoder.name}: {tried:,} inputs by Hypothesis"
    if guided:
        line += f", {_guided(decoder, seconds / 2, work):,} by Atheris"
    findings += [finding for data in _stored(decoder, work) if (finding := examine(decoder, data)) is not None]
    different = {finding.why.partition(" (")[2] or finding.kind: finding for finding in findings}
    print(f"{line}; {len(different) or 'nothing'} found", flush=True)
    for finding in different.values():
        place = work / "found" / f"{finding.kind}-{sha256(finding.data).hexdigest()[:12]}"
        place.write_bytes(finding.data)
        print(f"  {finding.why}: {place.relative_to(ROOT)}", flush=True)
    if keep:
        _keep(decoder, work)
    return len(different)


def _stored(decoder: Target, work: Path) -> list[bytes]:
    """What Atheris kept, thought dear or crashed with, each once, to be looked at without instruments."""
    places = [*(work / "corpus").iterdir(), *(work / "suspects").iterdir(), *(work / "crashes").iterdir()]
    return [data for data in {place.read_bytes() for place in places} if len(data) <= decoder.longest]


def _guided(decoder: Target, seconds: float, work: Path) -> int:
    """How many inputs Atheris tried."""
    folders = [work / "corpus", *([CORPUS / decoder.name] if (CORPUS / decoder.name).exists() else [])]
    flags = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={decoder.longest}",
        f"-artifact_prefix={work / 'crashes'}/",
        "-print_final_stats=1",
        "-timeout=10",
    ]
    done = _atheris(decoder, work, *flags, *map(str, folders))
    said = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    if done.returncode:
        crashed = max((work / "crashes").iterdir(), key=os.path.getmtime, default=None)
        last = done.stderr.strip().splitlines()[-12:]
        if crashed is None or examine(decoder, crashed.read_bytes()) is None:
            print(f"  Atheris ended with {done.returncode}:", *last, sep="\n    ")
    return int(said[1]) if said else 0


def _atheris(decoder: Target, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.guided", decoder.name, str(work / "suspects"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)


def _examples(decoder: Target) -> list[bytes]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonInteractiveExampleWarning)
        return [decoder.drawn.example()[: decoder.longest] for _ in range(20)]


def _keep(decoder: Target, work: Path) -> None:
    """Adds the shortest inputs that reach something new to the corpus of the ordinary tests."""
    kept = CORPUS / decoder.name
    kept.mkdir(parents=True, exist_ok=True)
    reached: set[tuple[str, int]] = set()
    for place in kept.iterdir():
        reached |= lines_of(decoder, place.read_bytes())
    chosen = 0
    for data in sorted(_stored(decoder, work), key=len):
        lines = lines_of(decoder, data)
        if len(data) <= KEPT_BYTES and not lines <= reached and chosen < KEPT:
            (kept / sha256(data).hexdigest()[:16]).write_bytes(data)
            reached |= lines
            chosen += 1


def lines_of(decoder: Target, data: bytes) -> set[tuple[str, int]]:
    """The lines of ours that an input reaches."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, _event: str, _what: object) -> Any:
        if not frame.f_code.co_filename.startswith(PRODUCT):
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        decoder.run(data)
    finally:
        sys.settrace(None)
    return lines


if __name__ == "__main__":
    sys.exit(main())
