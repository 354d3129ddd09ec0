"""`meshfleet status`: what one node sees, itself first, and the exit code that sums it up."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec
from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.styled import Styled
from rich.text import Text

from meshfleet import plain
from meshfleet.cli import showing, spending, tables
from meshfleet.cli.asking import Asked, reader
from meshfleet.cli.outcome import NO_ANSWER, Trouble
from meshfleet.cli.picking import Wanted, in_order, picked, read_filter, read_order
from meshfleet.cli.saying import print_plain
from meshfleet.cli.status_line import one_line
from meshfleet.cli.unknown import in_words
from meshfleet.cli.watching import RETRY_SECONDS, moments, warning
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.view import FleetView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from meshfleet.cli.watching import Moment
    from meshfleet.client import Reader

ENOUGH = 200
"""Columns that `-o wide` takes where it needs them, also on a narrow terminal."""

ATTENTION = 12
"""Lines of what needs attention."""

CUT_OFF = 3


class How(NamedTuple):
    """Which agents are shown, in which order and form."""

    form: str = ""
    """`wide`, `json`, `name`, `line`, or empty for as wide as the terminal is."""
    wanted: tuple[Wanted, ...] = ()
    order: str | None = None
    turned: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the view is shown as the node gave it."""
        return not self.wanted and self.order is None

    def apply(self, view: FleetView) -> FleetView:
        """The view with those agents alone, in that order."""
        agents = picked(view, self.wanted)
        if self.order is not None:
            agents = in_order(agents, self.order, turned=self.turned)
        return msgspec.structs.replace(view, agents=tuple(agents))


def how(wanted: str | None, order: str | None, output: str | None, *, line: bool, as_json: bool) -> How:
    """What the flags say. ConfigError where they contradict each other, or name what is not there."""
    if output not in (None, "wide", "json", "name"):
        raise ConfigError(f"--output: {output!r} is none of wide, json, name.")
    forms = {form for form in (output, "json" if as_json else None, "line" if line else None) if form is not None}
    if len(forms) > 1:
        raise ConfigError(f"status takes one form at a time: {', '.join(sorted(forms))}.")
    if line and (wanted is not None or order is not None):
        raise ConfigError("--line sums up the whole fleet: --filter and --sort are for agents, line by line.")
    name, turned = (None, False) if order is None else read_order(order)
    return How(next(iter(forms), ""), read_filter(wanted or ""), name, turned)


def status(asked: Asked, shown: How, *, watch: bool, zone: str | None = None) -> int:
    """Print the view of one node, or what it gets of another zone; returns the exit code. See docs/cli.md."""
    if watch and zone is not None:
        raise ConfigError("--watch shows what a node sees itself: leave --zone out, or ask a node of that zone.")
    try:
        node = reader(asked)
        if watch:
            return _watch(node, shown)
        body = _body(node, zone)
    except NoAnswer:
        if shown.form != "line":
            raise
        print_plain("no node")
        return NO_ANSWER
    view = node.understood(body, FleetView)
    if shown.form == "json" and shown.is_whole:
        print_plain(body.decode())
    else:
        _print(view, shown, showing.console())
    return verdict(view)


def _body(node: Reader, zone: str | None) -> bytes:
    """The view as the node gives it: of its own zone by whichever name."""
    if zone is None:
        return node.get("/v1/fleet")
    try:
        with in_words(node):
            return node.get(f"/v1/zones/{quote(zone, safe='')}")
    except ConfigError:
        body = node.get("/v1/fleet")
        nodes = node.understood(body, FleetView).nodes
        if nodes and all(each.zone == zone for each in nodes):
            return body
        raise


def _print(view: FleetView, shown: How, console: Console) -> None:
    picked_view = shown.apply(view)
    if shown.form == "json":
        print_plain(msgspec.json.encode(picked_view).decode())
    elif shown.form == "name":
        print_plain("".join(f"{plain.one_line(agent.agent_id)}\n" for agent in picked_view.agents), end="")
    elif shown.form == "line":
        print_plain(one_line(view))
    else:
        if shown.form == "wide":
            console.width = max(console.width, ENOUGH)
        console.print(render(picked_view, console.width, shown, of=len(view.agents)))


def verdict(view: FleetView) -> int:
    """0 all as it should be; 1 something is stale, unreachable or down, in whatever zone, or this node is not well; 3
    it is cut off."""
    if view.served_by.standing in (Standing.ISOLATED, Standing.PARTITIONED):
        return CUT_OFF
    judged: list[Presence] = [node.presence for node in view.nodes]
    judged += [agent.presence for agent in view.agents]
    judged += [zone.presence for zone in view.zones]
    for zone in view.zones:  # what is wrong there is told as numbers
        judged += [
            presence for presence in Presence if zone.sums.nodes.get(presence, 0) + zone.sums.agents.get(presence, 0)
        ]
    well = all(presence in (Presence.FRESH, Presence.LEFT) for presence in judged)
    return 0 if well and view.served_by.standing is Standing.CONNECTED else 1


def render(view: FleetView, width: int, shown: How | None = None, of: int | None = None) -> RenderableType:
    """The view as text of at most `width` columns. With a filter only the agents that fit, of so many."""
    shown = shown or How()
    parts: list[RenderableType] = [*_itself(view)]
    if not shown.wanted:
        parts += [*_attention(view), *tables.zones(view), Text(), tables.nodes(view), *tables.reasons(view)]
    parts += tables.agents(view, width, wide=shown.form == "wide" or width >= tables.WIDE)
    if shown.wanted:
        parts += [Text(), Text(f"{len(view.agents)} of {of} agents fit.", style="dim")]
    else:
        parts += _first_steps(view)
    return Group(*parts)


def _first_steps(view: FleetView) -> Iterator[RenderableType]:
    """What to do where there is nothing to see yet."""
    hints: list[str] = []
    if not view.agents:
        hints.append("No agents yet. Claude Code, Codex and Gemini CLI sessions show up by themselves;")
        hints.append('a Python program reports itself with `meshfleet.Agent("name")`.')
    if len(view.nodes) == 1 and not view.served_by.standing.is_cut_off:
        hints.append("No other nodes yet. `meshfleet invite` prints a LINE here; with it one joins")
        hints.append("from another machine: `meshfleet up --invite LINE`.")
    if hints:
        yield Text()
    for hint in hints:
        yield Text(hint, style="dim")


def _itself(view: FleetView) -> Iterator[RenderableType]:
    """First what the node thinks of itself: it says how far the rest can be believed."""
    me = view.served_by
    line = Text.assemble(
        (me.node, "bold"),
        " is ",
        (me.standing.value, showing.STANDINGS[me.standing]),
        f" for {showing.since(me.since, view.now)}",
    )
    if me.local_health:
        line.append(f", local health {me.local_health} of 8")
    if me.loop_lag_ms >= 50:
        line.append(f", {me.loop_lag_ms:.0f} ms late")
    yield line
    for reason in me.reasons:
        yield Padding(Text(reason), (0, 0, 0, 2), expand=False)
    if len(me.islands) > 1:
        islands = "  |  ".join(" ".join(island) for island in me.islands)
        yield Padding(Text(f"islands: {islands}"), (0, 0, 0, 2), expand=False)
    for cut in me.cuts:
        both = f"; {' '.join(cut.bridges)} reach{'es' if len(cut.bridges) == 1 else ''} both" if cut.bridges else ""
        line = Text(f"nothing passes directly between {' '.join(cut.left)} and {' '.join(cut.right)}{both}")
        yield Padding(line, (0, 0, 0, 2), expand=False)
    if me.slowed > 1:
        line = Text(f"the fleet says too much: snapshots of agents here go {me.slowed:g} times as seldom")
        yield Padding(line, (0, 0, 0, 2), expand=False)
    for source in me.sources:
        if source.problem is not None:
            line = Text.assemble((f"{source.name}", "yellow"), f": {source.problem}")
            yield Padding(line, (0, 0, 0, 2), expand=False)
    nodes = Counter(node.presence.value for node in view.nodes)
    totals = view.totals
    yield Text(showing.how_many(_in_order(nodes), "node"))
    yield Text(showing.agents(totals))
    sums: list[str] = []
    if totals.tokens_in is not None or totals.tokens_out is not None:
        sums.append(f"{showing.count(totals.tokens_in)} tokens in, {showing.count(totals.tokens_out)} out")
    if totals.cost_usd is not None:
        sums.append(showing.money(totals.cost_usd))
    if sums:
        yield Text(f"of these agents: {'; '.join(sums)}")
    yield from map(Text, spending.in_line(view))


def _attention(view: FleetView) -> Iterator[RenderableType]:
    """What somebody should look at. A terminal has only so many lines: the worst come first."""
    if not view.attention:
        return
    yield Text()
    for notice in view.attention[:ATTENTION]:
        line = Text.assemble((notice.severity.value, showing.SEVERITIES[notice.severity]), f" {notice.subject}: ")
        line.append(f"{notice.text}, for {showing.since(notice.since, view.now)}")
        yield line
    if len(view.attention) > ATTENTION:
        yield Text(f"and {len(view.attention) - ATTENTION} more", style="dim")


def _in_order(counts: Counter[str]) -> dict[str, int]:
    return {presence.value: counts[presence.value] for presence in Presence if counts[presence.value]}


def _watch(node: Reader, shown: How) -> int:
    """Show each change until Ctrl-C; the exit code is that of the last view."""
    console = showing.console()
    code = verdict(node.fleet())  # a node that is not there ends it at once
    try:
        if shown.form in ("", "wide") and console.is_terminal:
            return _watch_live(node, shown, console)
        for view in _changes(node):
            code = verdict(view)
            _print(view, shown, console)
            if shown.form in ("", "wide"):
                console.print()
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    return code


def _watch_live(node: Reader, shown: How, console: Console) -> int:
    code = 0
    with Live(console=console, auto_refresh=False, vertical_overflow="crop", screen=True) as live:
        try:
            for moment in moments(node):
                if moment.view is not None:
                    code = verdict(moment.view)
                live.update(render_moment(moment, node.url, console.width, shown), refresh=True)
        except KeyboardInterrupt:
            pass
    return code


def render_moment(moment: Moment, url: str, width: int, shown: How) -> RenderableType:
    """The view; below a warning, and dim, while its node is not heard: then all its ages are of the past."""
    if moment.view is None:
        return warning(moment, url)
    there = render(shown.apply(moment.view), width, shown, of=len(moment.view.agents))
    return Group(warning(moment, url), Text(), Styled(there, "dim")) if moment.is_silent else there


def _changes(node: Reader) -> Iterator[FleetView]:
    """Each view that is told, over as many connections as that takes."""
    trouble = Trouble()
    while True:
        try:
            for view in node.views():
                trouble.over()
                yield view
        except NoAnswer as error:
            trouble.tell(f"{error} Asking again ...")
        time.sleep(RETRY_SECONDS)
