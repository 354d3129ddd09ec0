"""What `meshfleet status` shows of nodes, agents and other zones, as tables; `top` shows another zone by them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status
from meshfleet.fleet.view import NodeView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import JustifyMethod, RenderableType

    from meshfleet.fleet.view import AgentView, FleetView

WIDE = 110
"""Columns from which there is room for an agent's node, project and tokens."""

SHORTENED = ("NODE", "REACH", "HOST", "ZONE", "AGENT", "STATUS", "MODEL", "PROJECT", "OTHER ZONE", "WORST")
"""Columns that give way where there is not enough room. Presence, ages and sums are always whole."""

MOST_WHERE_NARROW = {"STATUS": 13, "MODEL": 16}
"""Columns that these take at most of 80, so that the agent's id, which `why` is asked with, is left whole."""

GOODBYE = "left"
"""The reason of a node that went without giving another."""

LEAST_WHERE_NARROW = 8
"""Columns below which neither of them makes way for a long id."""


def tables(view: FleetView, width: int) -> Iterator[RenderableType]:
    """All of them but that of the zones, in text of at most `width` columns."""
    yield nodes(view)
    yield from reasons(view)
    yield from agents(view, width, wide=width >= WIDE)


def agents(view: FleetView, width: int, *, wide: bool) -> Iterator[RenderableType]:
    """The agents, if there are any. `wide`: with each one's node, project and tokens."""
    if view.agents:
        yield Text()
        yield _agents(view, width, wide=wide)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column in ("AGE", "AGENTS", "CTX", "COST", "IN", "OUT", "NODES")
        justify: JustifyMethod = "right" if right else "left"
        table.add_column(column, justify=justify, no_wrap=column not in SHORTENED)
    return table


def _short(text: str, style: str = "") -> Text:
    """A cell that ends in an ellipsis where its column is too narrow, rather than go on below."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def nodes(view: FleetView) -> Table:
    """The nodes."""
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


def there(counts: dict[str, int]) -> int:
    """How many of them have not left. `counts`: of each presence."""
    return sum(counts.values()) - counts.get(Presence.LEFT.value, 0)


def not_fresh(counts: dict[str, int]) -> str:
    """`1 down, 2 stale`; nothing where all that have not left are fresh."""
    well = (Presence.FRESH.value, Presence.LEFT.value)
    return ", ".join(f"{count} {word}" for word, count in counts.items() if word not in well and count)


def zones(view: FleetView) -> Iterator[RenderableType]:
    """The other zones, of a fleet on two levels: what those tell who speak for them."""
    if not view.zones:
        return
    table = _table("OTHER ZONE", "PRESENCE", "AGE", "NODES", "NOT FRESH", "AGENTS", "COST", "WORST")
    for zone in view.zones:
        nodes, agents = zone.sums.nodes, zone.sums.agents
        worst = next(iter(zone.sums.attention), None)
        table.add_row(
            _short(zone.zone),
            showing.presence(zone.presence, None),
            showing.age(zone.age_s),
            str(there(nodes)),
            not_fresh(nodes) or "-",
            str(there(agents)),
            showing.money(zone.sums.cost_usd),
            _short("-" if worst is None else f"{worst.subject}: {worst.text}"),
        )
    yield Text()
    yield table
    for zone in view.zones:
        if zone.presence is not Presence.FRESH:
            colour = showing.GLYPHS[zone.presence][2]
            line = Text.assemble((f"zone {zone.zone} {zone.presence.value}", colour), f": {'; '.join(zone.reasons)}")
            yield Padding(line, (0, 0, 0, 2), expand=False)


def reasons(view: FleetView) -> Iterator[RenderableType]:
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
    """Whether the reason says more than the table: not of who is there, nor of who went as one goes."""
    if judged.presence is Presence.LEFT:
        plainly = judged.reasons == (GOODBYE,) if isinstance(judged, NodeView) else _just_exited(judged)
        return bool(judged.reasons) and not plainly
    return judged.presence is not Presence.FRESH and bool(judged.reasons)


def _just_exited(agent: AgentView) -> bool:
    """Whether that is all there is to say: not that two nodes claim it besides."""
    return has_exited(agent) and len(agent.reasons) == 1


def has_exited(agent: AgentView) -> bool:
    """Whether it ended, and was seen or heard to, by a node that was there then."""
    return agent.state.status is Status.EXITED and agent.presence in (Presence.FRESH, Presence.LEFT)


def age_of(agent: AgentView, now: str) -> float:
    """Seconds since it was heard of; of one that exited, since it did: its node, which goes on telling, is no news."""
    if not has_exited(agent):
        return agent.age_s
    try:
        ended = datetime.fromisoformat(now) - datetime.fromisoformat(agent.state.timestamp)
    except (ValueError, TypeError):  # an agent's own word, in whatever form
        return agent.age_s
    return max(agent.age_s, ended.total_seconds())


def _doing(agent: AgentView) -> str:
    state = agent.state
    if state.status is Status.EXITED and state.exit_code is not None:
        return f"{state.status.value} {state.exit_code}"
    return f"{state.status.value} {state.active_tool}" if state.active_tool else state.status.value


def _reason(name: str, judged: NodeView | AgentView) -> RenderableType:
    colour = showing.GLYPHS[judged.presence][2]
    return Text.assemble((f"{name} {judged.presence.value}", colour), f": {'; '.join(judged.reasons)}")


def _leave_room(table: Table, view: FleetView, width: int) -> None:
    """Have what can be guessed when it is cut make way for the ids, as far as that helps."""
    rows = [
        (agent.agent_id, showing.presence(agent.presence).plain, showing.money(agent.state.cost_usd))
        for agent in view.agents
    ]
    whole = sum(max(map(len, column)) for column in zip(*rows, strict=True))
    age = max(len(showing.age(age_of(agent, view.now))) for agent in view.agents)
    left = width - whole - max(age, 3) - len("100%") - 2 * (len(table.columns) - 1)
    status = min(MOST_WHERE_NARROW["STATUS"], max(left // 2, LEAST_WHERE_NARROW))
    model = min(MOST_WHERE_NARROW["MODEL"], max(left - status, LEAST_WHERE_NARROW))
    for column in table.columns:
        column.max_width = {"STATUS": status, "MODEL": model}.get(str(column.header))


def _agents(view: FleetView, width: int, *, wide: bool) -> Table:
    columns = ["AGENT", "PRESENCE", "STATUS", "MODEL", "CTX", "COST", "AGE"]
    if wide:
        columns[1:1] = ["NODE", "PROJECT"]
        columns[-2:-2] = ["IN", "OUT"]
    table = _table(*columns)
    if not wide:
        _leave_room(table, view, width)
    for agent in view.agents:
        state = agent.state
        cells: list[RenderableType] = [
            _short(agent.agent_id),
            showing.presence(agent.presence),
            _short(_doing(agent)),
            _short(state.model or "-"),
            "-" if state.context_pct is None else f"{state.context_pct:.0f}%",
            showing.money(state.cost_usd),
            showing.age(age_of(agent, view.now)),
        ]
        if wide:
            cells[1:1] = [_short(agent.node), _short(state.project or "-")]
            cells[-2:-2] = [showing.count(state.tokens_in), showing.count(state.tokens_out)]
        table.add_row(*cells)
    return table
