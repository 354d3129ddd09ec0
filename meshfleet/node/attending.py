"""Agents that push their own state: noticing that they are gone, and letting them go when they have been for long.

An agent that crashes says nothing. But it told which process it is, and that process's end can be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import trio

from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.logs import get_logger
from meshfleet.node.process import Process, parse, this_process
from meshfleet.node.viewing import rfc3339
from meshfleet.node.witness import watch as end_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.view import AgentView

LOOK_EVERY = 30.0
"""Seconds between two looks for agents that exited long ago."""

log = get_logger("meshfleet.node")


class Carrier(Protocol):
    """The node, as far as it is needed here."""

    def own_agents(self) -> tuple[AgentView, ...]:
        """The agents that this node carries."""
        ...

    def publish(self, state: AgentState) -> None:
        """Spread an agent's state."""
        ...

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent."""
        ...


class _Watch(NamedTuple):
    """A process that is watched, and the wait for its end."""

    process: Process
    scope: trio.CancelScope


class Attending:
    """Watches the processes of agents that push."""

    def __init__(self, carrier: Carrier, wall: Callable[[], float], exited_shown: float = 3_600.0) -> None:
        self._carrier = carrier
        self._wall = wall
        self.exited_shown = exited_shown
        """Seconds for which an agent that exited is still carried."""
        self._me = this_process()
        self._watched: dict[AgentId, _Watch] = {}
        self._exited_since: dict[AgentId, float] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._watched.clear()
            while True:
                await trio.sleep(LOOK_EVERY)
                self._let_go()

    def attend(self, agent_id: AgentId, process: str) -> None:
        """Watch `process` for `agent_id`, if it is one of this machine. A repetition changes nothing."""
        told = parse(process)
        if told is None or self._me is None or told.machine != self._me.machine or self._nursery is None:
            return
        before = self._watched.get(agent_id)
        if before is not None:
            if before.process == told:
                return
            before.scope.cancel()  # it goes on in another process
        elif len(self._watched) >= AGENTS_LIMIT:
            self._forget()
            if len(self._watched) >= AGENTS_LIMIT:
                return
        self._watched[agent_id] = watch = _Watch(told, trio.CancelScope())
        self._nursery.start_soon(self._wait_for_end, agent_id, watch)

    async def _wait_for_end(self, agent_id: AgentId, watch: _Watch) -> None:
        ended = False
        with watch.scope:
            ended = await end_of(watch.process)
        if self._watched.get(agent_id) is not watch:
            return
        del self._watched[agent_id]
        state = next((a.state for a in self._carrier.own_agents() if a.agent_id == agent_id), None)
        if ended and state is not None and state.status is not Status.EXITED:
            log.info("an agent's process ended without a word", agent=agent_id, pid=watch.process.pid)
            self._carrier.publish(
                msgspec.structs.replace(
                    state,
                    status=Status.EXITED,
                    timestamp=rfc3339(self._wall()),
                    active_tool=None,
                    active_tool_since=None,
                    note="its process ended",
                )
            )

    def _let_go(self) -> None:
        now = trio.current_time()
        exited = [a.agent_id for a in self._carrier.own_agents() if a.state.status is Status.EXITED]
        self._exited_since = {agent: self._exited_since.get(agent, now) for agent in exited}
        for agent, since in self._exited_since.items():
            if now - since >= self.exited_shown:
                self._carrier.withdraw(agent)
        self._forget()

    def _forget(self) -> None:
        """Watch nobody any more who is not carried: a program that lives long has agents that come and go."""
        carried = {agent.agent_id for agent in self._carrier.own_agents()}
        for agent in self._watched.keys() - carried:
            self._watched.pop(agent).scope.cancel()
