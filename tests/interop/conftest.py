"""Real libraries, offline, with models that answer from a script; beside a real node that shows what they do."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.embed.crew import CREW
from meshfleet.embed.quiet import failed
from meshfleet.fleet.state import AgentState, Status
from tests.embed.test_agent import PATIENCE, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.node.node import Node

CANARY = "CANARY-1f3c"
"""Stands in every prompt, argument, answer and result of these tests, and must be in nothing that is sent."""


@dataclass
class Stage:
    """A node, what agents of this process sent it, and a tool that runs until it was seen."""

    node: Node
    sent: list[bytes]
    seen: threading.Event = field(default_factory=threading.Event)

    def tool(self) -> str:
        """What a tool of an agent does: wait until the test has seen it run."""
        assert self.seen.wait(PATIENCE)
        return CANARY

    async def play(self, run: Callable[[], object]) -> AgentState:
        """Run an agent's program in a thread, see its tool run, and then what it came to."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, run)
            with trio.fail_after(PATIENCE):
                tool = await self.until(lambda state: state.status is Status.TOOL)
            assert tool.active_tool == "bash"
            assert tool.active_tool_since is not None
            self.seen.set()
        with trio.fail_after(PATIENCE):
            return await self.until(lambda state: state.status is Status.IDLE and bool(state.tokens_out))

    async def until(self, holds: Callable[[AgentState], bool]) -> AgentState:
        """The first state of any agent of which that holds."""
        while True:
            for agent in self.node.fleet().agents:
                if holds(agent.state):
                    return agent.state
            await self.node.changed(self.node.version())


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    sent: list[bytes] = []
    request = http.client.HTTPConnection.request

    def recorded(self: http.client.HTTPConnection, method: str, url: str, body: bytes, headers: dict[str, str]) -> None:
        sent.append(repr((url, headers)).encode() + body)
        request(self, method, url, body, headers)

    monkeypatch.setattr(http.client.HTTPConnection, "request", recorded)
    CREW.finish()
    failed.clear()
    async with served() as (node, url):
        monkeypatch.setenv("MESHFLEET_NODE", url)
        yield Stage(node, sent)
        CREW.finish()
    assert sent
    assert [body for body in sent if CANARY.encode() in body] == []
    assert not failed
