"""An agent's own word, from asyncio, Trio and threads, through a real node; and never in the agent's way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

import meshfleet
from meshfleet.embed.fields import Said, state_of
from meshfleet.embed.mailbox import Mailbox
from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address, AgentId
from meshfleet.fleet.state import AgentState, Status
from meshfleet.node.certificate import for_http
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.node.trust import seeded
from meshfleet.serve import serve
from tests.node.meshing import FLEET, config, owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meshfleet.node.node import Node

PATIENCE = 30.0


@asynccontextmanager
async def served(port: int = 0) -> AsyncIterator[tuple[Node, str]]:
    """A node that serves, and its base URL."""
    async with open_node(config("n1")) as node, trio.open_nursery() as nursery:
        node.accounting.tell_every = 0.0  # no test waits for the sake of a few bytes
        base_url: str = await nursery.start(
            serve, node, Readers(node.keyring, None, time.time), Address("127.0.0.1", port)
        )
        yield node, base_url
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def served_over_tls(folder: Path) -> AsyncIterator[tuple[Node, str, KeyFile]]:
    """A node that serves with a certificate of its own and knows API keys: also its base URL and its keys."""
    keys = KeyFile(folder)
    tls = for_http("own", folder, ["127.0.0.1"], datetime.now(UTC))
    async with open_node(config("n1")) as node, trio.open_nursery() as nursery:
        start = partial(serve, tls=tls)
        readers = Readers(node.keyring, keys, time.time)
        yield node, await nursery.start(start, node, readers, Address("127.0.0.1", 0)), keys
        nursery.cancel_scope.cancel()


async def test_an_agent_of_another_machine_reports_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served_over_tls(tmp_path) as (node, url, keys):
        monkeypatch.setenv("MESHFLEET_CA", str(tmp_path / "http.crt"))
        key = keys.create(Scope.AGENT, "build", "").text()
        async with meshfleet.Agent("far/a", node=url, key=key) as agent:
            agent.update(note="hello")
            await shown(node, "far/a", note="hello")
        monkeypatch.setenv("MESHFLEET_API_KEY", key)
        async with meshfleet.Agent("far/b", node=url) as agent:
            agent.update(note="hello")
            await shown(node, "far/b", note="hello")


async def test_a_readers_key_speaks_for_no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served_over_tls(tmp_path) as (node, url, keys):
        monkeypatch.setenv("MESHFLEET_CA", str(tmp_path / "http.crt"))
        agent = meshfleet.Agent("far/a", node=url, key=keys.create(Scope.READ, "grafana", "").text()).start()
        with trio.fail_after(PATIENCE):
            while not agent.counts["refused"]:
                await trio.lowlevel.checkpoint()
        await trio.to_thread.run_sync(agent.close)
        assert node.fleet().agents == ()


async def shown(node: Node, agent_id: str, **fields: object) -> AgentState:
    """Until `node` shows the agent with these fields."""
    with trio.fail_after(PATIENCE):
        while True:
            for agent in node.fleet().agents:
                if agent.agent_id == agent_id and all(getattr(agent.state, k) == v for k, v in fields.items()):
                    return agent.state
            await node.changed(node.version())


async def test_what_an_agent_says_under_trio_is_shown_until_it_exits() -> None:
    async with served() as (node, url):
        async with meshfleet.Agent("box/reviewer", model="claude-sonnet-4-5", node=url) as agent:
            agent.update(status="tool", active_tool="bash", tokens_in=1_200)
            state = await shown(node, "box/reviewer", status=Status.TOOL)
            assert (state.active_tool, state.tokens_in, state.model) == ("bash", 1_200, "claude-sonnet-4-5")
            assert state.active_tool_since is not None
            agent.update(status="working", active_tool=None)
            state = await shown(node, "box/reviewer", status=Status.WORKING)
            assert (state.active_tool, state.active_tool_since, state.tokens_in) == (None, None, 1_200)
        state = await shown(node, "box/reviewer", status=Status.EXITED)
        assert state.exit_code == 0


async def test_each_agent_of_a_process_is_a_session_of_its_own_and_its_tokens_count() -> None:
    async with served() as (node, url):
        for jobs in (1, 2, 3):
            async with meshfleet.Agent("box/reviewer", node=url) as agent:
                agent.used(input=1_000, output=10)
            with trio.fail_after(PATIENCE):
                while node.fleet().totals.period.tokens_in != jobs * 1_000:
                    await node.changed(node.version())


async def test_from_asyncio_and_from_a_plain_thread_alike() -> None:
    async def under_asyncio(url: str) -> None:
        async with meshfleet.Agent("box/aio", node=url) as agent:
            agent.update(status="working")

    def in_a_thread(url: str) -> None:
        with meshfleet.Agent("box/thread", node=url) as agent:
            agent.update(status="working")

    async with served() as (node, url):
        await trio.to_thread.run_sync(lambda: asyncio.run(under_asyncio(url)))
        await trio.to_thread.run_sync(in_a_thread, url)
        await shown(node, "box/aio", status=Status.EXITED)
        await shown(node, "box/thread", status=Status.EXITED)


async def test_an_exception_passes_through_untouched_and_shows_as_exit_code_1() -> None:
    async with served() as (node, url):
        with pytest.raises(KeyError, match="mine"):
            async with meshfleet.Agent("box/a", node=url):
                raise KeyError("mine")
        assert (await shown(node, "box/a", status=Status.EXITED)).exit_code == 1


async def test_a_node_that_comes_later_is_told_the_newest_state_only() -> None:
    async with served() as (_, url):
        pass  # its port is free again
    agent = meshfleet.Agent("box/a", node=url).start()
    for count in range(1_000):
        agent.update(status="working", tokens_in=count)
    async with served(int(url.rpartition(":")[2])) as (node, _):
        await shown(node, "box/a", tokens_in=999)
        assert agent.counts["sent"] < 20
        assert agent.counts["unsent"] >= 1
        await trio.to_thread.run_sync(agent.close)


async def test_a_crash_is_seen_by_the_process_s_end() -> None:
    story = (
        "import meshfleet, sys\n"
        "a = meshfleet.Agent('box/a', node=sys.argv[1]).start()\n"
        "a.update(status='working'); input()"
    )
    async with served() as (node, url):
        process = await trio.lowlevel.open_process([sys.executable, "-c", story, url], stdin=subprocess.PIPE)
        await shown(node, "box/a", status=Status.WORKING)
        process.kill()
        await process.wait()
        state = await shown(node, "box/a", status=Status.EXITED)
        assert (state.exit_code, state.note) == (None, "its process ended")
        assert process.stdin is not None
        await process.stdin.aclose()


@pytest.mark.parametrize(
    ("end", "code"), [("pass", None), ("import sys; sys.exit(3)", None), ("raise KeyError('mine')", 1)]
)
async def test_the_end_of_the_interpreter_is_a_goodbye_that_claims_no_success(end: str, code: int | None) -> None:
    story = f"import meshfleet, sys; meshfleet.Agent('box/a', node=sys.argv[1]).start().update(status='working'); {end}"
    async with served() as (node, url):
        await trio.run_process([sys.executable, "-c", story, url], check=False, capture_stderr=True)
        state = await shown(node, "box/a", status=Status.EXITED)
        assert (state.exit_code, state.note) == (code, None)


async def test_a_forked_child_says_nothing_in_its_parents_name() -> None:
    story = (
        "import meshfleet, os, sys\n"
        "a = meshfleet.Agent('box/a', node=sys.argv[1]).start()\n"
        "a.update(status='working', note='parent')\n"
        "if os.fork() == 0:\n"
        "    a.update(note='child'); a.close(7); os._exit(0)\n"
        "os.wait(); a.update(status='idle'); a.close(3)\n"
    )
    async with served() as (node, url):
        await trio.run_process([sys.executable, "-W", "ignore", "-c", story, url])
        state = await shown(node, "box/a", status=Status.EXITED)
        assert (state.note, state.exit_code) == ("parent", 3)


async def test_a_member_in_the_agent_s_own_process_is_part_of_the_fleet() -> None:
    async with open_node(config("n1")) as node:
        agent = meshfleet.Agent(
            "box/inside", member=True, join=(str(node.address),), identity=seeded(FLEET, "inside", time.time())
        )
        agent.start()
        agent.update(status="working")
        await shown(node, "box/inside", status=Status.WORKING)
        assert len(node.fleet().nodes) == 2
        await trio.to_thread.run_sync(agent.close)
        await shown(node, "box/inside", status=Status.EXITED)


async def test_a_member_in_the_agent_s_own_process_enters_by_invitation(tmp_path: Path) -> None:
    async with open_node(owner("n1")) as node:
        for kept in (None, tmp_path, tmp_path):  # the third time it is a member already, and the line used up
            line = await node.office.invite("agent", 60.0, 1)
            agent = meshfleet.Agent(
                "box/kept" if kept else "box/passing", member=True, invite=line, state_dir=kept
            ).start()
            agent.update(status="working")
            await shown(node, agent.agent_id, status=Status.WORKING)
            await trio.to_thread.run_sync(agent.close)
            await shown(node, agent.agent_id, status=Status.EXITED)
            assert agent._thread is not None
            await trio.to_thread.run_sync(agent._thread.join)  # which lets go of the state dir
        assert len(node.office.keys().nodes) == 3
        assert (tmp_path / "node.crt").exists()


def test_nonsense_is_counted_and_never_raised(caplog: pytest.LogCaptureFixture) -> None:
    agent = meshfleet.Agent("box/a", node="http://127.0.0.1:9")
    for _ in range(3):
        agent.update(**{"statsu": "working", "active_tool": "bash"})  # type: ignore[arg-type]  # the mistake is the point
    assert agent.counts["unknown_field"] == 3
    assert [r.message for r in caplog.records] == [
        "a field is not one of an agent's state and is left out: fields=statsu"
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "dancing"},
        {"tokens_in": "many"},
        {"note": "x" * 5_000},
        {"model": object()},
        {"context_tokens": 10**400, "context_limit": 1},
    ],
)
async def test_a_value_of_the_wrong_kind_is_counted_and_the_next_good_one_is_shown(fields: dict[str, object]) -> None:
    async with served() as (node, url):
        agent = meshfleet.Agent("box/a", node=url).start()
        agent.update(**fields)  # type: ignore[arg-type]  # the mistake is the point
        with trio.fail_after(PATIENCE):
            while not agent.counts["invalid"]:
                await trio.lowlevel.checkpoint()
        agent.update(status="idle", tokens_in=1, note=None, model=None, context_tokens=None)
        await shown(node, "box/a", status=Status.IDLE)
        await trio.to_thread.run_sync(agent.close)


async def test_a_node_whose_name_is_none_is_no_end_and_the_next_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_NODE", "http://a..b:7879")
    agent = meshfleet.Agent("box/a").start()
    agent.update(status="working")
    with trio.fail_after(PATIENCE):
        while not agent.counts["unsent"]:
            await trio.lowlevel.checkpoint()
    async with served() as (node, url):
        monkeypatch.setenv("MESHFLEET_NODE", url)
        await shown(node, "box/a", status=Status.WORKING)
        await trio.to_thread.run_sync(agent.close)


def test_after_the_end_an_update_does_nothing() -> None:
    agent = meshfleet.Agent("box/a", node="http://127.0.0.1:9")
    with agent:
        pass
    agent.update(status="working")
    agent.close()
    assert agent.start()._thread is not None
    assert agent._said.fields["status"] == "exited"


def test_updates_from_many_threads_lose_nothing() -> None:
    agent = meshfleet.Agent("box/a", node="http://127.0.0.1:9")
    names = ["tokens_in", "tokens_out", "context_tokens", "context_limit"]

    def count(name: str) -> None:
        for i in range(500):
            agent.update(**{name: i})  # type: ignore[arg-type]  # a key drawn at run time

    threads = [threading.Thread(target=count, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [agent._said.fields[name] for name in names] == [499] * 4


def test_a_mailbox_holds_the_newest_alone() -> None:
    box: Mailbox[int] = Mailbox()
    assert box.wait(0) is None
    box.put(1)
    box.put(2)
    assert (box.wait(0), box.wait(0)) == (2, None)
    box.put(3)
    box.close()
    assert (box.wait(9), box.wait(9)) == (3, None)


def test_a_tool_keeps_its_clock_while_it_stays_the_same() -> None:
    agent = meshfleet.Agent("box/a", node="http://127.0.0.1:9")
    agent.update(active_tool="bash")
    began = agent._said.tool_since
    agent.update(active_tool="bash", tokens_in=1)
    assert agent._said.tool_since == began
    assert state_of("box/a", "python", Said({"status": "idle"}, 0.0, began)).active_tool_since is None


def test_the_agent_s_host_comes_first_in_its_id() -> None:
    assert meshfleet.Agent("reviewer").agent_id.endswith("/reviewer")
    assert AgentId(meshfleet.Agent("here/reviewer").agent_id) == "here/reviewer"


def test_the_way_through_a_node_brings_neither_trio_nor_sockets_of_ours() -> None:
    story = (
        "import sys, meshfleet; meshfleet.Agent('a').used(input=1, output=1)\n"
        "meshfleet.otel, meshfleet.openai_agents, meshfleet.langchain, meshfleet.httpx, meshfleet.agent('a')\n"
        "heavy = 'trio cryptography httpx opentelemetry genai_prices agents langchain_core starlette asyncio'.split()\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True, env={**os.environ})
    assert said.stdout.strip() == "[]"
