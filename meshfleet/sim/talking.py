"""What agents say and how often: each in turn, more while `chatter` holds, one last word as a process ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.sim.agents import exited, working
from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from random import Random

    from meshfleet.sim.faults import Chatter
    from meshfleet.sim.host import Host
    from meshfleet.sim.scenario import FleetPlan
    from meshfleet.sim.staging import Theatre


class Talking:
    """The agents of one run."""

    def __init__(self, plan: FleetPlan, rng: Random) -> None:
        self._rng = rng
        self._agents_per_node = plan.agents_per_node
        self._usual_us = round(plan.update_every * MICROSECONDS)
        self._exited: set[str] = set()
        self._bodies: dict[str, bytes] = {}
        self._every_us: dict[str, int] = {}
        """Of those that say more than usual."""
        self._turns: dict[str, int] = {}
        """Which series of changes of an agent's goes on: one that another has replaced ends."""
        self.world: Theatre

    def begin(self, host: Host) -> None:
        """A node's process began a life: its agents report."""
        for i in range(self._agents_per_node):
            agent = f"{host.name}/a{i}"
            if agent not in self._every_us:
                self._bodies[agent] = working(agent)
            self._in_time(host, agent)

    def chatter(self, host: Host, agent: str, fault: Chatter) -> None:
        """It changes oftener from now on."""
        self._every_us[agent] = round(fault.every * MICROSECONDS)
        self._bodies[agent] = working(agent, fault.size)
        self._again(host, agent)

    def hush(self, host: Host, agent: str) -> None:
        """As often as usual again."""
        del self._every_us[agent]
        self._bodies[agent] = working(agent)
        self._again(host, agent)

    def _again(self, host: Host, agent: str) -> None:
        self._turns[agent] = self._turns.get(agent, 0) + 1
        self._in_time(host, agent)

    def _in_time(self, host: Host, agent: str) -> None:
        """At a moment of its own, so that agents that begin together do not speak together."""
        first = round(self._rng.random() * self._every_us.get(agent, self._usual_us))
        self.world.after(first, self._update, host, host.epoch, agent, self._turns.get(agent, 0))

    def _update(self, host: Host, epoch: int, agent: str, turn: int) -> None:
        if host.epoch != epoch or agent in self._exited or turn != self._turns.get(agent, 0):
            return
        self.world.publish(host, agent, self._bodies[agent])
        every = self._every_us.get(agent, self._usual_us)
        self.world.after(round(every * self._rng.uniform(0.9, 1.1)), self._update, host, epoch, agent, turn)

    def exit(self, host: Host, agent: str, code: int) -> None:
        """Its process ends."""
        self._exited.add(agent)
        self._tell_exit(host, agent, exited(agent, code))

    def _tell_exit(self, host: Host, agent: str, body: bytes) -> None:
        """Its node reports it, as soon as it runs."""
        if host.listens:
            self.world.publish(host, agent, body)
        elif agent in self._exited and host.running:
            self.world.after(500_000, self._tell_exit, host, agent, body)

    def restart(self, host: Host, agent: str) -> None:
        """Its process starts again."""
        self._exited.discard(agent)
        self.world.after(1, self._update, host, host.epoch, agent, self._turns.get(agent, 0))
