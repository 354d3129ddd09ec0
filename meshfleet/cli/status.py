"""`meshfleet status`: what one node sees, itself first, and the exit code that sums it up."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.asking import Asked, reader
from meshfleet.cli.outcome import complain
from meshfleet.errors import NoAnswer
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.view import AgentView, FleetView, NodeView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, JustifyMethod, RenderableType

    from meshfleet.client import Reader

WIDE = 110
"""Columns from which there is room for an agent's node, project and tokens."""

SHORTENED = ("NODE", "REACH", "HOST", "ZONE", "AGENT", "STATUS", "MODEL", "PROJECT")
"""Columns that give way where there is not enough room. Presence, ages and sums are always whole."""

MOST_WHERE_NARROW = {"STATUS": 13, "MODEL": 16}
"""Columns that these take at most of 80, so that the agent's id, which `why` is asked with, is left whole."""

ATTENTION = 12
"""Lines of what needs attention."""

RETRY_SECONDS = 1.0
"""How long `--watch` waits before it asks again where a node stopped answering."""

CUT_OFF = 3


def status(asked: Asked, *, as_json: bool, watch: bool) -> int:
    """Print the view of one node; returns the exit code. See docs/cli.md."""
    node = reader(asked)
    if watch:
        return _watch(node, as_json=as_json)
    body = node.get("/v1/fleet")
    view = node.understood(body, FleetView)
    if as_json:
        print(body.decode())
    else:
        console = showing.console()
        console.print(render(view, console.width))
    return verdict(view)


def verdict(view: FleetView) -> int:
    """0 all as it should be; 1 something is stale, unreachable or down, or this node is not well; 3 it is cut off."""
    if view.served_by.standing in (Standing.ISOLATED, Standing.PARTITIONED):
        return CUT_OFF
    judged: list[Presence] = [node.presence for node in view.nodes]
    judged += [agent.presence for agent in view.agents]
    well = all(presence in (Presence.FRESH, Presence.LEFT) for presence in judged)
    return 0 if well and view.served_by.standing is Standing.CONNECTED else 1


def render(view: FleetView, width: int) -> RenderableType:
    """The view as text of at most `width` columns."""
    parts: list[RenderableType] = [*_itself(view), *_attention(view), Text(), _nodes(view)]
    parts += _reasons(view)
    if view.agents:
        parts += [Text(), _agents(view, wide=width >= WIDE)]
    parts += _first_steps(view)
    return Group(*parts)


def _first_steps(view: FleetView) -> Iterator[RenderableType]:
    """What to do where there is nothing to see yet."""
    hints: list[str] = []
    if not view.agents:
        hints.append("No agents yet. Claude Code and Codex sessions show up by themselves; a Python")
        hints.append('program reports itself with `meshfleet.Agent("name")`.')
    if len(view.nodes) == 1:
        hints.append("No other nodes yet. One joins from another machine with")
        hints.append("`meshfleet up --invite LINE`.")
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
        yield Text("; ".join(sums))
    period = totals.period
    if period.cost_usd is not None:
        yield Text(f"{showing.money(period.cost_usd)} in the fleet since {period.start}")


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


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column in ("AGE", "AGENTS", "CTX", "COST", "IN", "OUT")
        justify: JustifyMethod = "right" if right else "left"
        table.add_column(column, justify=justify, no_wrap=column not in SHORTENED)
    return table


def _short(text: str, style: str = "") -> Text:
    """A cell that ends in an ellipsis where its column is too narrow, rather than go on below."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _nodes(view: FleetView) -> Table:
    table = _table("NODE", "PRESENCE", "AGE", "REACH", "HOST", "ZONE", "AGENTS")
    for node in view.nodes:
        table.add_row(
            _short(node.name, "bold" if node.name == view.served_by.node else ""),
            showing.presence(node.presence, node.certainty),
            showing.age(node.age_s),
            _short(node.reach or "-"),
            _short(node.host),
            _short(node.zone or "-"),
            str(len(node.agents)),
        )
    return table


def _reasons(view: FleetView) -> Iterator[RenderableType]:
    """Why whatever is not fresh is not. An agent shares its node's reasons, so only other ones are told for it."""
    of_node = {node.name: node.reasons for node in view.nodes}
    lines = [_reason(node.name, node) for node in view.nodes if _wants_reason(node)]
    lines += [
        _reason(agent.agent_id, agent)
        for agent in view.agents
        if _wants_reason(agent) and agent.reasons != of_node.get(agent.node)
    ]
    if lines:
        yield Text()
        yield from lines


def _wants_reason(judged: NodeView | AgentView) -> bool:
    return judged.presence is not Presence.FRESH and bool(judged.reasons)


def _reason(name: str, judged: NodeView | AgentView) -> RenderableType:
    colour = showing.GLYPHS[judged.presence][2]
    return Text.assemble((f"{name} {judged.presence.value}", colour), f": {'; '.join(judged.reasons)}")


def _agents(view: FleetView, *, wide: bool) -> Table:
    columns = ["AGENT", "PRESENCE", "STATUS", "MODEL", "CTX", "COST", "AGE"]
    if wide:
        columns[1:1] = ["NODE", "PROJECT"]
        columns[-2:-2] = ["IN", "OUT"]
    table = _table(*columns)
    for column in table.columns:
        column.max_width = None if wide else MOST_WHERE_NARROW.get(str(column.header))
    for agent in view.agents:
        state = agent.state
        doing = f"{state.status.value} {state.active_tool}" if state.active_tool else state.status.value
        cells: list[RenderableType] = [
            _short(agent.agent_id),
            showing.presence(agent.presence),
            _short(doing),
            _short(state.model or "-"),
            "-" if state.context_pct is None else f"{state.context_pct:.0f}%",
            showing.money(state.cost_usd),
            showing.age(agent.age_s),
        ]
        if wide:
            cells[1:1] = [_short(agent.node), _short(state.project or "-")]
            cells[-2:-2] = [showing.count(state.tokens_in), showing.count(state.tokens_out)]
        table.add_row(*cells)
    return table


def _watch(node: Reader, *, as_json: bool) -> int:
    """Show each change until Ctrl-C; the exit code is that of the last view."""
    console = showing.console()
    code = verdict(node.fleet())  # a node that is not there ends it at once
    try:
        if as_json or not console.is_terminal:
            for view in _changes(node):
                code = verdict(view)
                if as_json:
                    print(msgspec.json.encode(view).decode())
                else:
                    console.print(render(view, console.width), Text())
                sys.stdout.flush()
        else:
            code = _watch_live(node, console)
    except KeyboardInterrupt:
        pass
    return code


def _watch_live(node: Reader, console: Console) -> int:
    code = 0
    with Live(console=console, auto_refresh=False, vertical_overflow="crop", screen=True) as live:
        try:
            for view in _changes(node):
                code = verdict(view)
                live.update(render(view, console.width), refresh=True)
        except KeyboardInterrupt:
            pass
    return code


def _changes(node: Reader) -> Iterator[FleetView]:
    """Each view that is told, over as many connections as that takes."""
    while True:
        try:
            yield from node.views()
        except NoAnswer as error:
            complain(f"{error} Asking again ...")
        time.sleep(RETRY_SECONDS)
