"""Agents that push: their exit is kept for a while, and their process's end is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AgentState, Status
from meshfleet.node.attending import LOOK_EVERY, Attending
from meshfleet.node.process import this_process
from tests.fleet.test_merge import agent
from tests.node.meshing import state

if TYPE_CHECKING:
    from trio.testing import MockClock

    from meshfleet.fleet.view import AgentView


class Carried:
    """What a node carries, by hand."""

    def __init__(self, *agents: AgentView) -> None:
        self.agents = list(agents)
        self.published: list[AgentState] = []

    def own_agents(self) -> tuple[AgentView, ...]:
        return tuple(self.agents)

    def publish(self, state: AgentState) -> None:
        self.published.append(state)

    def withdraw(self, agent_id: AgentId) -> None:
        self.agents = [a for a in self.agents if a.agent_id != agent_id]


async def test_an_agent_that_exited_is_let_go_after_its_time_and_the_others_are_not(autojump_clock: MockClock) -> None:
    node = Carried(agent("gone", status=Status.EXITED), agent("here"))
    attending = Attending(node, wall=lambda: 0.0, exited_shown=600.0)
    with trio.move_on_after(600.0 - LOOK_EVERY):
        await attending.run()
    assert len(node.agents) == 2
    with trio.move_on_after(600.0 + 3 * LOOK_EVERY):
        await attending.run()
    assert [a.agent_id for a in node.agents] == ["here"]


async def test_a_process_of_another_machine_is_not_watched(autojump_clock: MockClock) -> None:
    node = Carried(agent("a"))
    attending = Attending(node, wall=lambda: 0.0)
    me = this_process()
    assert me is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attending.run)
        await trio.testing.wait_all_tasks_blocked()
        for nonsense in ("", "x", "elsewhere:1:2", f"{me.machine}:999999999:1"):
            attending.attend(AgentId("a"), nonsense)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert node.published == []
    assert state("a").status is Status.WORKING
