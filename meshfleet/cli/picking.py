"""Which agents are wanted, and in which order: what `status --filter --sort` and `top` understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import ConfigError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meshfleet.fleet.view import AgentView, FleetView, NodeView

    Field = Callable[[AgentView, NodeView | None], str | None]
    Order = Callable[[AgentView], str | float | None]

FIELDS: dict[str, Field] = {
    "agent": lambda agent, node: agent.agent_id,
    "node": lambda agent, node: agent.node,
    "host": lambda agent, node: None if node is None else node.host,
    "zone": lambda agent, node: None if node is None else node.zone,
    "state": lambda agent, node: f"{agent.state.status.value} {agent.presence.value}",
    "presence": lambda agent, node: agent.presence.value,
    "status": lambda agent, node: agent.state.status.value,
    "model": lambda agent, node: agent.state.model,
    "runtime": lambda agent, node: agent.state.runtime,
    "project": lambda agent, node: agent.state.project,
    "tool": lambda agent, node: agent.state.active_tool,
    "key": lambda agent, node: " ".join(dict.fromkeys(limit.key for limit in agent.state.rate_limits)) or None,
}
"""What can be asked for by name: `model:opus`."""

_URGENCY = {
    Status.WAITING: 0,
    Status.ERROR: 0,
    Status.RATE_LIMITED: 1,
    Status.TOOL: 2,
    Status.WORKING: 2,
    Status.STARTING: 2,
    Status.IDLE: 3,
    Status.EXITED: 5,
}


def urgency(agent: AgentView) -> int:
    """Its place where those that wait for a person come first, and those that are gone last."""
    if agent.presence is Presence.LEFT:
        return 6
    return 4 if agent.presence in (Presence.DOWN, Presence.UNREACHABLE) else _URGENCY[agent.state.status]


ORDERS: dict[str, Order] = {
    "state": urgency,
    "agent": lambda agent: agent.agent_id,
    "node": lambda agent: agent.node,
    "presence": lambda agent: tuple(Presence).index(agent.presence),
    "project": lambda agent: agent.state.project,
    "runtime": lambda agent: agent.state.runtime,
    "model": lambda agent: agent.state.model,
    "context": lambda agent: agent.state.context_pct,
    "full": lambda agent: agent.state.context_full_in_s,
    "in": lambda agent: agent.state.tokens_in,
    "out": lambda agent: agent.state.tokens_out,
    "cost": lambda agent: agent.state.cost_usd,
    "tool": lambda agent: agent.state.active_tool,
    "age": lambda agent: agent.age_s,
}
"""What agents can be sorted by. What is not known comes last, whichever way."""

LARGEST_FIRST = ("context", "in", "out", "cost", "age")
"""Orders that people want from the top."""


class Wanted(NamedTuple):
    """One word of a filter."""

    field: str | None
    """None: anywhere."""
    text: str
    no: bool = False

    def fits(self, agent: AgentView, node: NodeView | None) -> bool:
        """Whether the agent has it; where `no`, whether it hasn't."""
        names = FIELDS if self.field is None else (self.field,)
        found = any(self.text in (FIELDS[name](agent, node) or "").casefold() for name in names)
        return found is not self.no


def read_filter(text: str) -> tuple[Wanted, ...]:
    """`opus state:waiting -node:n3`: words all must fit, with a minus none. ConfigError for an unknown key."""
    wanted = []
    for word in text.casefold().split():
        no = word.startswith("-") and len(word) > 1
        key, colon, value = word.removeprefix("-" if no else "").partition(":")
        if colon and key.isalpha() and key not in FIELDS:
            raise ConfigError(f"a filter knows no {key!r}; it knows {', '.join(FIELDS)}, and words without a key.")
        if colon and key in FIELDS:
            wanted.append(Wanted(key, value, no))
        else:
            wanted.append(Wanted(None, word.removeprefix("-" if no else ""), no))
    return tuple(wanted)


def picked(view: FleetView, wanted: Sequence[Wanted]) -> list[AgentView]:
    """The agents of which each word holds."""
    nodes = {node.name: node for node in view.nodes}
    return [agent for agent in view.agents if all(word.fits(agent, nodes.get(agent.node)) for word in wanted)]


def read_order(text: str) -> tuple[str, bool]:
    """`cost`, `-agent`: the order, and whether it is turned round. ConfigError where there is none of that name."""
    turned = text.startswith("-")
    name = text.removeprefix("-")
    if name not in ORDERS:
        raise ConfigError(
            f"agents can't be sorted by {name!r}, but by {', '.join(ORDERS)}; -{name or 'cost'} turns round."
        )
    return name, turned


def in_order(agents: Iterable[AgentView], name: str, *, turned: bool = False) -> list[AgentView]:
    """Sorted; equals by their id. The largest first where that is what people look for."""
    order = ORDERS[name]
    agents = sorted(agents, key=lambda agent: agent.agent_id)
    known = [agent for agent in agents if order(agent) is not None]
    known.sort(key=lambda agent: _rank(order(agent)), reverse=(name in LARGEST_FIRST) is not turned)
    return known + [agent for agent in agents if order(agent) is None]


def _rank(value: str | float | None) -> tuple[float, str]:
    """One kind of thing to compare: an order gives numbers alone or words alone."""
    return (0.0, value.casefold()) if isinstance(value, str) else (value or 0.0, "")
