"""A watch on each node, while everything goes wrong: it asks for the view each second, takes the time, and looks
whether what it says can be true.

What must hold at any moment, of any node that runs: it shows the agents that it carries itself, as they told; it has
lost none that it showed before; it knows of no more money than was spent, and never of less than before.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.view import FleetView
from tests.soak.load import MICRO
from tests.soak.measuring import Served, weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshfleet.fleet.names import AgentId
    from tests.soak.fleet import SoakFleet
    from tests.soak.load import Herd
    from tests.soak.measuring import Weight
    from tests.soak.truth import Now, Truth
    from tests.soak.visiting import Visitor

EVERY = 1.0
"""Seconds between two views."""
WEIGHED_EVERY = 5
"""Views between two looks at the process."""
PATIENCE = 2.0
"""Seconds that a node has to show what an agent told it. It takes milliseconds; the machine may be busy."""
BROKEN_LIMIT = 200


class Findings:
    """What did not hold, in words."""

    def __init__(self, began: float, say: Callable[[str], None]) -> None:
        self._lock = threading.Lock()
        self._say = say
        self._began = began
        self.broken: list[str] = []

    def add(self, what: str) -> None:
        """Once more."""
        with self._lock:
            if len(self.broken) < BROKEN_LIMIT:
                self.broken.append(f"{time.monotonic() - self._began:.1f} s: {what}")
                self._say(f"broken: {what}")


class Watch(threading.Thread):
    """Of one node."""

    def __init__(
        self, name: str, fleet: SoakFleet, herds: Mapping[str, Herd], visitor: Visitor, findings: Findings
    ) -> None:
        super().__init__(daemon=True)
        self.name_of_node = name
        self._fleet = fleet
        self._truth: Truth = fleet.truth
        self._herds = herds
        self._visitor = visitor
        self._findings = findings
        self.served = Served()
        self.weights: dict[int, list[Weight]] = {}
        """Life -> what its process weighed."""
        self.over = threading.Event()
        self._life = 0
        """That which has answered already; before it does, it starts."""
        self._usd = 0
        self._shown: dict[AgentId, int] = {}
        """Agent -> the epoch of its node in which it was shown."""

    def run(self) -> None:
        """Until `over`."""
        rounds = 0
        while not self.over.wait(EVERY):
            before = self._now()
            if not before.running or before.stopped or before.leaving:
                continue
            carried = self.carried()
            body, took = self._ask(before)
            if body is not None and self._now() == before:
                self.look(msgspec.json.decode(body, type=FleetView), took, before.life, carried)
            rounds += 1
            if rounds % WEIGHED_EVERY == 0:
                weight = weigh(self._fleet.pid(self.name_of_node), time.monotonic())
                if weight is not None and self._now() == before:
                    self.weights.setdefault(before.life, []).append(weight)

    def close(self) -> None:
        """End it."""
        self.over.set()
        self.join()

    def _now(self) -> Now:
        return self._truth.now(self.name_of_node)

    def _ask(self, before: Now) -> tuple[bytes | None, float]:
        """The view, and how long it took. That there is none is held against a node that has served in this life, and
        that nothing was done to meanwhile."""
        began = time.monotonic()
        try:
            token = self._visitor.token()
            began = time.monotonic()
            body = self._visitor.view(token)
        except MeshfleetError as error:
            if self._now() == before and self._life == before.life:
                self.served.failed.append(f"{time.monotonic() - began:.1f} s: {error}")
            return None, 0.0
        return body, time.monotonic() - began

    def carried(self) -> dict[AgentId, str]:
        """Who works now, and was told to the present life of which node."""
        return {agent.id: herd.node for herd in self._herds.values() for agent in herd.living()}

    def look(self, view: FleetView, took: float, life: int, carried: Mapping[AgentId, str]) -> None:
        """Whether this can be true, after what was shown before. `carried` was so before it was asked for."""
        me = next((node for node in view.nodes if node.name == self.name_of_node), None)
        if me is None:
            return self._findings.add(f"{self.name_of_node} does not show itself")
        self._truth.has_epoch(self.name_of_node, life, me.epoch)
        if life != self._life:
            self._life, self._usd, self._shown = life, 0, {}
        else:
            self.served.took.append(took)
        self._look_at_money(view)
        self._look_at_agents(view, carried)

    def _look_at_money(self, view: FleetView) -> None:
        known = round((view.totals.period.cost_usd or 0.0) * MICRO)
        spent = sum(herd.micro_usd() for herd in self._herds.values())
        if known > spent:
            self._findings.add(f"{self.name_of_node} knows of {known} micro-USD, and {spent} were spent")
        if known < self._usd:
            self._findings.add(f"{self.name_of_node} knew of {self._usd} micro-USD, and then of {known}")
        self._usd = known

    def _look_at_agents(self, view: FleetView, carried: Mapping[AgentId, str]) -> None:
        there = {agent.agent_id for agent in view.agents}
        own = self._herds[self.name_of_node]
        for agent in own.living(for_s=PATIENCE):
            if agent.id not in there:
                self._findings.add(f"{self.name_of_node} does not show {agent.id}, which it carries")
        living = {agent: node for agent, node in self.carried().items() if agent in carried}
        epochs = {str(node.name): node.epoch for node in view.nodes}
        for agent_id, epoch in self._shown.items():
            carrier = living.get(agent_id)
            if carrier is not None and epochs.get(carrier) == epoch and agent_id not in there:
                self._findings.add(f"{self.name_of_node} has lost {agent_id}")
        self._shown = {agent.agent_id: agent.epoch for agent in view.agents}
