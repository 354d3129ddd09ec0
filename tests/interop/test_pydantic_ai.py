"""pydantic-ai, by its own spans: tokens, cost, model and the tool that runs, from `meshfleet.otel.instrument()`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import trio

import meshfleet
from tests.embed.test_agent import PATIENCE
from tests.interop.conftest import CANARY

if TYPE_CHECKING:
    from tests.interop.conftest import Stage

pydantic_ai = pytest.importorskip(
    "pydantic_ai", reason="pydantic-ai is not installed: pip install 'meshfleet[interop]'"
)
pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed: meshfleet[interop]")

from opentelemetry.sdk.trace import TracerProvider  # noqa: E402 - skipped where it is not there
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart  # noqa: E402 - the same
from pydantic_ai.models.function import FunctionModel  # noqa: E402 - the same
from pydantic_ai.models.instrumented import InstrumentationSettings  # noqa: E402 - the same
from pydantic_ai.usage import RequestUsage  # noqa: E402 - the same

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def instrumented() -> Any:
    provider = TracerProvider()
    assert meshfleet.otel.instrument(provider) is not None
    assert meshfleet.otel.instrument(provider) is None  # once is enough
    pydantic_ai.Agent.instrument_all(InstrumentationSettings(tracer_provider=provider, include_content=True))
    yield
    pydantic_ai.Agent.instrument_all(False)


def answers(messages: list[Any], info: Any) -> ModelResponse:
    if len(messages) == 1:
        usage = RequestUsage(input_tokens=50_000, cache_read_tokens=1_000, output_tokens=20)
        return ModelResponse(parts=[ToolCallPart("bash", {"command": CANARY})], usage=usage)
    usage = RequestUsage(input_tokens=60_000, cache_read_tokens=50_000, output_tokens=30)
    return ModelResponse(parts=[TextPart(CANARY)], usage=usage)


def agent_with_tool(stage: Stage, name: str = "reviewer", model: str = "claude-sonnet-4-5") -> Any:
    agent = pydantic_ai.Agent(FunctionModel(answers, model_name=model), name=name, system_prompt=CANARY)

    def bash(command: str) -> str:
        assert command == CANARY
        return stage.tool()

    agent.tool_plain(bash)
    return agent


@pytest.mark.usefixtures("instrumented")
async def test_every_figure_is_right_and_the_tool_is_seen_while_it_runs(stage: Stage) -> None:
    agent = agent_with_tool(stage)
    state = await stage.play(lambda: asyncio.run(agent.run(CANARY)))
    # 50,000 + 60,000 in, 20 + 30 out, 1,000 + 50,000 from the cache. `invoke_agent` sums them again: not counted.
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (110_000, 50, 51_000)
    # USD per million: 3 fresh, 0.30 cached, 15 out. First 49,000 x 3 + 1,000 x 0.3 + 20 x 15 = 0.1476;
    # second 10,000 x 3 + 50,000 x 0.3 + 30 x 15 = 0.04545.
    assert state.cost_usd == pytest.approx(0.19305, abs=1e-9)
    assert state.model == "claude-sonnet-4-5"
    # The newest request's 60,000 of the model's 200,000.
    assert (state.context_tokens, state.context_limit, state.context_pct) == (60_000, 200_000, 30.0)
    assert (state.runtime, state.active_tool) == ("pydantic-ai", None)
    assert state.agent_id.rpartition("/")[2].startswith("reviewer-")
    assert state.sources["tokens_in"] == "reported:otel"
    assert state.sources["cost_usd"] == "reported:library"
    assert state.sources["context_limit"] == "inferred:genai-prices"


@pytest.mark.usefixtures("instrumented")
async def test_a_model_that_nobody_lists_has_no_cost_and_no_window(stage: Stage) -> None:
    agent = agent_with_tool(stage, model="homemade-7")
    state = await stage.play(lambda: asyncio.run(agent.run(CANARY)))
    assert (state.model, state.tokens_in, state.context_tokens) == ("homemade-7", 110_000, 60_000)
    assert (state.cost_usd, state.context_limit, state.context_pct) == (None, None, None)


@pytest.mark.usefixtures("instrumented")
async def test_agents_that_run_side_by_side_are_told_apart(stage: Stage) -> None:
    reviewer, writer = agent_with_tool(stage), agent_with_tool(stage, "writer")

    async def both() -> None:
        await asyncio.gather(reviewer.run(CANARY), writer.run(CANARY), writer.run(CANARY))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: asyncio.run(both()))
        with trio.fail_after(PATIENCE):
            await stage.until(lambda state: "/reviewer-" in state.agent_id and state.active_tool == "bash")
            await stage.until(lambda state: "/writer-" in state.agent_id and state.active_tool == "bash")
        stage.seen.set()
    with trio.fail_after(PATIENCE):  # one run of 110,000, and two of them
        await stage.until(lambda state: "/reviewer-" in state.agent_id and state.tokens_in == 110_000)
        await stage.until(lambda state: "/writer-" in state.agent_id and state.tokens_in == 220_000)


@pytest.mark.usefixtures("instrumented")
async def test_an_agent_that_another_calls_as_a_tool_is_its_child(stage: Stage) -> None:
    inner = agent_with_tool(stage, "inner")
    outer = pydantic_ai.Agent(FunctionModel(asks_the_other, model_name="claude-sonnet-4-5"), name="outer")

    async def delegate() -> str:
        return str((await inner.run(CANARY)).output)

    outer.tool_plain(delegate)
    stage.seen.set()
    await trio.to_thread.run_sync(lambda: asyncio.run(outer.run(CANARY)))
    with trio.fail_after(PATIENCE):
        child = await stage.until(lambda state: "/inner-" in state.agent_id and state.tokens_in == 110_000)
        parent = await stage.until(lambda state: "/outer-" in state.agent_id and state.tokens_in == 7)
    assert child.parent == parent.agent_id


def asks_the_other(messages: list[Any], info: Any) -> ModelResponse:
    if len(messages) == 1:
        return ModelResponse(parts=[ToolCallPart("delegate", {})], usage=RequestUsage(input_tokens=3, output_tokens=1))
    return ModelResponse(parts=[TextPart(CANARY)], usage=RequestUsage(input_tokens=4, output_tokens=1))


@pytest.mark.usefixtures("instrumented")
async def test_a_run_that_fails_shows_as_an_error_and_raises_what_it_raised(stage: Stage) -> None:
    def fails(messages: list[Any], info: Any) -> ModelResponse:
        raise RuntimeError(CANARY)

    agent = pydantic_ai.Agent(FunctionModel(fails, model_name="claude-sonnet-4-5"), name="broken")

    def run() -> None:
        with pytest.raises(RuntimeError, match=CANARY):
            asyncio.run(agent.run(CANARY))

    await trio.to_thread.run_sync(run)
    with trio.fail_after(PATIENCE):
        await stage.until(lambda state: state.status.value == "error")


@pytest.mark.usefixtures("instrumented")
def test_without_a_node_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_NODE", "http://127.0.0.1:9")

    def answer(messages: list[Any], info: Any) -> ModelResponse:
        return ModelResponse(parts=[TextPart("well")])

    assert asyncio.run(pydantic_ai.Agent(FunctionModel(answer), name="alone").run("hello")).output == "well"
