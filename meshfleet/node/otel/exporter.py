"""Tells a collector, once in an interval, what is: whole, as it is then. Nothing is queued: what did not get through in
its interval is given up, and counted.

Whatever the collector does, the node goes on: each request has its time, what is read of answers is bounded, and no
error leaves this task.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.fleet_measures import MEASURED_AGENTS, of_agents, of_nodes, of_the_fleet
from meshfleet.fleet.measures import Since
from meshfleet.fleet.node_measures import of_the_node
from meshfleet.fleet.zone_measures import of_zones
from meshfleet.logs import get_logger
from meshfleet.node.hearsay import Carrier
from meshfleet.node.otel.sending import GivenUp, Sending
from meshfleet.node.otel.series import Export, metrics
from meshfleet.node.otel.settings import Mode
from meshfleet.node.otel.telling import ExportTold

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from meshfleet.fleet.measures import Measured
    from meshfleet.fleet.view import FleetView, Health
    from meshfleet.node.otel.series import Attributes
    from meshfleet.node.otel.settings import Otel
    from meshfleet.node.otel.turn import Turn

LOOK_EVERY = 1.0
"""Seconds between two looks at whose turn it is. One goes through the roster: a millisecond with 1,000 nodes."""

SERVICE, NODE_SERVICE = "meshfleet", "meshfleet-node"
"""`service.name` of a fleet, and of a node that tells of itself."""

log = get_logger("meshfleet.node")


class Exported(Carrier, Protocol):
    """The node, as far as it is needed here."""

    def fleet(self) -> FleetView:
        """The merged view."""
        ...

    def health(self) -> Health:
        """Its name, life, heartbeat and version."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What it counts."""
        ...


class Exporter:
    """See the module.

    `settle` is how long, in seconds, it must have been this node's turn before it exports: what is about to come from
    others has come by then, and whoever had the turn before knows.
    """

    def __init__(
        self,
        node: Exported,
        otel: Otel,
        turn: Turn,
        sending: Sending,
        counts: Counter[str],
        wall: Callable[[], float],
        read: Callable[[str], float | None],
        period_began: Callable[[], float],
        resource: Attributes,
        settle: float,
    ) -> None:
        self._node = node
        self._otel = otel
        self._turn = turn
        self._sending = sending
        self._counts = counts
        self._wall = wall
        self._read = read
        self._period_began = period_began
        self._resource = resource
        self.settle = settle
        self.look_every = LOOK_EVERY
        self._before: tuple[Measured, ...] = ()
        """What was measured at the last export, by whoever made it: what ends is told by it."""
        self._due = 0.0
        self._mine_since: float | None = None
        self._last: float | None = None
        self._failing: str | None = None

    async def run(self) -> None:
        """Until cancelled."""
        await self._turn.load()
        self._due = trio.current_time()
        self._mine_since = None
        while True:
            try:
                await self._step(trio.current_time())
            except Exception:  # a defect of ours: the node has more to do than this
                self._counts["otel_fault"] += 1
                log.exception("exporting failed by a fault of this program")
            await trio.sleep(self.look_every)

    async def _step(self, now: float) -> None:
        if not self._turn.look():
            self._mine_since = None
            if now >= self._due:
                await self._pass_over(now)
        elif self._mine_since is None:
            log.info("it is this node's turn to export", to=self._otel.told, mode=self._otel.mode.value)
            self._mine_since = now
            self._due = max(now + self.settle, self._sending.not_before)
        elif now >= self._due:
            await self._in_turn()
        await self._turn.keep()

    def told(self) -> ExportTold:
        """How it goes, for the node's owner."""
        counts, last = self._counts, self._last
        return ExportTold(
            endpoint=self._otel.told,
            mode=self._otel.mode.value,
            interval_s=self._otel.interval_s,
            exporter=self._turn.whose,
            last_s=None if last is None else round(trio.current_time() - last, 1),
            failing=self._failing,
            exports=counts["otel_exports"],
            failed=counts["otel_failed"],
            missed=counts["otel_missed"],
            rejected=counts["otel_rejected_points"],
        )

    async def _pass_over(self, now: float) -> None:
        """Another one exports. What it tells now is what may have ended by the time that this one does."""
        self._due = now + self._otel.interval_s
        look = partial(measure, self._seen(), self._otel.mode, self._read)
        self._before = await trio.to_thread.run_sync(look, abandon_on_cancel=True)

    async def _in_turn(self) -> None:
        """Export; then wait for the next interval. Those that went by meanwhile are missed."""
        interval = self._otel.interval_s
        try:
            measured, export = await self._export()
            await self._sending.send(export, self._due + interval)
        except GivenUp as error:
            self._failed(str(error))
        except ConfigError as error:
            self._failed(str(error).rstrip("."))
        except Exception as error:  # a defect of ours must not end the node, nor the exports after this one
            self._counts["otel_fault"] += 1
            log.exception("an export failed by a fault of this program")
            self._failed(f"by a fault of this program ({type(error).__name__}); its log says more")
        else:
            self._worked(measured)
        over = trio.current_time()
        gone = max(1, math.ceil((max(over, self._sending.not_before) - self._due) / interval))
        self._counts["otel_missed"] += gone - 1
        self._due += gone * interval

    def _worked(self, measured: tuple[Measured, ...]) -> None:
        if self._failing is not None:
            log.info("exports get through again", to=self._otel.told)
        self._before, self._failing, self._last = measured, None, trio.current_time()
        self._turn.count(worked=True)

    def _failed(self, why: str) -> None:
        if self._failing != why:  # once, not each interval
            log.warning("an export to OpenTelemetry failed", to=self._otel.told, why=why)
        self._failing = why
        self._counts["otel_failed"] += 1
        self._turn.count(worked=False)

    async def _export(self) -> tuple[tuple[Measured, ...], Export]:
        """What is to be told now. It takes a thread: some 200 ms at 5,000 agents."""
        seen, at = self._seen(), int(self._wall() * 1e9)
        begun = {
            Since.SESSION: self._turn.began * 10**9,
            Since.PERIOD: int(self._period_began()) * 10**9,
            Since.PROCESS: seen.health.epoch * 10**6,
        }
        before = self._before

        def made() -> tuple[tuple[Measured, ...], Export]:
            measured = measure(seen, self._otel.mode, self._read)
            return measured, Export(self._resource, at, metrics(measured, before, begun, at))

        return await trio.to_thread.run_sync(made, abandon_on_cancel=True)

    def _seen(self) -> Seen:
        return Seen(self._node.fleet(), self._node.health(), self._node.counters())


class Seen(NamedTuple):
    """A node at one moment: values that nobody changes, so that another thread may look at them."""

    view: FleetView
    health: Health
    counters: Mapping[str, int]


def measure(seen: Seen, mode: Mode, read: Callable[[str], float | None]) -> tuple[Measured, ...]:
    """What is told in that mode. `read` turns RFC 3339 into Unix time."""
    view = seen.view
    if mode is Mode.OWN:
        own = [agent for agent in view.agents if agent.node == view.served_by.node]
        return (*of_the_node(seen.health, view, seen.counters), *of_agents(own))
    agents = of_agents(view.agents[:MEASURED_AGENTS], heard_only=True)
    return (*of_nodes(view, read), *agents, *of_the_fleet(view), *of_zones(view))
