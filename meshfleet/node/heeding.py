"""Looks at the node's own view for what needs attention, and has it delivered where this node is set up to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import trio

from meshfleet.fleet.attention import Attention
from meshfleet.node.delivering import Delivering
from meshfleet.node.hearsay import Carrier
from meshfleet.node.viewing import rfc3339

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from meshfleet.fleet.attention import Rules
    from meshfleet.fleet.notice import Notice
    from meshfleet.fleet.view import FleetView
    from meshfleet.node.config import NodeConfig

EVERY = 2.0
"""Seconds between two looks. At 1,000 agents one costs some milliseconds, and the view that it looks at more."""


class Watched(Protocol):
    """The node, as far as it is needed here."""

    def fleet(self) -> FleetView:
        """The merged view."""
        ...

    def changed_beside(self) -> None:
        """The view is another, though nothing came from the mesh."""
        ...


class Node(Watched, Carrier, Protocol):
    """Both what is looked at, and what spreads what was told."""


class Calendar:
    """RFC 3339 for the core, which knows none."""

    def read(self, text: str) -> float | None:
        """As Unix time; None where it is none. Without an offset it is UTC."""
        try:
            there = datetime.fromisoformat(text)
            return (there if there.tzinfo is not None else there.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None

    def write(self, at: float) -> str:
        """As the API writes times."""
        try:
            return rfc3339(at)
        except (ValueError, OverflowError, OSError):  # an agent's clock may say anything
            return rfc3339(0.0)


class Heeding:
    """See the module."""

    def __init__(
        self, node: Watched, rules: Rules, wall: Callable[[], float], delivering: Delivering | None = None
    ) -> None:
        self._node = node
        self._wall = wall
        self._attention = Attention(rules, Calendar())
        self._delivering = delivering
        self.every = EVERY
        self.notices: tuple[Notice, ...] = ()
        """What needs attention, as of the last look."""

    @property
    def dropped(self) -> int:
        """Notices that were left out, since there were too many."""
        return self._attention.dropped

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._delivering is not None:
                await self._delivering.run(nursery)
            while True:
                self.look()
                await trio.sleep(self.every)

    def look(self) -> None:
        """Once, now."""
        before = self.notices
        self.notices = self._attention.look(self._node.fleet(), self._wall(), trio.current_time())
        if self.notices != before:
            self._node.changed_beside()
        if self._delivering is not None:
            self._delivering.look(self.notices)


def heeding(node: Node, config: NodeConfig, counts: Counter[str], wall: Callable[[], float]) -> Heeding:
    """As a node's configuration has it. A node that delivers waits for T before it does, and for as long again for each
    that comes before it: what is about to come from others has come by then."""
    if not config.delivery.ways:
        return Heeding(node, config.attention, wall)
    step = config.timing.heartbeat
    return Heeding(
        node, config.attention, wall, Delivering(node, config.delivery, counts, wall, config.state_dir, step)
    )
