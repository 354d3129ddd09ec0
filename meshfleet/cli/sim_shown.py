"""What `meshfleet sim run` prints for people: whether it held, and if not, who said what of whom, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meshfleet.fleet.presence import Presence
from meshfleet.sim import timeline
from meshfleet.sim.telling import asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from meshfleet.sim.paces import PaceTold
    from meshfleet.sim.running import Report
    from meshfleet.sim.scenario import Scenario

SAID = {"s": "yellow", "u": "magenta", "d": "red", "l": "bright_black"}
COLOURS = {
    "is": {"-": "yellow", "S": "cyan", "Z": "cyan", "x": "red", "l": "bright_black"},
    "said": {**SAID, **{letter.upper(): colour for letter, colour in SAID.items()}},
    "self": {"r": "yellow", "g": "yellow", "s": "yellow", "P": "red", "I": "red"},
}
"""Colours of letters that say the same without them."""

WORDS = {"running_reachable": "runs, reachable", "running_cut_off": "runs, cut off", "exited": "process dead"}


def outcome(scenario: Scenario, report: Report) -> RenderableType:
    """All of it, within 80 columns."""
    mode = "" if report.mode == "core" else f"{report.mode} mode, "
    told = f"{report.scenario}, seed {report.seed}, {mode}{report.detector}: "
    verdict = Text("held", style="bold green") if report.ok else Text("DID NOT HOLD", style="bold red")
    lines: list[RenderableType] = [
        Text.assemble(told, verdict),
        Text(f"{report.virtual_s:g} virtual s in {report.wall_s:.2f} s; trace {report.trace_sha256[:16]}"),
        Text(),
        _figures(report),
    ]
    lines += _amiss(scenario, report)
    lines += [Text(), _confusion(report)]
    return Group(*lines)


def _figures(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    held = len([each for each in report.expect if each.ok])
    judged = report.detector == "meshfleet"
    if report.expect:
        table.add_row("expectations held", _count(held, len(report.expect), wrong=held < len(report.expect)))
    for pace in report.pace:
        table.add_row(f"pace[{pace.index}]", _pace(pace))
    table.add_row("wrongly called down", _count(report.false_down, wrong=judged and report.false_down > 0))
    table.add_row("deaths missed", _count(report.missed_down, wrong=judged and report.missed_down > 0))
    table.add_row("presumed of who was cut off", _count(report.presumed_wrong))
    for kind, seen in report.detect_s.items():
        if seen["first_p50"] is not None:
            name = "process dead" if kind == "exited" else "host down"
            table.add_row(f"{name}, said", f"first after {seen['first_p50']} s, last after {seen['last_p50']} s")
    spread, cost = report.spread_s, report.cost
    if spread["p50"] is not None:
        table.add_row("snapshots arrive", f"p50 {spread['p50']} s, p99 {spread['p99']} s, max {spread['max']} s")
    table.add_row(
        "cost of a node", f"{cost['bytes_per_node_s']:,.0f} bytes/s, {cost['copies_per_snapshot']} copies a snapshot"
    )
    return table


def _pace(pace: PaceTold) -> Text:
    """One line: how often, how evenly, and what was amiss."""
    often = "nothing left" if pace.every is None else f"each {pace.every[0]:g} to {pace.every[2]:g} s"
    shown = f"{often}, p99 {pace.late_p99} s late, {pace.bytes_per_node_s:,.0f} bytes/s a node"
    if pace.slowest > 1:
        shown += f", {pace.slowest:g} times as seldom at the end"
    return Text("; ".join([shown, *pace.details]), style="" if pace.ok else "bold red")


def _count(number: int, of: int | None = None, *, wrong: bool = False) -> Text:
    shown = f"{number}" if of is None else f"{number} of {of}"
    return Text(shown, style="bold red" if wrong else "")


def _amiss(scenario: Scenario, report: Report) -> list[RenderableType]:
    """What did not hold; who was wrongly called down, when and why."""
    lines: list[RenderableType] = []
    if report.broken:
        lines += [Text(), Text("an invariant broke, and ended the run", style="red"), _indented(report.broken)]
    for expect, held in zip(scenario.expect, report.expect, strict=True):
        if not held.ok:
            lines += [Text(), Text(f"expect[{held.index}] did not hold", style="red")]
            lines += [_indented(asked(expect, scenario)), _indented(held.detail)]
    if report.details:
        lines += [Text(), Text("wrongly called down, or missed", style="red" if not report.ok else "")]
        lines += [_indented(detail) for detail in report.details]
    return lines


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2), expand=False)


def _confusion(report: Report) -> Table:
    words = [said.value for said in Presence]
    table = Table("TRUTH \\ SAID (s)", box=None, pad_edge=False)
    for word in words:
        table.add_column(word, justify="right")
    for truth, said in report.confusion.items():
        if any(said.values()):
            cells = (f"{said[word]:,.0f}" if said.get(word) else "-" for word in words)
            table.add_row(WORDS.get(truth, truth.replace("_", " ")), *cells)
    return table


def lanes(lines: Sequence[timeline.Line]) -> RenderableType:
    """The swimlanes, and what their letters mean."""
    shown: list[RenderableType] = [_line(line) for line in lines]
    shown.append(Text())
    shown += [Text(f"{kind:5} {meaning}", style="bright_black") for kind, meaning in timeline.LEGEND]
    return Group(*shown)


def _line(line: timeline.Line) -> Text:
    text = Text(f"{line.head:{timeline.NAMES}}", style="")
    colours = COLOURS.get(line.kind, {})
    if not colours:
        text.append(line.cells, style="bold" if line.kind == "bar" else "")
    for letter in line.cells if colours else "":
        text.append(letter, style=colours.get(letter, ""))
    return text
