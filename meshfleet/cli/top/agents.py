"""The agents' page: a row each, sorted, filtered, grouped."""

from __future__ import annotations

import re
from math import fsum
from typing import TYPE_CHECKING

from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.picking import FIELDS, in_order, picked
from meshfleet.cli.top.glance import GREY, bar, glyph, level, share, short, ticking, word
from meshfleet.cli.top.grid import Column, Row
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.cli.picking import Wanted
    from meshfleet.cli.top.reading import Reading
    from meshfleet.fleet.view import AgentView, FleetView

GROUPS = (None, "node", "host", "zone", "project", "model", "runtime", "status", "key")
"""What rows can be grouped by, in turn."""

NO_AGENTS = """No agents yet. Claude Code, Codex and Gemini CLI sessions show up by
themselves, seconds after they start on a machine that runs a node.
A Python program reports itself: meshfleet.Agent("name")

Other machines join with `meshfleet invite`, and a whole mesh to look at
runs with `meshfleet demo`."""
NOTHING_FITS = "No agent fits the filter. esc ends it."

LONG_TOOL_S = 600.0
"""Seconds from which a tool's clock is coloured: builds and test suites mostly end before."""

_DATE = re.compile(r"-20\d{6}$")
_HEARD = (Presence.FRESH, Presence.STALE)


def is_heard(agent: AgentView) -> bool:
    """Whether what it says of itself still holds. Its last word holds where it said that it ends."""
    return agent.presence in _HEARD


def _state(agent: AgentView, _reading: Reading, width: int) -> Text:
    """What it does; where it is not heard, how it is missed."""
    if agent.presence is Presence.FRESH or agent.state.status is Status.EXITED:
        return word(agent.state.status)
    if agent.presence is not Presence.STALE or width < 16:
        return word(agent.presence)
    return Text.assemble(word(agent.presence), (f" {agent.state.status.value}", GREY))


def _grey(agent: AgentView) -> str:
    return "" if is_heard(agent) else GREY


def _name(agent: AgentView, _reading: Reading, width: int) -> Text:
    """Where there isn't room, the machine gives way: what tells agents apart stands at the end."""
    where, slash, name = agent.agent_id.rpartition("/")
    room = width - len(name) - 2
    if len(agent.agent_id) > width and slash and room >= 2:
        where = f"{where[:room]}…"
    elif len(agent.agent_id) > width and slash:
        where, slash = "", ""
    return Text.assemble((where + slash, GREY), (name, _grey(agent)))


def _model(agent: AgentView, _reading: Reading, width: int) -> Text:
    model = agent.state.model
    if model is not None and len(model) > width:
        model = _DATE.sub("", model).removeprefix("claude-")
    return Text(model or "-", _grey(agent))


def _context(agent: AgentView, _reading: Reading, width: int) -> Text:
    """`███▌░ 61% 8m`: the share, and the time until it is full; where there is room the trend stands between them."""
    state = agent.state
    if state.context_pct is None:
        return Text("-", GREY)
    trend = width >= 24
    room = width - 10 - (8 if trend else 0)
    text = bar(state.context_pct, room) + Text(f" {share(state.context_pct):>4}", level(state.context_pct))
    if not is_heard(agent):
        return Text(text.plain, GREY)
    if trend and state.context_trend_pct_per_min is not None:
        text.append(f" {state.context_trend_pct_per_min:+5.1f}/m")
    elif trend:
        text.append(" " * 8)
    if state.context_full_in_s is not None:
        text.append(f" {short(state.context_full_in_s):>4}", "red" if state.context_full_in_s < 300 else "")
    return text


def _tool(agent: AgentView, reading: Reading, width: int) -> Text:
    """The tool and its clock. The clock is never cut."""
    state = agent.state
    if state.active_tool is None:
        return Text("-", GREY)
    running = reading.running(agent)
    time = "" if running is None else f" {ticking(running)}"
    name = state.active_tool
    if len(name) + len(time) > width:
        name = f"{name[: max(1, width - len(time) - 1)]}…"
    is_long = running is not None and running > LONG_TOOL_S
    return Text.assemble((name, _grey(agent)), (time, "yellow" if is_long and is_heard(agent) else GREY))


def _age(agent: AgentView, reading: Reading, _width: int) -> Text:
    return Text(short(reading.age(agent)), "" if is_heard(agent) else glyph(agent.presence)[1])


def _said(agent: AgentView, text: str) -> Text:
    return Text(text, _grey(agent) or (GREY if text == "-" else ""))


COLUMNS: tuple[Column[AgentView], ...] = (
    Column("state", "STATE", 13, 16, _state),
    Column("agent", "AGENT", 17, 30, _name, fair=20),
    Column("node", "NODE", 8, 14, lambda agent, _, width: _said(agent, agent.node), rank=4),
    Column("project", "PROJECT", 8, 13, lambda agent, _, width: _said(agent, agent.state.project or "-"), rank=3),
    Column("runtime", "RUNTIME", 7, 12, lambda agent, _, width: _said(agent, agent.state.runtime), rank=5),
    Column("model", "MODEL", 10, 28, _model, rank=1, fair=17),
    Column("context", "CONTEXT", 14, 28, _context, fair=17),
    Column("in", "IN", 6, 7, lambda a, _, width: _said(a, showing.count(a.state.tokens_in)), rank=2, right=True),
    Column("out", "OUT", 6, 7, lambda a, _, width: _said(a, showing.count(a.state.tokens_out)), rank=2, right=True),
    Column("cost", "COST", 6, 9, lambda a, _, width: _said(a, showing.money(a.state.cost_usd)), right=True),
    Column("tool", "TOOL", 10, 20, _tool, fair=13),
    Column("age", "AGE", 4, 5, _age, right=True),
)


def shown(
    view: FleetView, wanted: Sequence[Wanted], order: str, group: str | None, *, turned: bool
) -> list[Row[AgentView]]:
    """The rows: of the agents that fit, in that order, each group under a heading with its sums."""
    agents = in_order(picked(view, wanted), order, turned=turned)
    if group is None:
        return [Row(agent.agent_id, agent) for agent in agents]
    nodes = {node.name: node for node in view.nodes}
    groups: dict[str, list[AgentView]] = {}
    for agent in agents:
        groups.setdefault(FIELDS[group](agent, nodes.get(agent.node)) or "", []).append(agent)
    rows: list[Row[AgentView]] = []
    for name in sorted(groups, key=lambda name: (not name, name)):
        rows.append(Row(f"{group}:{name}", heading=_heading(group, name, groups[name])))
        rows += [Row(agent.agent_id, agent) for agent in groups[name]]
    return rows


def _heading(group: str, name: str, agents: Sequence[AgentView]) -> str:
    """`node n2: 3 agents, $7.31, 1.9M in, 40.1k out`: sums of what is known."""
    said = [f"{len(agents)} agent{'' if len(agents) == 1 else 's'}"]
    costs = [agent.state.cost_usd for agent in agents if agent.state.cost_usd is not None]
    tokens_in = [agent.state.tokens_in for agent in agents if agent.state.tokens_in is not None]
    tokens_out = [agent.state.tokens_out for agent in agents if agent.state.tokens_out is not None]
    if costs:
        said.append(showing.money(fsum(costs)))
    if tokens_in:
        said.append(f"{showing.count(sum(tokens_in))} in")
    if tokens_out:
        said.append(f"{showing.count(sum(tokens_out))} out")
    return f"{group} {name or 'not known'}: {', '.join(said)}"
