"""From what one node sees of each node and agent to the one view of the fleet: each agent once, sums, a stable
order."""

from __future__ import annotations

from collections import Counter
from math import fsum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.headroom import headroom
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.usage import next_start
from meshfleet.fleet.view import AgentView, FleetView, NodeView, Period, ServedBy, Totals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.cost import Today
    from meshfleet.fleet.names import AgentId, NodeName
    from meshfleet.fleet.notice import Notice

_BELIEVED = (Presence.FRESH, Presence.STALE, Presence.UNREACHABLE, Presence.LEFT, Presence.DOWN)
"""Whose word about an agent counts most, where two nodes claim it."""


def merge(
    *,
    version: str,
    now: str,
    served_by: ServedBy,
    nodes: Iterable[NodeView],
    agents: Iterable[AgentView],
    period: Period | None = None,
    today: Today | None = None,
    attention: tuple[Notice, ...] = (),
) -> FleetView:
    """The view of the fleet. `nodes` come without their agents, `agents` may name one agent more than once."""
    shown = one_of_each(agents)
    carried: dict[NodeName, list[AgentId]] = {}
    for agent in shown:
        carried.setdefault(agent.node, []).append(agent.agent_id)
    return FleetView(
        version=version,
        now=now,
        served_by=served_by,
        nodes=tuple(
            msgspec.structs.replace(node, agents=tuple(carried.get(node.name, ())))
            for node in sorted(nodes, key=lambda node: node.name)
        ),
        agents=tuple(shown),
        totals=totals(shown, now, period, today),
        attention=attention,
    )


def one_of_each(agents: Iterable[AgentView]) -> list[AgentView]:
    """Each agent once, in order of id. Where several nodes claim one, the clash is named in its reasons."""
    claims: dict[AgentId, list[AgentView]] = {}
    for agent in agents:
        claims.setdefault(agent.agent_id, []).append(agent)
    return [_settle(claims[agent_id]) for agent_id in sorted(claims)]


def credit(agent: AgentView) -> tuple[int, int, NodeName]:
    """Orders what several nodes say of one agent: whoever is believed comes first."""
    return (_BELIEVED.index(agent.presence), -agent.epoch, agent.node)


def _settle(rivals: list[AgentView]) -> AgentView:
    if len(rivals) == 1:
        return rivals[0]
    # Every node must settle it alike and for good: by what they agree on, never by ages, which differ and change.
    shown = min(rivals, key=credit)
    others = ", ".join(sorted(a.node for a in rivals if a is not shown))
    clash = f"claimed by {shown.node} and by {others}: shown as {shown.node} reports it"
    return msgspec.structs.replace(shown, reasons=(*shown.reasons, clash))


def totals(agents: list[AgentView], now: str, period: Period | None = None, today: Today | None = None) -> Totals:
    """Sums over `agents`, each of which is in it once. Statuses and tools count only where they can be believed.
    `period` and `today` are what the ledgers say; without any, the month that runs has begun, and no more is known."""
    there = [a for a in agents if a.presence in (Presence.FRESH, Presence.STALE)]
    return Totals(
        agents=len(agents),
        by_presence=_count(a.presence.value for a in agents),
        by_status=_count(a.state.status.value for a in there),
        by_tool=_count(a.state.active_tool for a in there),
        by_model=_count(a.state.model for a in there),
        tokens_in=_sum(a.state.tokens_in for a in agents),
        tokens_out=_sum(a.state.tokens_out for a in agents),
        cost_usd=_money(a.state.cost_usd for a in agents),
        period=period or Period(start=(start := f"{now[:7]}-01"), end=next_start(start), cost_usd=None),
        today=today,
        rate_limits=headroom((a.state for a in agents), now),
    )


def _count(words: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(word for word in words if word is not None).items()))


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None


def _money(amounts: Iterable[float | None]) -> float | None:
    known = [a for a in amounts if a is not None]
    return round(fsum(known), 6) if known else None
