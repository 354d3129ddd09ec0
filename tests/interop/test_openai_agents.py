"""The OpenAI Agents SDK, with a model of a script: `meshfleet.openai_agents.instrument()`."""

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

agents = pytest.importorskip("agents", reason="openai-agents is not installed: pip install 'meshfleet[interop]'")

from agents.items import ModelResponse  # noqa: E402 - skipped where it is not there
from agents.models.interface import Model  # noqa: E402 - the same
from agents.tracing import generation_span  # noqa: E402 - the same
from agents.usage import Usage  # noqa: E402 - the same
from openai.types.responses import (  # noqa: E402 - the same
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from openai.types.responses.response_usage import InputTokensDetails  # noqa: E402 - the same

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _listened_to() -> None:
    agents.set_trace_processors([])  # not to OpenAI
    meshfleet.openai_agents._installed.clear()
    assert meshfleet.openai_agents.instrument() is not None
    assert meshfleet.openai_agents.instrument() is None  # once is enough


def message(text: str) -> ResponseOutputMessage:
    part = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[part], role="assistant", status="completed", type="message")


class Scripted(Model):  # type: ignore[misc]  # the SDK is not followed by the type checker
    """Calls `bash` first, and then answers."""

    def __init__(self, *, spans: bool) -> None:
        self._spans = spans
        self._asked = 0

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        self._asked += 1
        counts = (10_000, 4_000, 100) if self._asked == 1 else (12_000, 10_000, 50)
        usage = Usage(
            requests=1,
            input_tokens=counts[0],
            output_tokens=counts[2],
            total_tokens=counts[0] + counts[2],
            input_tokens_details=InputTokensDetails(cached_tokens=counts[1], cache_write_tokens=0),
        )
        if self._spans:
            with generation_span(model="gpt-5", input=[{"content": CANARY}]) as span:
                span.span_data.usage = {
                    "input_tokens": counts[0],
                    "output_tokens": counts[2],
                    "input_tokens_details": {"cached_tokens": counts[1]},
                }
        call = ResponseFunctionToolCall(
            arguments=f'{{"command": "{CANARY}"}}', call_id="c", name="bash", type="function_call"
        )
        output = call if self._asked == 1 else message(CANARY)
        return ModelResponse(output=[output], usage=usage, response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def agent_with_tool(stage: Stage, *, spans: bool) -> Any:
    async def bash(command: str) -> str:
        assert command == CANARY
        return await asyncio.to_thread(stage.tool)

    return agents.Agent(
        name="Test Reviewer",
        instructions=CANARY,
        model=Scripted(spans=spans),
        tools=[agents.function_tool(bash, use_docstring_info=False)],
    )


async def test_every_figure_is_right_and_the_tool_is_seen_while_it_runs(stage: Stage) -> None:
    agent = agent_with_tool(stage, spans=True)
    state = await stage.play(lambda: asyncio.run(agents.Runner.run(agent, CANARY)))
    # 10,000 + 12,000 in, 100 + 50 out, 4,000 + 10,000 from the cache; turns and the task tell them again.
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (22_000, 150, 14_000)
    # gpt-5, USD per million: 1.25 fresh, 0.125 cached, 10 out. 6,000 x 1.25 + 4,000 x 0.125 + 100 x 10 = 0.009;
    # 2,000 x 1.25 + 10,000 x 0.125 + 50 x 10 = 0.00425.
    assert state.cost_usd == pytest.approx(0.01325, abs=1e-9)
    assert (state.model, state.runtime) == ("gpt-5", "openai-agents")
    assert (state.context_tokens, state.context_limit, state.context_pct) == (12_000, 400_000, 3.0)
    assert "/Test-Reviewer-" in state.agent_id
    assert (state.sources["tokens_in"], state.sources["cost_usd"]) == ("reported:openai-agents", "priced")


async def test_a_model_of_ones_own_that_makes_no_spans_is_counted_by_its_turns(stage: Stage) -> None:
    agent = agent_with_tool(stage, spans=False)
    state = await stage.play(lambda: asyncio.run(agents.Runner.run(agent, CANARY)))
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (22_000, 150, 14_000)
    assert (state.model, state.cost_usd, state.context_limit) == (None, None, None)  # nobody says which model


async def test_an_agent_that_is_handed_over_to_is_another_one(stage: Stage) -> None:
    class HandsOver(Scripted):
        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            call = ResponseFunctionToolCall(
                arguments="{}", call_id="h", name="transfer_to_second", type="function_call"
            )
            return ModelResponse(
                output=[call], usage=Usage(requests=1, input_tokens=5, output_tokens=1), response_id=None
            )

    second = agent_with_tool(stage, spans=True)
    second.name = "second"
    first = agents.Agent(name="first", model=HandsOver(spans=False), handoffs=[second])
    stage.seen.set()
    await trio.to_thread.run_sync(lambda: asyncio.run(agents.Runner.run(first, CANARY)))
    with trio.fail_after(PATIENCE):
        await stage.until(lambda state: "/first-" in state.agent_id and state.tokens_in == 5)
        await stage.until(lambda state: "/second-" in state.agent_id and state.tokens_in == 22_000)
