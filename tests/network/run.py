"""`make network`: hard scenarios of the catalogue for real: namespaces, nodes and time; beside what the simulator says.

    python -m tests.network.run [NAME...] [--write FILE]      as root; 25 minutes for all ten

Prints a table a scenario. What `never` was to be said, and was, is an error (exit 1); how late things were said is told
and is none: a loaded machine says things late.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from meshfleet.sim.catalogue import plan
from tests.network.comparing import Story, compared, lost, real, simulated
from tests.network.fleet import fleet
from tests.network.ground import ground, why_not
from tests.network.playing import Player, needs_wires, translated

TEN = (
    "rejecting-firewall", "two-cuts", "one-way-cut", "flapping-link", "bridge-node", "lone-node-cut", "stopped-process",
    "zone-crash", "reorder-storm", "translated-node",
)  # fmt: skip

BEGIN, END = "<!-- results: begin; written by `make network` -->", "<!-- results: end -->"


def play(name: str, seed: int = 1) -> tuple[Story, Story, list[str]]:
    """One scenario: what real nodes said, what the simulator's did, and lines of warnings in real logs."""
    scenario = plan(name)
    names = [f"n{i:03}" for i in range(scenario.fleet.nodes)]
    with (
        tempfile.TemporaryDirectory(prefix="meshfleet-network-") as folder,
        ground(names, wires=needs_wires(scenario), behind_nat=translated(scenario)) as laid,
        fleet(laid, Path(folder), "--sample", str(scenario.fleet.agents_per_node), *_timing(scenario.timing)) as nodes,
    ):
        player = Player(scenario, nodes)
        player.play(lambda text: print(f"  {text}", flush=True))
        return real(scenario, nodes, player), simulated(scenario, seed), nodes.complaints


def _timing(given: str | dict[str, str | int | float]) -> tuple[str, ...]:
    return ("--timing", given) if isinstance(given, str) else ()


def told(name: str, one: Story, other: Story) -> list[str]:
    """A section of the page."""
    about = plan(name).about.split(". ")[0].rstrip(".")
    rows = compared(one, other)
    table = ["| said | real nodes | simulator, seed 1 | pairs apart |", "|---|---|---|---|", *rows]
    wrong = [f"Did not hold on real nodes: {line}" for line in lost(one)]
    shown = table if rows else ["Nobody said anything but fresh, in either."]
    return [f"### {name}", "", f"{about}.", "", *shown, "", *(line for each in wrong for line in (each, ""))]


def main() -> int:
    """See the module."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("names", nargs="*", metavar="NAME", help="scenarios of the catalogue; none named: the ten")
    arguments.add_argument("--write", type=Path, help="a page whose results are to be replaced")
    given = arguments.parse_args()
    if (why := why_not()) is not None:
        print(f"make network: {why}. Nothing ran.", file=sys.stderr)
        return 2
    sections: list[str] = []
    failed = 0
    for name in given.names or TEN:
        print(f"{name}:", flush=True)
        one, other, complaints = play(name)
        lines = told(name, one, other)
        print("\n".join(f"  {line}" for line in [*lines[4:], *complaints[-5:]]), flush=True)
        failed += any("never may" in line for line in lost(one))
        sections += lines
    if given.write is not None:
        page = given.write.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        given.write.write_text(f"{before}{BEGIN}\n\n" + "\n".join(sections) + f"\n{END}{after}", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
