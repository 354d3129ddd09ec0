"""`meshfleet doctor`: what is wrong around a node on this machine, what it dropped, and who sent it forgeries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.asking import elsewhere, socket_dir
from meshfleet.cli.connect.command import Connection, connections
from meshfleet.cli.files import running_in
from meshfleet.cli.local import administer
from meshfleet.cli.saying import print_plain
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.standing import Standing
from meshfleet.node.admin import Doctor

if TYPE_CHECKING:
    from meshfleet.fleet.source import SourceTold
    from meshfleet.node.diagnosis import Diagnosis
    from meshfleet.node.otel.telling import ExportTold


def doctor(*, node: str | None, state_dir: str | None, as_json: bool, tries: bool = True) -> int:
    """Print what the node says of itself; the exit code says whether anything is wrong."""
    folder = socket_dir(node, state_dir)
    reply = administer(folder, Doctor(tries), f"no node runs in {folder}. {elsewhere()}")
    assert reply.diagnosis is not None
    running = running_in(folder)
    runtimes = connections(running.http) if running is not None else []
    if as_json:
        whole = {**msgspec.to_builtins(reply.diagnosis), "runtimes": runtimes}
        print_plain(msgspec.json.encode(whole).decode())
        return verdict(reply.diagnosis)
    console = showing.console()
    console.print(render(reply.diagnosis))
    if runtimes:
        console.print()
        console.print(of_runtimes(runtimes))
    return verdict(reply.diagnosis)


def verdict(told: Diagnosis) -> int:
    """1 where something is wrong; what is merely worth knowing is not. A node of a version that finds nothing in how it
    stands tells that apart."""
    if told.standing is not Standing.CONNECTED:
        return 1
    return int(any(finding.severity is not Severity.INFO for finding in told.findings))


def of_findings(told: Diagnosis) -> RenderableType:
    """What is wrong, by what it was found, and what to do; or that nothing is, as far as it was looked."""
    parts: list[RenderableType] = []
    for finding in told.findings:
        head = Text.assemble((finding.severity.value, showing.SEVERITIES[finding.severity]), f" {finding.what.value}: ")
        parts += [head.append(finding.text)]
        parts += [Padding(Text(line), (0, 0, 0, 2), expand=False) for line in finding.evidence]
        parts += [Padding(Text.assemble(("Do: ", "bold"), finding.do), (0, 0, 0, 2), expand=False), Text()]
    if not told.peers:
        return Group(*parts[:-1])
    if not verdict(told) and not told.findings:
        parts.append(Text("Nothing is wrong with addresses, clocks and names."))
    return Group(*parts, _looked(told))


def _looked(told: Diagnosis) -> Text:
    """How far that was looked at."""
    if not told.tested:
        return Text(f"No path was tested: none of {told.peers} other nodes told its half.", style="dim")
    named = ", ".join(told.tested)
    line = f"Paths were tested to {len(told.tested)} of {told.peers}: {named}. Datagrams of three sizes and connections"
    return Text(f"{line}, each way.", style="dim")


def of_runtimes(told: list[Connection]) -> RenderableType:
    """The runtimes of this machine, and whether they tell this node."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("RUNTIME", no_wrap=True)
    table.add_column("CONNECTED")
    for each in told:
        hint = "yes" if each.connected else f"no: `meshfleet connect {each.runtime}` has it tell more than its files do"
        table.add_row(each.runtime, each.problem or hint)
    return table


def of_sources(told: tuple[SourceTold, ...]) -> RenderableType:
    """Where the node looks for others, what it found there last, and what is wrong now."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("LOOKS IN", overflow="fold")
    for column in ("NODES", "AGENTS"):
        table.add_column(column, justify="right")
    table.add_column("OFFERED")
    table.add_column("PROBLEM", overflow="fold")
    for each in told:
        offered = {True: "yes", False: "no", None: "-"}[each.offered]
        table.add_row(each.name, str(each.nodes), str(each.agents), offered, each.problem or "-")
    return table


def of_exports(node: str, told: ExportTold) -> RenderableType:
    """Whether a collector of OpenTelemetry gets what it should, and who tells it."""
    what = "the fleet" if told.mode == "fleet" else "this node and its agents"
    lines = [Text(f"OpenTelemetry: {what} to {told.endpoint}, each {told.interval_s:g} s.")]
    if told.failing is not None:
        lines.append(Text(f"  The last export failed: {told.failing}", "bold red"))
    if told.exporter not in (None, node):
        lines.append(Text(f"  {told.exporter} exports for the fleet; this node would if it were gone or failed."))
    elif told.last_s is not None:
        lines.append(Text(f"  This node exports; the last got through {showing.age(told.last_s)} ago."))
    elif told.failing is None:
        lines.append(Text("  This node is about to export for the first time."))
    counted = ((told.failed, "intervals given up"), (told.missed, "missed"), (told.rejected, "data points rejected"))
    said = ", ".join(f"{count} {what}" for count, what in counted if count)
    return Group(*lines, *([Text(f"  {said}")] if said else []))


def render(told: Diagnosis) -> RenderableType:
    """The node, what it dropped, and who forged."""
    parts: list[RenderableType] = [Text(f"{told.node} is {told.standing.value}.")]
    parts += [Text(f"  {reason}") for reason in told.reasons]
    if told.peers or told.findings:
        parts += [Text(), of_findings(told)]
    if told.sources:
        parts += [Text(), of_sources(told.sources)]
    if told.drops:
        drops = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        drops.add_column("DROPPED")
        drops.add_column("TIMES", justify="right")
        for name, times in told.drops.items():
            drops.add_row(name, str(times))
        parts += [Text(), drops]
    if told.exports is not None:
        parts += [Text(), of_exports(told.node, told.exports)]
    if not told.forgeries:
        return Group(*parts, Text(), Text("Nobody sent it forgeries."))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("FORGED", "IN THE NAME OF", "SENT BY", "TIMES", "LAST"):
        table.add_column(column, no_wrap=True)
    for each in told.forgeries:
        by = each.sent_by if each.proven else f"{each.sent_by}, or a member that says so"
        table.add_row(each.kind, each.in_name_of, by, str(each.times), f"{showing.age(each.age_s)} ago")
    return Group(*parts, Text(), table)
