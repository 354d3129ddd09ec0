"""What stands above the tables: who serves the view and how far to believe it, sums, and what needs somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.pace import pace
from meshfleet.cli.top.glance import GREY, short
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.cli.top.reading import Reading
    from meshfleet.fleet.view import Totals

MEANING = {
    Standing.DEGRADED: "is under strain: what it says of others may come late",
    Standing.SPLIT: "sees a part of the fleet cut off, and is with the larger part",
    Standing.PARTITIONED: "is itself cut off from half of the fleet or more; all beyond is from before",
    Standing.ISOLATED: "hears nobody: it is itself cut off, and all of the others is from before",
    Standing.RESUMING: "was suspended and has just come back: ages start again",
}
"""What a standing means to who reads this node's view."""

FIRST = ("waiting", "error", "rate_limited", "out of sight")
"""Counts that are told first."""

CUT_OFF = (Standing.PARTITIONED, Standing.ISOLATED)


MARKS = {Severity.INFO: "i", Severity.WARNING: "!", Severity.CRITICAL: "x"}


def title(reading: Reading, url: str, width: int) -> Text:
    """`meshfleet  n1 ● connected for 2m  ...  live`: the first line."""
    me = reading.view.served_by
    where = url.partition("://")[2]
    left = Text.assemble(("meshfleet ", "bold"), (me.node, "bold"), " is ")
    left.append(me.standing.value, showing.STANDINGS[me.standing])
    left.append(f" for {short(reading.since(me.since))}")
    if me.local_health:
        left.append(f", local health {me.local_health} of 8", "yellow")
    if reading.is_silent:
        right = Text(f"no word for {short(reading.quiet)}", "bold red")
    else:
        right = Text(f"live from {where}", GREY)
    room = width - left.cell_len - right.cell_len
    return left + Text("  " if room < 2 else " " * room) + right


def sums(reading: Reading, burn: float | None = None) -> list[Text]:
    """Agents in the second line, those that need somebody first, as the end may not fit; nodes and what the agents that
    are there have used in the third; in the fourth what the fleet spends, where anything is known of it. `burn`: USD an
    hour."""
    view = reading.view
    totals = view.totals
    statuses = {**totals.by_status, "out of sight": totals.agents - sum(totals.by_status.values())}
    first = [word for word in FIRST if word in statuses]
    agents = showing.how_many({word: statuses[word] for word in dict.fromkeys((*first, *statuses))}, "agent")
    counts = {p.value: sum(node.presence is p for node in view.nodes) for p in Presence}
    used = f"{showing.count(totals.tokens_in)} in, {showing.count(totals.tokens_out)} out"
    if totals.cost_usd is not None:
        used += f", {showing.money(totals.cost_usd)}"
    parts = [showing.how_many(counts, "node"), used]
    tools = sorted(totals.by_tool.items(), key=lambda each: (-each[1], each[0]))[:4]
    if tools:
        parts.append(f"tools: {', '.join(f'{name} {number}' for name, number in tools)}")
    if view.zones:
        well = sum(zone.presence is Presence.FRESH for zone in view.zones)
        parts.insert(1, f"{well} of {len(view.zones)} other zones heard")
    lines = [Text(agents.replace("_", " ")), Text("  ".join(parts))]
    spent = Text("  ").join(_spent(totals, burn, reading.now))
    return [*lines, spent] if spent else lines


def _spent(totals: Totals, burn: float | None, now: float) -> Iterator[Text]:
    """`$4.10/h`, `$18.20 today`, `$312.40 of $500.00 since 2026-11-01`, and what that comes to, or when the budget is
    used up."""
    period, leads_to = totals.period, pace(totals.period, now)
    if burn is not None:
        yield Text(f"{showing.money(burn)}/h")
    if totals.today is not None and totals.today.cost_usd is not None:
        yield Text(f"{showing.money(totals.today.cost_usd)} today")
    if period.cost_usd is not None:
        of = "" if period.budget_usd is None else f" of {showing.money(period.budget_usd)}"
        yield Text(f"{showing.money(period.cost_usd)}{of} since {period.start}")
    if leads_to is None or period.end is None:
        return
    if leads_to.used_up_in is None:
        yield Text(f"~{showing.money(leads_to.comes_to)} by {period.end[5:]}")
    else:
        when = f" in {short(leads_to.used_up_in)} at this pace" if leads_to.used_up_in else ""
        yield Text(f"! used up{when}", "yellow")


def banner(reading: Reading) -> Text | None:
    """What must not be overlooked: that the serving node is cut off, not heard, or slowed. None where all is well."""
    me = reading.view.served_by
    said: list[str] = []
    if reading.is_silent:
        said.append(f"NOTHING HEARD for {short(reading.quiet)}: what is shown is as of then. Asking again ...")
    if me.standing is not Standing.CONNECTED:
        since = short(reading.since(me.since))
        head = "CUT OFF" if me.standing in CUT_OFF else me.standing.value.upper()
        said.append(f"{head} for {since}: {me.node} {MEANING[me.standing]}.")
        beyond = [node for node in reading.view.nodes if node.presence is Presence.UNREACHABLE]
        if beyond:
            names = ", ".join(f"{node.name} ({short(reading.since(node.since))})" for node in beyond[:6])
            more = f" and {len(beyond) - 6} more" if len(beyond) > 6 else ""
            said.append(f"Beyond the cut: {names}{more}.")
        said += [f"{reason}." for reason in me.reasons[:1]]
    if me.slowed > 1:
        said.append(f"The fleet says too much: snapshots of agents of {me.node} go {me.slowed:g} times as seldom.")
    return Text("\n".join(said)) if said else None


def is_grave(reading: Reading) -> bool:
    """Whether the banner says that the view can't be believed as it stands."""
    return reading.is_silent or reading.view.served_by.standing in CUT_OFF


def attention(reading: Reading, most: int) -> Text:
    """What needs somebody, the worst few, a line each."""
    notices = reading.view.attention
    text = Text()
    for number, notice in enumerate(notices[:most]):
        text.append("\n" if number else "")
        text.append(f"{MARKS[notice.severity]} {notice.subject}", showing.SEVERITIES[notice.severity])
        text.append(f": {notice.text}, for {short(reading.since(notice.since))}")
    if len(notices) > most:
        text.append(f"  and {len(notices) - most} more: n", GREY)
    return text
