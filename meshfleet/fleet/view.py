"""The merged view of the fleet: what any node serves, in the shape that docs/api.md fixes.

Immutable values only; `meshfleet.fleet.merge` makes them. Durations are seconds, times RFC 3339 UTC, money USD;
None is "not known".
"""

from __future__ import annotations

import msgspec

from meshfleet.fleet.cost import Today
from meshfleet.fleet.headroom import Headroom
from meshfleet.fleet.islands import Cut
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.notice import Notice
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.source import SourceTold
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState
from meshfleet.fleet.zone import ZoneView


class ServedBy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who serves this view, and how far it can be believed."""

    node: NodeName
    standing: Standing
    since: str
    reasons: tuple[str, ...]
    local_health: int
    """Lifeguard's local health score: 0 well, 8 worst."""
    loop_lag_ms: float
    islands: tuple[tuple[NodeName, ...], ...]
    """Who is with whom, as far as this node can tell; its own first."""
    cuts: tuple[Cut, ...] = ()
    """Where nothing passes directly between nodes that are both heard of, over somebody who reaches either side."""
    sources: tuple[SourceTold, ...] = ()
    """Where it looks for nodes and agents, and what is wrong there."""
    slowed: float = 1.0
    """How many times as seldom as usual its agents' snapshots go to the mesh, where the fleet says too much."""


class NodeView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node, as the serving node sees it."""

    name: NodeName
    role: str
    """`agent` or `observer`."""
    zone: str | None
    host: str
    epoch: int
    incarnation: int
    presence: Presence
    certainty: Certainty | None
    reach: str | None
    """`self`, `direct`, `indirect via X` or `relay via X`; None while nothing reaches it."""
    transport: str | None
    """What the newest word of it came by: `local`, `udp` or `stream`."""
    age_s: float
    last_seen: str | None
    since: str
    reasons: tuple[str, ...]
    rtt_ms: float | None
    clock_offset_ms: float | None
    base_url: str | None
    version: str
    agents: tuple[AgentId, ...]


class AgentView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One agent: its last known state, and what is thought of it."""

    agent_id: AgentId
    node: NodeName
    presence: Presence
    certainty: Certainty | None
    age_s: float
    last_seen: str | None
    since: str
    reasons: tuple[str, ...]
    epoch: int
    seq: int
    transport: str | None
    state: AgentState


class Period(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A billing period, and what the fleet has used in it so far: agents and nodes that are gone included. None is not
    known: nobody has told of any."""

    start: str
    """Its first day."""
    end: str | None = None
    """The first day of the next one."""
    cost_usd: float | None
    budget_usd: float | None = None
    """What it may cost, where the serving node was told: `period_cost_usd` of its rules of attention."""
    tokens_in: int | None = None
    tokens_out: int | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Sums over all agents of the view. A sum counts what is known; where nothing is, it is None."""

    agents: int
    by_presence: dict[str, int]
    by_status: dict[str, int]
    by_tool: dict[str, int]
    by_model: dict[str, int]
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    period: Period
    today: Today | None = None
    """What the fleet has used today, agents and nodes that are gone included; None where nobody has told of any."""
    rate_limits: tuple[Headroom, ...] = ()
    """What each API key has left, from all agents that share it."""


class FleetView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The whole fleet, as one node sees it at one moment."""

    version: str
    """Changes when anything but an age does: the ETag."""
    now: str
    served_by: ServedBy
    nodes: tuple[NodeView, ...]
    agents: tuple[AgentView, ...]
    totals: Totals
    attention: tuple[Notice, ...] = ()
    """What somebody should look at, worst first."""
    zones: tuple[ZoneView, ...] = ()
    """The other zones, where the fleet is on two levels: all else in the view is of the serving node's own."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says to anyone who asks whether it runs."""

    node: NodeName
    epoch: int
    heartbeat: int
    standing: Standing
    version: str
