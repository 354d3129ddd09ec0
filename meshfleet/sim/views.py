"""What observers' views say of agents, built by the very code that a node serves its view with.

Only what a scenario asks for is looked at, and only when it may have changed: when a snapshot of an agent arrived, or
the verdict on its node did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.merge import one_of_each
from meshfleet.fleet.names import NodeName
from meshfleet.node.viewing import Viewing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.presence import Presence
    from meshfleet.sim.host import Host
    from meshfleet.sim.scenario import Expect
    from meshfleet.sim.selectors import Cast


def wanted(expects: Sequence[Expect], cast: Cast) -> dict[int, frozenset[str]]:
    """Observer's number -> nodes whose agents it is asked about."""
    asked: dict[int, set[str]] = {}
    for i, expect in enumerate(expects):
        subjects = cast.select(expect.subjects, f"expect[{i}].subjects") if expect.subjects else ()
        carriers = {name.partition("/")[0] for name in subjects if "/" in name}
        if carriers:
            for observer in cast.nodes_of(expect.observers, f"expect[{i}].observers"):
                asked.setdefault(int(observer[1:]), set()).update(carriers - {observer})
    return {number: frozenset(carriers) for number, carriers in asked.items()}


class Views:
    """The part of observers' views that a scenario asks about."""

    def __init__(self, wanted: dict[int, frozenset[str]]) -> None:
        self._wanted = wanted
        self._viewing: dict[int, tuple[int, Viewing]] = {}
        """Observer's number -> its life, and its view."""
        self._shown: dict[tuple[int, str], dict[str, Presence]] = {}
        """Observer and carrier -> agents in the view as it was last looked at."""
        self.said: dict[tuple[int, str], list[tuple[int, Presence | None]]] = {}
        """Observer and agent -> from when on, which word; None: not in the view."""

    def look(self, host: Host, carrier: str, now_us: int) -> list[tuple[str, tuple[str, ...]]]:
        """Something about the agents of `carrier` may look different to `host`. Returns which do, and why."""
        if carrier not in self._wanted.get(host.number, ()) or host.member is None:
            return []
        epoch, viewing = self._viewing.get(host.number, (-1, None))
        if viewing is None or epoch != host.epoch:
            viewing = Viewing(host.member)
            self._viewing[host.number] = (host.epoch, viewing)
        views = one_of_each(
            viewing.agents_of(NodeName(carrier), now=host.clock(now_us), wall=host.wall_ms(now_us) / 1000)
        )
        before = self._shown.get((host.number, carrier), {})
        shown = {str(view.agent_id): view.presence for view in views}
        self._shown[host.number, carrier] = shown
        changed: list[tuple[str, tuple[str, ...]]] = []
        for view in views:
            if before.get(view.agent_id) is not view.presence:
                self.said.setdefault((host.number, view.agent_id), []).append((now_us, view.presence))
                changed.append((view.agent_id, view.reasons))
        for agent in before:
            if agent not in shown:
                self.said[host.number, agent].append((now_us, None))
        return changed

    def forget(self, host: Host, now_us: int) -> None:
        """It begins a new life, and knows nobody."""
        for carrier in sorted(self._wanted.get(host.number, ())):
            for agent in self._shown.pop((host.number, carrier), {}):
                self.said[host.number, agent].append((now_us, None))
