"""`make soak`: an hour of everything that goes wrong, drawn from a seed, on twelve real nodes under load.

    python -m tests.soak.run [--minutes 60] [--seed N] [--plan FILE] [--keep DIR]      as root

Prints how it goes, and a report. The plan and the logs of the nodes are kept. Exit code 1 where something did not hold.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import time
from pathlib import Path

import msgspec

from tests.network.ground import why_not
from tests.soak.fleet import can_mount
from tests.soak.plan import Plan, draw, read, rounds_in
from tests.soak.report import judged, told
from tests.soak.soaking import Soak

PATIENCE = 240.0
"""Seconds that a round's end is waited for. Later than ten heartbeats is an error; how much later is worth knowing."""


def main() -> int:
    """See the module."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--minutes", type=float, default=60.0, help="how long it takes, about; 60")
    arguments.add_argument("--seed", type=int, help="what the plan is drawn from; else one is made up")
    arguments.add_argument("--plan", type=Path, help="a plan that was kept, instead of a seed")
    arguments.add_argument("--keep", type=Path, default=Path(".soak"), help="where plan and logs are kept; .soak")
    given = arguments.parse_args()
    if (why := why_not() or can_mount()) is not None:
        print(f"make soak: {why}. Nothing ran.", file=sys.stderr)
        return 2
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    plan = draw(seed, rounds_in(given.minutes)) if given.plan is None else read(given.plan)
    return _soak(plan, given.keep / f"seed-{plan.seed}")


def _soak(plan: Plan, folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan.write(folder / "plan.json")
    print(f"{plan.told()}\nkept in {folder}/", flush=True)
    began = time.monotonic()
    outcome = Soak(
        plan, folder.resolve(), patience=PATIENCE,
        say=lambda text: print(f"{(time.monotonic() - began) / 60:6.1f} min  {text}", flush=True),
    ).run()  # fmt: skip
    broken = outcome.broken + judged(plan, outcome)
    report = told(plan, outcome)
    (folder / "weights.json").write_bytes(msgspec.json.encode(outcome.weights))
    verdict = "\n".join(f"broken: {what}" for what in broken) or "all held"
    (folder / "report.txt").write_text(f"{report}\n\n{verdict}\n")
    print(f"\n{report}\n\n{verdict}")
    if broken:
        print(f"again: make soak PLAN={folder}/plan.json (seed {plan.seed}); logs in {folder}/", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
