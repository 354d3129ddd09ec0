"""`@meshfleet.agent`, `with agent.tool(...)`, `agent.used(...)`: from plain code, asyncio and Trio alike."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import trio

import meshfleet
from meshfleet.embed.crew import CREW, Crew, fit
from meshfleet.embed.fields import state_of
from meshfleet.embed.quiet import failed
from meshfleet.embed.work import failure_of
from meshfleet.fleet.state import Status
from tests.embed.test_agent import served, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet import Agent
    from meshfleet.fleet.state import AgentState

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_NODE", NOBODY)


def now(agent: Agent) -> AgentState:
    """What would be sent."""
    return state_of(agent.agent_id, "python", agent._said)


def doing(agent: Agent) -> tuple[str, str | None]:
    told = now(agent)
    return told.status.value, told.active_tool


def test_a_tool_shows_while_its_block_runs_and_the_oldest_of_several() -> None:
    agent = meshfleet.Agent("box/a")
    with agent.tool("bash"):
        since = now(agent).active_tool_since
        with agent.tool("grep"):
            assert doing(agent) == ("tool", "bash")
            assert now(agent).active_tool_since == since
    assert doing(agent) == ("working", None)


def test_the_same_tool_twice_has_two_clocks() -> None:
    agent = meshfleet.Agent("box/a")
    first, second = agent.tool("bash"), agent.tool("bash")
    first.__enter__()
    second.__enter__()
    agent._activity._open[second] = type(agent._activity._open[second])(agent._activity._open[second].kind, "bash", 9.0)
    first.__exit__(None, None, None)
    assert now(agent).active_tool_since == "1970-01-01T00:00:09.000Z"
    second.__exit__(None, None, None)


async def test_a_decorated_function_is_working_in_a_call_and_idle_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, go_on = trio.Event(), trio.Event()

    @meshfleet.agent("box/reviewer", model="claude-sonnet-4-5", project="shop")
    async def review(what: str, *, times: int) -> str:
        """Reviews."""
        async with meshfleet.current().tool("bash"):
            at_work.set()
            await go_on.wait()
        meshfleet.current().used(input=18_200, output=950)
        return what * times

    async with served() as (node, url), trio.open_nursery() as nursery:
        monkeypatch.setenv("MESHFLEET_NODE", url)
        said: list[str] = []

        async def call() -> None:
            said.append(await review("ab", times=2))

        nursery.start_soon(call)
        await at_work.wait()
        await shown(node, "box/reviewer", active_tool="bash")
        go_on.set()
        state = await shown(node, "box/reviewer", status=Status.IDLE, tokens_in=18_200)
        # 18,200 x 3 + 950 x 15 USD per million
        assert state.cost_usd == pytest.approx(0.06885, abs=1e-9)
        assert (state.model, state.project, state.context_pct) == ("claude-sonnet-4-5", "shop", 9.1)
        assert state.sources["cost_usd"] == "priced"
    assert said == ["abab"]
    assert (review.__name__, review.__doc__) == ("review", "Reviews.")


def test_plain_functions_and_asyncio_too() -> None:
    @meshfleet.agent("box/plain")
    def plain() -> tuple[str, str | None]:
        return doing(meshfleet.current())

    @meshfleet.agent("box/aio")
    async def aio() -> tuple[str, str | None]:
        with meshfleet.current().tool("bash"):
            return doing(meshfleet.current())

    assert plain() == ("working", None)
    assert asyncio.run(aio()) == ("tool", "bash")
    assert [doing(CREW._agents[name]) for name in ("box/plain", "box/aio")] == [("idle", None)] * 2


def test_an_exception_passes_through_untouched_and_shows_until_the_next_run() -> None:
    class RateLimitError(Exception):
        pass

    @meshfleet.agent("box/a")
    def fails(kind: type[BaseException]) -> None:
        raise kind("mine")

    for kind, status in ((KeyError, "error"), (RateLimitError, "rate_limited"), (SystemExit, "idle")):
        with pytest.raises(kind, match="mine"):
            fails(kind)
        assert doing(CREW._agents["box/a"]) == (status, None)


def test_a_block_is_a_run_as_a_call_is() -> None:
    reviewer = meshfleet.agent("box/a")
    with reviewer as agent:
        assert meshfleet.current() is agent
        with reviewer as again:
            assert again is agent
        assert doing(agent) == ("working", None)
    assert doing(agent) == ("idle", None)
    assert meshfleet.current() is not agent


def test_runs_side_by_side_belong_to_their_own_agents() -> None:
    @meshfleet.agent("box/a")
    async def one(barrier: asyncio.Barrier) -> str:
        await barrier.wait()
        return meshfleet.current().agent_id

    @meshfleet.agent("box/b")
    async def other(barrier: asyncio.Barrier) -> str:
        await barrier.wait()
        return meshfleet.current().agent_id

    async def both() -> list[str]:
        barrier = asyncio.Barrier(3)
        return list(await asyncio.gather(one(barrier), other(barrier), one(barrier)))

    assert asyncio.run(both()) == ["box/a", "box/b", "box/a"]


def test_outside_of_all_agents_what_is_said_is_said_to_nobody() -> None:
    with meshfleet.current().tool("bash"):
        meshfleet.current().used(input=1, output=1, model="m")
    assert meshfleet.current()._thread is None


def test_requests_add_up_and_the_newest_fills_the_context() -> None:
    agent = meshfleet.Agent("box/a", model="claude-sonnet-4-5")
    agent.used(input=50_000, cache_read=1_000, output=20)
    agent.used(input=60_000, cache_read=50_000, output=30)
    told = now(agent)
    assert (told.tokens_in, told.tokens_out, told.tokens_cache_read) == (110_000, 50, 51_000)
    assert (told.context_tokens, told.context_pct) == (60_000, 30.0)
    assert told.cost_usd == pytest.approx(0.1476 + 0.04545, abs=1e-9)  # as in tests/interop/test_pydantic_ai.py
    assert now(agent).cost_usd == told.cost_usd  # sent again, not added again


def test_an_input_that_left_its_cache_out_gets_it_put_in() -> None:
    agent = meshfleet.Agent("box/a")
    agent.used(input=600, cache_read=8_000, cache_write=18_000, output=154, model="claude-sonnet-4-5")
    # What Claude Code itself says of these counts: 0.07401 USD.
    assert now(agent).tokens_in == 26_600
    assert now(agent).cost_usd == pytest.approx(0.07401, abs=1e-9)


def test_a_cost_that_is_known_is_taken_and_one_that_is_not_makes_the_sum_unknown() -> None:
    agent = meshfleet.Agent("box/a")
    agent.used(input=10, output=1, cost=0.25, model="homemade-7")
    assert (now(agent).cost_usd, now(agent).sources["cost_usd"]) == (0.25, "reported:library")
    agent.used(input=10, output=1, model="homemade-7")
    assert now(agent).cost_usd is None
    assert "cost_usd" not in now(agent).sources


def test_what_the_agent_says_of_itself_goes_before_what_is_worked_out() -> None:
    agent = meshfleet.Agent("box/a", model="claude-sonnet-4-5", context_limit=100_000)
    agent.used(input=50_000, output=1)
    assert (now(agent).context_limit, now(agent).context_pct) == (100_000, 50.0)
    assert now(agent).sources["context_limit"] == "reported:agent"


@pytest.mark.parametrize("count", [-1, 2**60, True, 1.5, "many", None, float("nan")])
def test_what_is_no_count_is_left_out(count: object) -> None:
    agent = meshfleet.Agent("box/a")
    agent.used(input=count, output=7, cost=count)  # type: ignore[arg-type]  # the mistake is the point
    assert (now(agent).tokens_in, now(agent).tokens_out) == (None, 7)


def test_while_no_state_is_sent_requests_wait_in_bounds_and_the_cost_is_unknown() -> None:
    agent = meshfleet.Agent("box/a", model="claude-sonnet-4-5")
    for _ in range(1_100):
        agent.used(input=1, output=1)
    assert len(agent._tally._unpriced) == 1_024
    assert (now(agent).tokens_in, now(agent).cost_usd) == (1_100, None)


def test_what_begins_and_never_ends_is_bounded() -> None:
    agent = meshfleet.Agent("box/a")
    for _ in range(2_000):
        agent.tool("bash").__enter__()
    assert len(agent._activity._open) == 1_024


def test_an_error_of_ours_ends_here_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = meshfleet.Agent("box/a")

    def broken(*args: object) -> None:
        raise RuntimeError("CANARY")

    monkeypatch.setattr(agent._activity, "begin", broken)
    with agent.tool("bash"):
        pass
    assert failed == {"Agent.begin": 1}


def test_a_crew_is_bounded_and_the_longest_idle_goes_first() -> None:
    crew = Crew(limit=2)
    busy, idle = crew.get("busy", own=False), crew.get("idle", own=False)
    assert busy is not None
    assert idle is not None
    with busy.run():
        third = crew.get("third", own=False)
        assert third is not None
        assert (idle.over, busy.over) == (True, False)
        with third.run():
            assert crew.get("fourth") is None
    assert failed["crew_full"] == 1
    assert crew.get("third", own=False) is third
    third.close()
    assert crew.get("third", own=False) is not third  # who has exited comes back as a new one
    crew.finish()


def test_threads_that_work_side_by_side_lose_nothing() -> None:
    agent = meshfleet.Agent("box/a")

    def work() -> None:
        for _ in range(200):
            with agent.run(), agent.tool("bash"):
                agent.used(input=2, output=1, model="m")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (now(agent).tokens_in, now(agent).tokens_out, doing(agent)) == (1_600, 800, ("idle", None))


def test_a_generator_that_the_collector_ends_while_the_lock_is_held_does_no_harm() -> None:
    agent = meshfleet.Agent("box/a")

    def steps() -> Iterator[int]:
        with agent.tool("bash"):
            yield 1

    made = steps()
    next(made)
    with agent._lock:
        del made
        gc.collect()
    assert doing(agent) == ("working", None)


def test_names_are_made_fit_for_ids() -> None:
    assert fit("Test Reviewer (v2)") == "Test-Reviewer-v2"
    assert fit("../../etc/passwd") == "etc-passwd"
    assert fit("…") == "agent"


@pytest.mark.parametrize(
    ("name", "status"),
    [("CancelledError", None), ("ValueError", Status.ERROR), ("429", Status.RATE_LIMITED), (None, None)],
)
def test_what_an_error_comes_to(name: str | None, status: Status | None) -> None:
    assert failure_of(name) is status


def test_a_forked_child_makes_agents_of_its_own() -> None:
    story = (
        "import meshfleet, os\n"
        "from meshfleet.embed.crew import CREW\n"
        "from meshfleet.embed.following import Following, Kind\n"
        "following = Following('x')\n"
        "following.begin(1, None, Kind.RUN, agent='a')\n"
        "parent = following.agent_of(1).agent_id\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    following.end(1); following.begin(2, None, Kind.RUN, agent='a')\n"
        "    os.write(write, following.agent_of(2).agent_id.encode()); os._exit(0)\n"
        "os.wait(); child = os.read(read, 200).decode()\n"
        "print(parent.rpartition('-')[0] == child.rpartition('-')[0], parent != child)\n"
    )
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", story], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert said.stdout.split() == ["True", "True"]
