"""How often an agent's snapshots go to the mesh: at most one each `snapshot_interval`, the newest wins.

The first change goes at once. What comes sooner than the next may go is held, and replaced by what is newer; so an
agent that changes 50 times a second costs what one costs that changes once, and is shown 1 s late at most; by its own
node, at once.

Whether an agent is there at all is worth more than what it does: that it is withdrawn goes at once, and so does that
it is there again, unless it came and went a moment ago. Both are taken from its later turns, so an agent that comes and
goes all the time has no more of them than others.

Everybody receives everybody's snapshots, so each sees for itself, and all see the same, how much the fleet says. Above
`state_rate` each slows its own agents down, and says so. Two things make that even and steady (docs/design.md has the
figures):

- The slowing forgets a little of itself each second. Without that two nodes that once differed, since one began later
  or was cut off, would differ for ever: each multiplies by the same. (Chiu and Jain, 1989: multiplying alone never
  becomes fair.)
- Agents wait in time that runs slower, not until a moment that was set. So when the pace changes, what is sent changes
  with it at once, and nothing is measured that was decided long ago.

Probes and heartbeats are no part of it.
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

from meshfleet.gossip.events import Paced

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

GAIN = 0.3
"""By what power of e snapshots go more seldom for each second's worth of `state_rate` too much: a tenfold demand is met
in some seven seconds, and what comes three seconds late, as long states do, which are fetched, does not make it
swing."""

FORGETS = 0.03
"""Part of that power which is forgotten each second: half of a difference between two nodes in 23 s. The price is a
rate that settles above `state_rate`: by 7 % at twice as slow, by 23 % at ten times."""

BURST = 2.0
"""How much too much is believed, in `state_rate`: a newcomer is told the whole fleet's snapshots at once. While
all have a budget (gossip/budget.py) no more than twice as much as there may be comes for long."""

LONG = 5.0
"""Seconds that a look stands for at most: after a stop of the process the rate is an average of nothing."""

NOTABLE = 1.1
"""From here on it is said that snapshots are slowed down."""

LASTING = 5
"""Looks for which that must have been so, or over, before it is said: one burst is not worth a line."""


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
        """From what turn on each agent waits, and whether its last one withdrew it. That is the turn at which that one
        went, or as much later as it went early. Those that may go at once are left out."""
        self._held: dict[AgentId, bytes] = {}
        self.stretch = 1.0
        """How many times as long as usual an agent waits."""
        self._turn = 0.0
        """Seconds that agents have waited, as the stretch has it: it passes more slowly than time."""
        self._turned_at = 0.0
        self._looked_at = 0.0
        self._said = 0
        self.is_slow = False
        """Whether it has been said that snapshots are slowed down."""
        self._otherwise = 0
        """Looks at which that was not so, or not so yet, in a row."""

    def publish(self, agent: AgentId, body: bytes, now: float) -> None:
        """An agent of mine has a newer state, or is withdrawn. That it is goes once."""
        waits = agent in self._held
        _, withdrew = self._went.get(agent, NEVER)
        if withdrew and not body:
            if waits:
                self._held[agent] = b""  # so nothing is to be said when its turn comes
            return
        left = self._left(agent, now)
        if left <= 0 or not body:
            self._send(agent, body, now)
            return
        self._counts["held_snapshot"] += 1
        self._held[agent] = body
        if not waits:
            self._wait(agent, left, now)

    def held(self, agent: AgentId) -> bytes:
        """The state of an agent of mine that waits for its turn; empty where none does. I know it already."""
        return self._held.get(agent, b"")

    def waiting(self) -> list[AgentId]:
        """Agents of mine whose state waits for its turn."""
        return [agent for agent, body in self._held.items() if body]

    @property
    def told(self) -> float:
        """How many times as seldom as usual my agents' snapshots go, for people: 1 until that has lasted."""
        return round(self.stretch, 1) if self.is_slow else 1.0

    def _left(self, agent: AgentId, now: float) -> float:
        """Seconds until a state of that agent may go, at the pace of now: one that says that it is there again, once
        nothing of it has gone early."""
        self._pass(now)
        went, withdrew = self._went.get(agent, NEVER)
        waits = 0.0 if withdrew else self._timing.snapshot_interval
        return (went + waits - self._turn) * self.stretch - EARLY

    def _pass(self, now: float) -> None:
        self._turn += (now - self._turned_at) / self.stretch
        self._turned_at = now

    def _wait(self, agent: AgentId, left: float, now: float) -> None:
        """The pace may change meanwhile, so it is looked at again no later than that is."""
        self._timers.at(now + min(max(left, 0.0) + EARLY, LOOK_EVERY), lambda t: self._due(agent, t))

    def _send(self, agent: AgentId, body: bytes, now: float) -> None:
        self._held.pop(agent, None)
        self._pass(now)
        went, _ = self._went.get(agent, NEVER)
        self._went[agent] = (max(self._turn, went + self._timing.snapshot_interval), not body)
        self._go(agent, body, now)

    def _due(self, agent: AgentId, now: float) -> None:
        if agent not in self._held:
            return
        left = self._left(agent, now)
        if left > 0:  # it went in the meantime, or all were slowed down
            self._wait(agent, left, now)
        elif body := self._held.pop(agent):
            self._send(agent, body, now)

    def flush(self, now: float) -> None:
        """What is held goes now, whatever its turn: I am about to leave, or begin a new life."""
        for agent in self.waiting():
            self._send(agent, self._held[agent], now)

    def look(self, said: int, now: float) -> None:
        """Each round: the fleet has said `said` bytes of snapshots so far, mine among them."""
        if now - self._looked_at < LOOK_EVERY:
            return
        self._pass(now)  # what has passed, has passed at the pace until now
        before = self._turn - self._timing.snapshot_interval
        for agent in [name for name, (went, _) in self._went.items() if went <= before and name not in self._held]:
            del self._went[agent]
        passed = min(now - self._looked_at, LONG)
        rate = (said - self._said) / (now - self._looked_at)
        self._said, self._looked_at = said, now
        excess = min(BURST, rate / self._timing.state_rate - 1)
        power = log(self.stretch) * (1 - FORGETS * passed) + GAIN * excess * passed
        self.stretch = exp(min(log(MOST), max(0.0, power)))
        self._say(self.stretch >= NOTABLE if not self.is_slow else self.stretch > 1.0)

    def _say(self, slow: bool) -> None:
        self._otherwise = self._otherwise + 1 if slow is not self.is_slow else 0
        if self._otherwise < LASTING:
            return
        self.is_slow, self._otherwise = slow, 0
        self._counts["slowed_snapshots"] += slow
        self._emit(Paced(self.stretch if slow else 1.0))


EARLY = 1e-6
"""Seconds by which a turn may be early: what floats lose."""

NEVER = (-1e18, False)
"""What is known of an agent of which nothing went of late."""
