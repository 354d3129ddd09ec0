"""`meshfleet sim`: outages in virtual time, and whether the truth was told of them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.catalogue import files, find
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import load

if TYPE_CHECKING:
    from rich.console import RenderableType


def run(name: str, seed: int, detector: str | None, mode: str | None = None, *, as_json: bool) -> int:
    """Run one scenario and print what came of it; 0 if all expectations held and nobody was wrongly called dead."""
    scenario = load(find(name))
    instead = {"detector": detector, "mode": mode}
    said = {key: word for key, word in instead.items() if word is not None}
    if said:
        scenario = msgspec.convert({**msgspec.to_builtins(scenario), **said}, type(scenario))
    began = time.perf_counter()
    report = Run(scenario, seed).run()
    report = msgspec.structs.replace(report, wall_s=round(time.perf_counter() - began, 3))
    if as_json:
        fields = msgspec.to_builtins(report)
        for detail in fields.pop("details"):
            print(detail, file=sys.stderr)
        print(msgspec.json.encode(fields).decode())
    else:
        from meshfleet.cli import showing

        showing.console().print(_shown(report))
    return 0 if report.ok else 1


def catalogue(*, as_json: bool) -> None:
    """The scenarios that there are, with what each is about."""
    scenarios = [(file.stem, " ".join(load(file).about.split())) for file in files()]
    if as_json:
        print(msgspec.json.encode([{"name": name, "about": about} for name, about in scenarios]).decode())
        return
    for name, about in scenarios:
        print(f"{name:24}  {about}")
    if not scenarios:
        print("No scenarios here: they come with a checkout of the project, in its folder sims/.")


def _shown(report: Report) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    told = f"{report.scenario}, seed {report.seed}, {report.mode}, {report.detector}"
    lines: list[RenderableType] = [
        Text(f"{told}: {'held' if report.ok else 'DID NOT HOLD'}"),
        Text(f"{report.virtual_s:.0f} virtual s in {report.wall_s:.2f} s; trace {report.trace_sha256[:16]}"),
        Text(
            f"wrongly down {report.false_down}; presumed of who was cut off {report.presumed_wrong}; "
            f"deaths missed {report.missed_down}"
        ),
    ]
    for kind, seen in report.detect_s.items():
        if seen["first_p50"] is not None:
            lines.append(Text(f"{kind}: first said down after {seen['first_p50']} s, last after {seen['last_p50']} s"))
    spread, cost = report.spread_s, report.cost
    lines.append(Text(f"snapshots: p50 {spread['p50']} s, p99 {spread['p99']} s, max {spread['max']} s"))
    lines.append(
        Text(f"cost: {cost['bytes_per_node_s']} bytes/s a node, {cost['copies_per_snapshot']} copies a snapshot")
    )
    words = ["fresh", "stale", "unreachable", "down", "left"]
    table = Table("TRUTH \\ SAID (s)", *words, box=None, pad_edge=False)
    for truth, said in report.confusion.items():
        if not any(said.values()):
            continue
        table.add_row(truth.replace("_", " "), *(f"{said[word]:,.0f}" if said.get(word) else "-" for word in words))
    lines += [Text(), table]
    lines += [Text(f"expect[{held.index}]: {held.detail}") for held in report.expect if not held.ok]
    lines += [Text(detail) for detail in report.details]
    return Group(*lines)
