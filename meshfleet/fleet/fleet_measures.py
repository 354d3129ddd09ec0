"""What is measured of the fleet, by the merged view of one node: figures of each node, agent and API key.

A series for each agent, so their number is bounded by MEASURED_AGENTS; what is left out is a figure itself. What an
agent does not know has no figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meshfleet.fleet.measures import Family, Kind, Label, Measured, Point, Since
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from meshfleet.fleet.view import AgentView, FleetView, NodeView

MEASURED_AGENTS: Final = 5_000
"""Agents of which there are figures: some ten each. A Prometheus of default size keeps a few million series."""

HEARD: Final = (Presence.FRESH, Presence.STALE)

AGENT: Final = Label("agent", "gen_ai.agent.id")
NODE: Final = Label("node", "meshfleet.node")
PRESENCE: Final = Label("presence", "meshfleet.presence")
DIRECTION: Final = Label("direction", "gen_ai.token.type")
_PRESENCES: Final = tuple(presence.value for presence in Presence)
_STATUSES: Final = tuple(status.value for status in Status)
_TOKENS: Final = "{token}"

_NODE_INFO: Final = Family(
    "meshfleet_fleet_node",
    "meshfleet.fleet.node.info",
    Kind.INFO,
    "A node of the fleet.",
    (
        NODE,
        Label("host", "host.name"),
        Label("zone", "meshfleet.zone"),
        Label("role", "meshfleet.role"),
        Label("version", "service.version"),
    ),
)
_AGENT_INFO: Final = Family(
    "meshfleet_agent",
    "meshfleet.agent.info",
    Kind.INFO,
    "An agent of the fleet.",
    (
        AGENT,
        NODE,
        Label("runtime", "meshfleet.runtime"),
        Label("model", "gen_ai.request.model"),
        Label("project", "meshfleet.project"),
    ),
)


class _Figure(NamedTuple):
    """A family with one figure of each node or agent, and where it is from."""

    family: Family
    of: Callable[[AgentView], Iterable[tuple[tuple[str, ...], float | None]]]


def _plain(value: float | None) -> tuple[tuple[tuple[str, ...], float | None], ...]:
    return (((), value),)


def _gauge(name: str, otel: str, unit: str, told: str) -> Family:
    return Family(f"meshfleet_agent_{name}", f"meshfleet.agent.{otel}", Kind.GAUGE, told, (AGENT,), unit)


_AGENT_PRESENCE: Final = Family(
    "meshfleet_agent_presence",
    "meshfleet.agent.presence",
    Kind.STATE,
    "1 for what is said of it.",
    (AGENT, PRESENCE),
    states=_PRESENCES,
)
_FIGURES: Final = (
    _Figure(
        Family(
            "meshfleet_agent_status",
            "meshfleet.agent.status",
            Kind.STATE,
            "1 for what it says that it does.",
            (AGENT, Label("status", "meshfleet.status")),
            states=_STATUSES,
        ),
        lambda agent: (((agent.state.status.value,), 1),),
    ),
    _Figure(
        Family(
            "meshfleet_agent_tool",
            "meshfleet.agent.tool",
            Kind.GAUGE,
            "1 for the tool that it runs.",
            (AGENT, Label("tool", "gen_ai.tool.name")),
        ),
        lambda agent: () if agent.state.active_tool is None else (((agent.state.active_tool,), 1),),
    ),
    _Figure(
        Family(
            "meshfleet_agent_tokens",
            "meshfleet.agent.tokens",
            Kind.SUM,
            "Tokens of its session.",
            (AGENT, DIRECTION),
            _TOKENS,
            Since.SESSION,
        ),
        lambda agent: ((("in",), agent.state.tokens_in), (("out",), agent.state.tokens_out)),
    ),
    _Figure(
        Family(
            "meshfleet_agent_cost_usd",
            "meshfleet.agent.cost",
            Kind.SUM,
            "What its session has cost, in USD.",
            (AGENT,),
            "usd",
            Since.SESSION,
        ),
        lambda agent: _plain(agent.state.cost_usd),
    ),
    _Figure(
        _gauge("context_used_ratio", "context.used", "1", "How full its context is."),
        lambda agent: _plain(_part(agent.state.context_pct)),
    ),
    _Figure(
        _gauge("context_tokens", "context.tokens", _TOKENS, "Tokens in its context."),
        lambda agent: _plain(agent.state.context_tokens),
    ),
    _Figure(
        _gauge("context_limit_tokens", "context.limit.tokens", _TOKENS, "Tokens that its context holds."),
        lambda agent: _plain(agent.state.context_limit),
    ),
    _Figure(
        _gauge("context_full_seconds", "context.full", "s", "Until its context is full, as it grows now."),
        lambda agent: _plain(agent.state.context_full_in_s),
    ),
)


def of_nodes(view: FleetView, read: Callable[[str], float | None]) -> Iterator[Measured]:
    """Of each node. `read` turns RFC 3339 into Unix time."""
    name, nodes = "meshfleet.fleet.node", view.nodes
    yield Measured(_NODE_INFO, tuple(Point((n.name, n.host, n.zone or "", n.role, n.version), 1) for n in nodes))
    fresh = Family(
        "meshfleet_fleet_node_fresh", f"{name}.fresh", Kind.GAUGE, "1 for a node that is heard, 0 for one that is not.",
        (NODE,),
    )  # fmt: skip
    yield Measured(fresh, tuple(Point((n.name,), float(n.presence is Presence.FRESH)) for n in nodes))
    presence = Family(
        "meshfleet_fleet_node_presence", f"{name}.presence", Kind.STATE, "1 for what is said of it.", (NODE, PRESENCE),
        states=_PRESENCES,
    )  # fmt: skip
    yield Measured(presence, tuple(Point((n.name, n.presence.value), 1) for n in nodes))
    seen = Family(
        "meshfleet_fleet_node_last_seen_timestamp_seconds", f"{name}.last_seen.timestamp", Kind.GAUGE,
        "When it was heard of last.", (NODE,), "s",
    )  # fmt: skip
    yield Measured(seen, tuple(Point((n.name,), at) for n in nodes if (at := _seen(n, read)) is not None))


def of_agents(agents: Iterable[AgentView], *, heard_only: bool = False) -> Iterator[Measured]:
    """Of each agent. With `heard_only`, of those whose node is not heard no more than that: where several nodes tell
    the same series, nobody is to tell an old figure as one of now."""
    agents = tuple(agents)
    info = (Point((a.agent_id, a.node, a.state.runtime, a.state.model or "", a.state.project or ""), 1) for a in agents)
    yield Measured(_AGENT_INFO, tuple(info))
    yield Measured(_AGENT_PRESENCE, tuple(Point((a.agent_id, a.presence.value), 1) for a in agents))
    believed = [a for a in agents if a.presence in HEARD] if heard_only else agents
    for figure in _FIGURES:
        points = (
            Point((agent.agent_id, *labels), value)
            for agent in believed
            for labels, value in figure.of(agent)
            if value is not None
        )
        yield Measured(figure.family, tuple(points))


def of_the_fleet(view: FleetView) -> Iterator[Measured]:
    """Of the fleet as a whole."""
    limits = Family(
        "meshfleet_rate_limit_used_ratio", "meshfleet.rate_limit.used", Kind.GAUGE,
        "How much of an API key's limit is used.",
        (Label("key", "meshfleet.rate_limit.key"), Label("window", "meshfleet.rate_limit.window")), "1",
    )  # fmt: skip
    used = ((each.key, each.window, _part(each.used_pct)) for each in view.totals.rate_limits)
    yield Measured(limits, tuple(Point((key, window), part) for key, window, part in used if part is not None))
    yield from _of_the_period(view)
    known = Family("meshfleet_fleet_agents", "meshfleet.fleet.agents", Kind.GAUGE, "Agents that are known.", (),
                   "{agent}")  # fmt: skip
    yield Measured(known, (Point((), len(view.agents)),))
    left_out = Family(
        "meshfleet_fleet_agents_left_out", "meshfleet.fleet.agents.left_out", Kind.GAUGE,
        "Agents without series here, for there are too many.", (), "{agent}",
    )  # fmt: skip
    yield Measured(left_out, (Point((), max(0, len(view.agents) - MEASURED_AGENTS)),))


def _of_the_period(view: FleetView) -> Iterator[Measured]:
    period = view.totals.period
    tokens = Family(
        "meshfleet_fleet_tokens", "meshfleet.fleet.tokens", Kind.SUM,
        "Tokens of the billing period, of all agents that ever ran in it.", (DIRECTION,), _TOKENS, Since.PERIOD,
    )  # fmt: skip
    figures = (("in", period.tokens_in), ("out", period.tokens_out))
    yield Measured(tokens, tuple(Point((way,), count) for way, count in figures if count is not None))
    cost = Family(
        "meshfleet_fleet_cost_usd", "meshfleet.fleet.cost", Kind.SUM,
        "What the billing period has cost, in USD, of all agents that ever ran in it.", (), "usd", Since.PERIOD,
    )  # fmt: skip
    yield Measured(cost, () if period.cost_usd is None else (Point((), period.cost_usd),))


def _seen(node: NodeView, read: Callable[[str], float | None]) -> float | None:
    return None if node.last_seen is None else read(node.last_seen)


def _part(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
