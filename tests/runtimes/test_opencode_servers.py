"""opencode's servers, followed over real sockets."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.state import Status
from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.opencode.reading import watch_opencode
from meshfleet.runtimes.settings import RuntimesSettings
from tests.runtimes.serving import Stub
from tests.runtimes.test_opencode import CHILD, NOW, PARENT, PERMISSION, answer, busy, event, stream
from tests.runtimes.writing import Living, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


class Watched:
    """A node's runtimes, and a server that they follow."""

    def __init__(self) -> None:
        self.stub = Stub()
        self.sink = Recorder()
        self.counts: Counter[str] = Counter()
        self.stub.answers = {
            "/global/health": {"healthy": True, "version": "1.18.33"},
            "/config/providers": answer("providers.json"),
            "/session": [],
            "/session/status": {},
            "/permission": [],
            "/question": [],
        }
        self.stub.streams["/global/event"] = []

    @asynccontextmanager
    async def running(self, *more: str, password: str | None = None) -> AsyncIterator[Watched]:
        async with self.stub.running(), trio.open_nursery() as nursery:
            desk = Desk(self.counts)

            async def agents() -> None:
                settings = RuntimesSettings()
                await watch_agents(
                    self.sink, host="box", settings=settings, wall=lambda: NOW, table=Living(), desk=desk
                )

            async def servers() -> None:
                urls = [self.stub.url, *more]
                await watch_opencode(desk, urls, password=password, counts=self.counts, wall=lambda: NOW)

            nursery.start_soon(agents)
            nursery.start_soon(servers)
            yield self
            nursery.cancel_scope.cancel()

    async def until(self, agent: str, holds: Callable[[Status], bool]) -> None:
        await self.sink.until(lambda now: agent in now and holds(now[agent].status))


def sse(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


async def test_what_a_server_streams_is_published_and_no_canary_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "meshfleet")
    async with Watched().running() as watched:
        await watched.stub.until("/global/event")
        for name in ("permission.sse", "sub-session.sse"):
            assert b"CANARY" in answer(name)
            for data in stream(name):
                watched.stub.stream("/global/event", sse(data))
        await watched.until(f"box/opencode-{PARENT[-8:]}", lambda status: status is Status.ERROR)
        await watched.until(f"box/opencode-{CHILD[-8:]}", lambda status: status is Status.IDLE)
    now = watched.sink.now
    assert {agent.rpartition("-")[2] for agent in now} == {PERMISSION[-8:], PARENT[-8:], CHILD[-8:]}
    child = now[f"box/opencode-{CHILD[-8:]}"]
    assert child.parent == f"box/opencode-{PARENT[-8:]}"
    assert (child.tokens_in, child.tokens_out, child.cost_usd) == (14_500, 180, 0.0219)
    assert child.context_pct == 5.9  # 7,560 of 128,000
    assert child.sources["cost_usd"] == child.sources["tokens_in"] == "reported:opencode"
    said = msgspec.json.encode(watched.sink.states).decode() + caplog.text
    assert "canary" not in said.lower()
    assert "/home" not in said


async def test_a_server_that_ends_takes_its_sessions_with_it() -> None:
    agent = f"box/opencode-{PARENT[-8:]}"
    async with Watched().running() as watched:
        await watched.stub.until("/global/event")
        watched.stub.stream("/global/event", sse(busy()))
        await watched.until(agent, lambda status: status is Status.WORKING)
        await watched.stub.end()
        await watched.until(agent, lambda status: status is Status.EXITED)


async def test_sessions_that_began_before_we_listened_are_found() -> None:
    watched = Watched()
    watched.stub.answers["/session"] = answer("sessions-running.json")
    watched.stub.answers["/session/status"] = answer("status-running.json")
    watched.stub.answers[f"/session/{CHILD}/message"] = answer("messages-running.json")
    async with watched.running():
        await watched.sink.until(lambda now: len(now) == 2)
        await watched.until(f"box/opencode-{CHILD[-8:]}", lambda status: status is Status.TOOL)
        await watched.until(f"box/opencode-{PARENT[-8:]}", lambda status: status is Status.WORKING)


async def test_an_older_server_without_the_wide_stream_is_heard_on_the_narrow_one() -> None:
    watched = Watched()
    watched.stub.streams = {"/event": [sse(busy())]}
    for path in ("/permission", "/question"):
        watched.stub.statuses[path] = 404
    async with watched.running():
        await watched.until(f"box/opencode-{PARENT[-8:]}", lambda status: status is Status.WORKING)


async def test_a_password_is_shown_and_a_lack_of_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    async with watched.running(password="CANARY"):
        await watched.stub.until("/session")
    assert all(b"Authorization: Basic b3BlbmNvZGU6Q0FOQVJZ" in head for head in watched.stub.heads)
    watched = Watched()
    watched.stub.statuses["/global/health"] = 401
    async with watched.running():
        await watched.stub.until("/global/health")
        with trio.fail_after(5):
            while "OPENCODE_SERVER_PASSWORD" not in caplog.text:
                await trio.lowlevel.checkpoint()
    assert watched.stub.asked == ["/global/health"]


async def test_whatever_else_serves_on_that_port_is_left_alone() -> None:
    watched = Watched()
    watched.stub.answers = {"/global/health": b"<html>CANARY</html>"}
    async with watched.running("http://127.0.0.1:9"):
        await watched.stub.until("/global/health")
    assert watched.stub.asked == ["/global/health"]


async def test_a_session_that_two_servers_list_is_told_of_by_the_one_that_runs_it() -> None:
    other = Watched()
    other.stub.answers["/session"] = answer("sessions-done.json")
    agent = f"box/opencode-{PARENT[-8:]}"
    async with other.stub.running(), Watched().running(other.stub.url) as watched:
        await watched.until(agent, lambda status: status is Status.IDLE)
        await watched.stub.until("/global/event")
        watched.stub.stream("/global/event", sse(busy()))
        await watched.until(agent, lambda status: status is Status.WORKING)
        looks = sum(each.startswith("/session?") for each in other.stub.asked)
        other.stub.answers["/session"] = answer("sessions-running.json")  # the parent has changed there, too
        other.stub.stream("/global/event", sse(event("session.status", CHILD, status={"type": "busy"})))
        await other.stub.cut("/global/event")  # so that it is looked at once more
        await other.stub.until("/session", looks + 1)
        await watched.until(f"box/opencode-{CHILD[-8:]}", lambda status: status is not Status.IDLE)
        assert watched.sink.now[agent].status is Status.WORKING
