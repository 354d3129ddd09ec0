"""`/v1/agents/{id}/history`: the last hours of each agent, as this node saw them, in memory of a known size.

A point each 30 s, of which the last 360 are kept: 14 bytes each, so 5 KB an agent. That is for the eye of a person who
wonders how it came to this; what is to be kept for longer belongs into a Prometheus (docs/prometheus.md).
"""

from __future__ import annotations

import math
from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status
from meshfleet.serve.answers import Refusal, json_answer, quoted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from meshfleet.fleet.view import AgentView, FleetView
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.limits import Counts

STEP = 30
"""Seconds between two points. A context that fills within ten minutes shows twenty of them."""

KEPT = 360
"""Points of each agent: three hours."""

AGENTS_REMEMBERED = 2048
"""Agents whose points are kept: 10 MB. More are not remembered, and counted, until others go."""

_STATUSES = tuple(Status)
_PRESENCES = tuple(Presence)
_UNKNOWN = math.nan


class AgentPast(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's last hours: lists of the same length, oldest first, None where nothing was known at that moment."""

    agent_id: AgentId
    start: str
    """Of the first point: RFC 3339 UTC, by the serving node's clock."""
    step_s: int
    context_pct: tuple[float | None, ...]
    cost_usd: tuple[float | None, ...]
    tokens: tuple[int | None, ...]
    """In and out together. Single precision: seven digits."""
    status: tuple[Status | None, ...]
    presence: tuple[Presence | None, ...]


class _Points:
    """The points of one agent."""

    __slots__ = ("context", "cost", "presence", "status", "tokens")

    def __init__(self) -> None:
        self.context = array("f")
        self.cost = array("f")
        self.tokens = array("f")
        self.status = array("B")
        """One more than the place among _STATUSES; 0 is not known."""
        self.presence = array("B")

    def add(self, agent: AgentView) -> None:
        """A point of how it is now."""
        state = agent.state
        known = [count for count in (state.tokens_in, state.tokens_out) if count is not None]
        self.context.append(_UNKNOWN if state.context_pct is None else state.context_pct)
        self.cost.append(_UNKNOWN if state.cost_usd is None else state.cost_usd)
        self.tokens.append(sum(known) if known else _UNKNOWN)
        self.status.append(1 + _STATUSES.index(state.status))
        self.presence.append(1 + _PRESENCES.index(agent.presence))
        self.trim()

    def skip(self, points: int) -> None:
        """So many of which nothing is known."""
        for column in (self.context, self.cost, self.tokens):
            column.extend([_UNKNOWN] * points)
        for codes in (self.status, self.presence):
            codes.extend([0] * points)
        self.trim()

    def trim(self) -> None:
        """Let go of what is older than the last KEPT."""
        for column in (self.context, self.cost, self.tokens):
            del column[:-KEPT]
        for codes in (self.status, self.presence):
            del codes[:-KEPT]


class Past:
    """Looks at the feed twice a minute, and answers what it saw."""

    def __init__(self, feed: Feed, counts: Counts) -> None:
        self._feed = feed
        self._counts = counts
        self._agents: dict[AgentId, _Points] = {}
        self._at = 0
        """The newest point: seconds since 1970 in STEPs."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await trio.sleep(STEP)
            self.look(self._feed.fleet())

    def look(self, view: FleetView) -> None:
        """Add a point for each agent. A second look within a step adds none; a later one leaves a gap: the machine
        slept. Where the clock was put back, points go on from there, or there were none for as long as that was."""
        at = int(datetime.fromisoformat(view.now).timestamp()) // STEP
        missed = min(at - self._at - 1, KEPT) if self._at else 0
        if self._at - 1 <= at <= self._at:  # a step back is a clock that is being set right little by little
            return
        self._at = at
        there = {agent.agent_id for agent in view.agents}
        for gone in [agent_id for agent_id in self._agents if agent_id not in there]:
            del self._agents[gone]
        for agent in view.agents:
            points = self._agents.get(agent.agent_id)
            if points is None:
                if len(self._agents) >= AGENTS_REMEMBERED:
                    self._counts.histories_left_out += 1
                    continue
                self._agents[agent.agent_id] = points = _Points()
            elif missed > 0:
                points.skip(missed)
            points.add(agent)

    async def answer(self, request: Request) -> Response:
        """`GET /v1/agents/{id}/history`. Of an agent that is not known for a step yet there are no points."""
        wanted = request.path_params["id"]
        points = self._agents.get(wanted)
        if points is None:
            if all(agent.agent_id != wanted for agent in self._feed.fleet().agents):
                raise Refusal(404, f"This node knows no agent named {quoted(wanted)}. GET /v1/fleet lists all.")
            points = _Points()
        return json_answer(self._told(AgentId(wanted), points))

    def _told(self, agent_id: AgentId, points: _Points) -> AgentPast:
        first = datetime.fromtimestamp(max(0, self._at - len(points.status) + 1) * STEP, UTC)
        return AgentPast(
            agent_id=agent_id,
            start=first.isoformat().replace("+00:00", "Z"),
            step_s=STEP,
            context_pct=tuple(None if math.isnan(x) else round(x, 1) for x in points.context),
            cost_usd=tuple(None if math.isnan(x) else round(x, 4) for x in points.cost),
            tokens=tuple(None if math.isnan(x) else int(x) for x in points.tokens),
            status=tuple(_STATUSES[code - 1] if code else None for code in points.status),
            presence=tuple(_PRESENCES[code - 1] if code else None for code in points.presence),
        )
