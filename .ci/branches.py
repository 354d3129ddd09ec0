"""Holds the branch coverage of one part against its floor: `branches.py COVERAGE.json PART PERCENT`.

coverage's own --fail-under counts lines and branches together, which lets untested branches hide behind many lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(report: str, part: str, floor: str) -> int:
    """Print the part's share of branches taken; 1 where it is below `floor` per cent."""
    coverage = json.loads(Path(report).read_text())
    totals = coverage["totals"]
    share = 100 * totals["covered_branches"] / max(1, totals["num_branches"])
    print(f"{part}: {share:.1f} % of {totals['num_branches']} branches covered, {floor} % wanted")
    if share >= float(floor):
        return 0
    for name, file in sorted(coverage["files"].items()):
        for start, end in file["missing_branches"]:
            print(f"  {name}:{start} never goes on to {'the end' if end < 0 else f'line {end}'}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
