"""Discovery and the node, tied together: what sources find is joined, and what they say is shown."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.discovery.finder import Finder
from meshfleet.discovery.opening import open_sources
from meshfleet.discovery.source import Here
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.source import SourceKind
from meshfleet.gossip.events import Judged
from meshfleet.node.viewing import rfc3339
from meshfleet.runtimes.endpoints.watching import watch_endpoints
from meshfleet.wire.identity import OBSERVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.discovery.source import Source
    from meshfleet.fleet.source import SourceSpec, SourceTold
    from meshfleet.gossip.events import Event
    from meshfleet.node.node import Node

NAMES_AGENTS = f"{SourceKind.FILE.value}:"
"""How the names of sources begin that may name agents without a node."""

LOST = (Presence.UNREACHABLE, Presence.DOWN)


def sources(specs: Sequence[SourceSpec]) -> tuple[Source, ...]:
    """The sources, to be opened before the node is: a mistake in them is to be told at once."""
    return open_sources(specs)


async def discover(node: Node, opened: Sequence[Source]) -> None:
    """Until cancelled. Nothing that a source does harms the node."""

    observes = node.member.membership.me.info.role == OBSERVER

    def changed() -> None:
        node.seeking.found(finder.nodes())
        node.endpoints.know(() if observes else finder.agents())
        node.changed_beside()

    def lost(event: Event) -> None:
        if isinstance(event, Judged) and event.verdict.presence in LOST:
            finder.hurry()

    finder = Finder(opened, changed, node.counts, lambda: rfc3339(time.time()))
    node.sources = lambda: tuple(_with_outcome(node, told, observes) for told in finder.told())
    node.watch(lost)
    fleet = node.tending.trust.fleet.fleet_id.hex()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.supervise, "seeking", node.seeking.run)
        nursery.start_soon(finder.run, Here(name=node.name, fleet=fleet, gossip=node.address))
        if not observes and any(source.name.startswith(NAMES_AGENTS) for source in opened):
            nursery.start_soon(node.supervise, "contacts", node.endpoints.run)
            nursery.start_soon(node.supervise, "endpoints", partial(watch_endpoints, node, node.endpoints, node.counts))


def _with_outcome(node: Node, told: SourceTold, observes: bool) -> SourceTold:
    """With what came of what it gave, where that is nothing good and no view can show it."""
    problems = [told.problem]
    if told.nodes:
        problems.append(node.seeking.why_alone())
    if told.agents:
        problems.append(_of_agents(node, observes))
    said = " ".join(problem for problem in problems if problem is not None)
    return msgspec.structs.replace(told, problem=said or None)


def _of_agents(node: Node, observes: bool) -> str | None:
    if observes:
        return "This node is an observer, which asks no agents: name them to another node."
    silent = node.endpoints.never_answered()
    if not silent:
        return None
    name, why = silent[0]
    others = f" (and so did {len(silent) - 1} more)" if len(silent) > 1 else ""
    return f"{name} never answered{others}: {why}."
