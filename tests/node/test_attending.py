"""Agents that push: their exit is kept for a while, and their process's end is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.node.attending import LOOK_EVERY, Attending
from meshfleet.node.process import process_of, this_process
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


async def test_a_program_that_has_had_many_agents_has_its_newest_watched(mock_clock: MockClock) -> None:
    node = Carried()
    attending = Attending(node, wall=lambda: 0.0)
    me = this_process()
    assert me is not None
    child = await trio.lowlevel.open_process([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    its = process_of(child.pid)
    assert its is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attending.run)
        await trio.testing.wait_all_tasks_blocked()
        before = open_descriptors()
        for number in range(AGENTS_LIMIT):
            node.agents = [agent(f"a{number}")]
            attending.attend(AgentId(f"a{number}"), str(me))
        await trio.testing.wait_all_tasks_blocked()
        node.agents = [agent("newest")]
        attending.attend(AgentId("newest"), str(its))
        await trio.testing.wait_all_tasks_blocked()
        assert open_descriptors() == before + 1
        attending.attend(AgentId("newest"), str(me))
        attending.attend(AgentId("newest"), str(its))
        await trio.testing.wait_all_tasks_blocked()
        assert open_descriptors() == before + 1
        child.kill()
        await child.wait()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert child.stdin is not None
    await child.stdin.aclose()
    assert [(each.agent_id, each.status) for each in node.published] == [("newest", Status.EXITED)]


async def test_who_is_withdrawn_is_not_watched_any_more(mock_clock: MockClock) -> None:
    node = Carried(agent("a"), agent("b"))
    attending = Attending(node, wall=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attending.run)
        await trio.testing.wait_all_tasks_blocked()
        before = open_descriptors()
        for name in ("a", "b"):
            attending.attend(AgentId(name), str(this_process()))
        await trio.testing.wait_all_tasks_blocked()
        node.withdraw(AgentId("a"))
        mock_clock.jump(LOOK_EVERY)
        await trio.testing.wait_all_tasks_blocked()
        assert open_descriptors() == before + 1
        nursery.cancel_scope.cancel()


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))
