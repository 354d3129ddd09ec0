"""A view as time goes on after it came."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.view import NodeView

if TYPE_CHECKING:
    from meshfleet.fleet.view import AgentView, FleetView

SILENCE = 8.0
"""Seconds without a view after which it is said: a node says something every 5."""


class Reading(NamedTuple):
    """A view, and how old it is, on this machine's steady clock. The serving node's clock is only added to."""

    view: FleetView
    passed: float
    """Seconds since it arrived."""
    quiet: float
    """Seconds since its node gave a sign of life."""

    @property
    def is_silent(self) -> bool:
        """Whether a sign of life is overdue."""
        return self.quiet > SILENCE

    @property
    def now(self) -> float:
        """Unix time by the serving node's clock."""
        return unix(self.view.now) + self.passed

    def age(self, judged: NodeView | AgentView) -> float:
        """Seconds since it was heard of. The serving node is heard by its signs of life, and so is what it carries."""
        node = judged.name if isinstance(judged, NodeView) else judged.node
        return judged.age_s + (self.quiet if node == self.view.served_by.node else self.passed)

    def since(self, when: str) -> float:
        """Seconds since an RFC 3339 time."""
        return max(0.0, self.now - unix(when))

    def running(self, agent: AgentView) -> float | None:
        """Seconds that its tool has been running; up to the last word of it where it is not heard. None: not known."""
        if agent.state.active_tool_since is None:
            return None
        try:
            began = unix(agent.state.active_tool_since)
        except ValueError:
            return None  # an agent's own word, in whatever form
        heard = agent.presence is Presence.FRESH or agent.last_seen is None
        return max(0.0, (self.now if heard else unix(agent.last_seen or self.view.now)) - began)


def unix(when: str) -> float:
    """RFC 3339 as Unix time. ValueError where it is none."""
    return datetime.fromisoformat(when).timestamp()
