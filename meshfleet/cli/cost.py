"""`meshfleet cost`: what the fleet used in a billing period, and the asked node's agents in detail."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from meshfleet.cli.flags import AsJson, Ca, KeyFile, NodeUrl, StateDir
from meshfleet.cli.saying import print_plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from meshfleet.fleet.cost import CostReport, Spent, Today
    from meshfleet.fleet.view import FleetView


class By(str, Enum):
    """What a sum can be taken apart by."""

    DAY = "day"
    MODEL = "model"
    RUNTIME = "runtime"
    NODE = "node"
    AGENT = "agent"


def cost(
    by: Annotated[By, typer.Option("--by", help="What the sum is taken apart by.")] = By.NODE,
    period: Annotated[
        str | None, typer.Option("--period", metavar="YYYY-MM", help="Another billing period than the one that runs.")
    ] = None,
    node: NodeUrl = None,
    state_dir: StateDir = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """What the fleet has used in this billing period: by node, or the asked node's own agents by day, model, ..."""
    from meshfleet.cli import showing
    from meshfleet.cli.asking import Asked, path_of, reader
    from meshfleet.fleet.cost import CostReport

    asked = reader(Asked(node, state_dir, key_file, ca))
    body = asked.get("/v1/cost" if period is None else path_of("/v1/cost", period))
    report = asked.understood(body, CostReport)
    if as_json:
        print_plain(body.decode())
    else:
        showing.console().print(render(report, by, asked.fleet()))


def render(report: CostReport, by: By, view: FleetView | None = None) -> RenderableType:
    """The sum of the fleet, and what it is taken apart into: which says whose it is. `view`: tells of other zones."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from meshfleet.cli.showing import count, money
    from meshfleet.cli.spending import own_zone

    own = None if view is None else own_zone(view)
    whose_sum = "the fleet" if own is None else f"zone {own}"
    during = f"from {report.start} to before {report.end} ({report.zone})"
    others = _of_others(report, view)
    missing = ", ".join(report.other_billing_day)
    besides = f" Not in it: {missing}, whose billing_day is another." if missing else ""
    if not report.by_node and not missing:
        return Group(
            Text(
                f"Nothing is known of what {whose_sum} used {during}: no agent has told of tokens or cost. "
                "`meshfleet connect` sets runtimes up to tell."
            ),
            *others,
        )
    line = f"{whose_sum[0].upper()}{whose_sum[1:]} used {_words(report.fleet)} {during}.{besides}"
    if report.today is not None:
        line += f" Of it today, {report.today.day}: {_words(report.today)}."
    if by is By.NODE:
        told, whose = report.by_node, "By node, those that are gone included:"
    else:
        here = report.here
        told = {By.DAY: here.by_day, By.MODEL: here.by_model, By.RUNTIME: here.by_runtime}.get(by, here.by_agent)
        whose = f"By {by.value}, of {here.node}'s own agents alone ({_words(here.total)}):"
    if not told:
        return Group(
            Text(line),
            *others,
            Text("Nothing is known of it." if by is By.NODE else f"{report.here.node} has counted nothing."),
        )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(by.value.upper())
    for column in ("COST", "IN", "OUT"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, spent in told.items():
        table.add_row(name, money(spent.cost_usd), count(spent.tokens_in), count(spent.tokens_out))
    return Group(Text(line), *others, Text(whose), Text(), table)


def _of_others(report: CostReport, view: FleetView | None) -> list[Text]:
    """What other zones used. They tell of the period that runs alone."""
    from rich.text import Text

    from meshfleet.cli.spending import by_zone

    if view is None or not view.zones:
        return []
    if report.start != view.totals.period.start:
        return [Text("Other zones tell here of the period that runs: ask a node of each for an earlier one.")]
    return [Text(line) for line in by_zone(report.fleet.cost_usd, view.zones)]


def _words(spent: Spent | Today) -> str:
    from meshfleet.cli.showing import count, money

    usd = "an unknown amount" if spent.cost_usd is None else money(spent.cost_usd)
    return f"{usd}, {count(spent.tokens_in)} tokens in, {count(spent.tokens_out)} out"
