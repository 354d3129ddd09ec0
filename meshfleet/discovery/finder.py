"""Asks all sources, each in a task of its own, and keeps what each told last: one that fails takes nothing away."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.discovery.source import Found, Hurry, Unfound
from meshfleet.fleet.endpoint import ENDPOINTS_LIMIT, Endpoint
from meshfleet.fleet.source import SourceTold
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from meshfleet.discovery.source import Here, Source
    from meshfleet.fleet.names import Address, AgentId

NODES_LIMIT = 256
"""Addresses that are taken from one source. A few that answer are enough to join; gossip tells of all others."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a source that failed is asked again: doubling, with a quarter of chance in it."""

PROBLEM_LIMIT = 300
"""Characters of a problem: what a server says may be in it."""

log = get_logger("meshfleet.discovery")


class Finder:
    """See the module. `changed` is called when what was found, or what is wrong, is another; `wall` gives RFC 3339."""

    def __init__(
        self, sources: Sequence[Source], changed: Callable[[], None], counts: Counter[str], wall: Callable[[], str]
    ) -> None:
        self._kept = [_Kept(source, wall()) for source in sources]
        self._changed = changed
        self._counts = counts
        self._wall = wall
        self._hurry = Hurry()

    async def run(self, here: Here) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            for kept in self._kept:
                nursery.start_soon(self._watch, kept, here)

    def hurry(self) -> None:
        """Members were lost: what sources know may be old."""
        self._hurry.up()

    def nodes(self) -> tuple[Address, ...]:
        """Addresses to try, each once."""
        return tuple(dict.fromkeys(address for kept in self._kept for address in kept.found.nodes))

    def agents(self) -> tuple[Endpoint, ...]:
        """Agents without a node, each name once: the source that was named first is believed."""
        each: dict[AgentId, Endpoint] = {}
        for kept in self._kept:
            for agent in kept.found.agents:
                each.setdefault(agent.name, agent)
        return tuple(each.values())[:ENDPOINTS_LIMIT]

    def told(self) -> tuple[SourceTold, ...]:
        """How each source is."""
        return tuple(
            SourceTold(
                name=kept.source.name,
                nodes=len(kept.found.nodes),
                agents=len(kept.found.agents),
                offered=kept.found.offered,
                problem=kept.problem,
                since=kept.since,
            )
            for kept in self._kept
        )

    async def _watch(self, kept: _Kept, here: Here) -> None:
        pause = FIRST_PAUSE
        while True:
            asked_at, heard = trio.current_time(), kept.heard
            try:
                await kept.source.watch(here, partial(self._hear, kept, here), self._hurry)
                why = "it ended."
            except Unfound as error:
                why = str(error)
            except Exception as error:  # a defect of one source is no reason to lose the others, or the node
                why = f"it failed inside: {type(error).__name__}."
                self._counts["fault_discovery"] += 1
                log.error("a source of peers failed and begins again", source=kept.source.name, exc_info=error)
            self._fail(kept, why)
            if kept.heard > heard and trio.current_time() - asked_at > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await trio.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _hear(self, kept: _Kept, here: Here, found: Found) -> None:
        self._counts["discovery_answers"] += 1
        found = msgspec.structs.replace(found, nodes=tuple(node for node in found.nodes if node != here.gossip))
        dropped = max(0, len(found.nodes) - NODES_LIMIT) + max(0, len(found.agents) - ENDPOINTS_LIMIT)
        if dropped:
            self._counts["dropped_discovered"] += dropped
            found = msgspec.structs.replace(
                found,
                nodes=found.nodes[:NODES_LIMIT],
                agents=found.agents[:ENDPOINTS_LIMIT],
                problem=found.problem or f"it gives more than is taken: {dropped} were left out.",
            )
        kept.heard += 1
        news = found != kept.found
        kept.found = found
        if self._is_wrong(kept, found.problem) or news:
            self._changed()

    def _fail(self, kept: _Kept, why: str) -> None:
        self._counts["discovery_failed"] += 1
        if self._is_wrong(kept, why):
            self._changed()

    def _is_wrong(self, kept: _Kept, problem: str | None) -> bool:
        """Note what is wrong with it now; whether that is news."""
        problem = None if problem is None else problem[:PROBLEM_LIMIT]
        if problem == kept.problem:
            return False
        if problem is not None:
            log.warning("a source of peers has a problem", source=kept.source.name, why=problem)
        kept.problem, kept.since = problem, self._wall()
        return True


class _Kept:
    """A source, and what it told last."""

    def __init__(self, source: Source, since: str) -> None:
        self.source = source
        self.found = Found()
        self.problem: str | None = None
        self.since = since
        self.heard = 0
