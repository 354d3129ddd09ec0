"""How often an agent's snapshots go to the mesh: at most one each `snapshot_interval`, the newest wins.

The first change goes at once. What comes sooner than the next may go is held, and replaced by what is newer; so an
agent that changes 50 times a second costs what one costs that changes once, and is shown 1 s late at most; by its own
node, at once. Everybody hands on everybody's snapshots, so each sees by its own datagrams how much the fleet says: over
STATE_RATE each slows its own agents down by as much, all alike, and says so. Probes and heartbeats are no part of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.gossip.events import Paced
from meshfleet.gossip.limits import STATE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.events import Event
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.timers import Timers

LOOK_EVERY = 1.0
"""Seconds over which the rate is taken."""

MOST = 60.0
"""How much slower snapshots get at most: once a minute is still a sign of what an agent does."""


class Pacing:
    """When which snapshot of mine goes."""

    def __init__(
        self,
        timing: Timing,
        timers: Timers,
        counts: Counts,
        go: Callable[[AgentId, bytes, float], None],
        emit: Callable[[Event], None],
    ) -> None:
        self._timing = timing
        self._timers = timers
        self._counts = counts
        self._go = go
        self._emit = emit
        self._went: dict[AgentId, tuple[float, bool]] = {}
        """When each agent's last one went, and whether it withdrew it. Those that may go at once are left out."""
        self._held: dict[AgentId, bytes] = {}
        self.stretch = 1.0
        """How many times as long as usual an agent waits."""
        self._looked_at = 0.0
        self._said = 0

    def publish(self, agent: AgentId, body: bytes, now: float) -> None:
        """An agent of mine has a newer state. Withdrawing it goes at once, but not over and over."""
        went, withdrew = self._went.get(agent, (-1e18, False))
        if now - went >= self._pause or (not body and not withdrew):
            self._send(agent, body, now)
            return
        self._counts["held_snapshot"] += 1
        waits = agent in self._held
        self._held[agent] = body
        if not waits:
            self._timers.at(went + self._pause, lambda t: self._due(agent, t))

    def held(self, agent: AgentId) -> bytes:
        """The state of an agent of mine that waits for its turn; empty where none does. I know it already."""
        return self._held.get(agent, b"")

    @property
    def _pause(self) -> float:
        return self._timing.snapshot_interval * self.stretch

    def _send(self, agent: AgentId, body: bytes, now: float) -> None:
        self._held.pop(agent, None)
        self._went[agent] = (now, not body)
        self._go(agent, body, now)

    def _due(self, agent: AgentId, now: float) -> None:
        if agent not in self._held:
            return
        went, _ = self._went.get(agent, (-1e18, False))
        if now < went + self._pause - 1e-6:  # it went in the meantime, or all were slowed down
            self._timers.at(went + self._pause, lambda t: self._due(agent, t))
            return
        self._send(agent, self._held[agent], now)

    def flush(self, now: float) -> None:
        """What is held goes now, whatever its turn: I am about to leave, or begin a new life."""
        for agent, body in list(self._held.items()):
            self._send(agent, body, now)

    def look(self, said: int, now: float) -> None:
        """Each round: `said` bytes of snapshots have been sent so far, mine and others'."""
        if now - self._looked_at < LOOK_EVERY:
            return
        over = [
            agent for agent, (went, _) in self._went.items() if now - went >= self._pause and agent not in self._held
        ]
        for agent in over:
            del self._went[agent]
        rate = (said - self._said) / (now - self._looked_at)
        self._said, self._looked_at = said, now
        before = self.stretch
        self.stretch = min(MOST, max(1.0, before * min(2.0, rate / STATE_RATE) if rate else 1.0))
        if before == 1.0 and self.stretch > 1.0:
            self._counts["slowed_snapshots"] += 1
            self._emit(Paced(self.stretch))
        elif before > 1.0 and self.stretch == 1.0:
            self._emit(Paced(1.0))
