"""What the fleet spends an hour, from the costs that were seen while the program runs. The page does the same."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.view import FleetView

WINDOW_S = 600.0
EVERY_S = 10.0
ENOUGH_S = 60.0
"""Less than this tells nothing yet."""


class Burn:
    """Sessions that come or go with what they have cost before are no spending: each counts by what was added while it
    was there."""

    def __init__(self) -> None:
        self._costs: dict[AgentId, float] = {}
        self._seen: deque[tuple[float, float]] = deque()
        """When, and what had been spent until then since the first look."""

    def look(self, view: FleetView, now: float) -> None:
        """Take in a view. `now` is monotonic seconds."""
        if self._seen and now - self._seen[-1][0] < EVERY_S:
            return
        costs = {agent.agent_id: agent.state.cost_usd for agent in view.agents if agent.state.cost_usd is not None}
        spent = self._seen[-1][1] if self._seen else 0.0
        if self._seen:
            spent += sum(max(0.0, cost - self._costs.get(name, cost)) for name, cost in costs.items())
        self._costs = costs
        self._seen.append((now, spent))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def per_hour(self) -> float | None:
        """USD, over the last ten minutes at most; None until a minute was seen, or where nothing was spent."""
        if not self._seen:
            return None
        (began, before), (now, after) = self._seen[0], self._seen[-1]
        passed = now - began
        return None if passed < ENOUGH_S or after == before else 3_600 * (after - before) / passed
