"""LangGraph, with a chat model of a script: `meshfleet.langchain.instrument()`, and the handler by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import meshfleet
from tests.interop.conftest import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.conftest import Stage

langgraph = pytest.importorskip("langgraph", reason="langgraph is not installed: pip install 'meshfleet[interop]'")

from langchain_core.language_models.chat_models import BaseChatModel  # noqa: E402 - skipped where it is not there
from langchain_core.messages import AIMessage, ToolMessage  # noqa: E402 - the same
from langchain_core.outputs import ChatGeneration, ChatResult  # noqa: E402 - the same
from langchain_core.tools import tool  # noqa: E402 - the same
from langchain_core.tracers import context  # noqa: E402 - the same
from langgraph.graph import START, MessagesState, StateGraph  # noqa: E402 - the same
from langgraph.prebuilt import ToolNode, tools_condition  # noqa: E402 - the same

pytestmark = pytest.mark.filterwarnings("ignore")


class Scripted(BaseChatModel):  # type: ignore[misc]  # langchain-core is not followed by the type checker
    """Calls `bash` first, and then answers."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[Any], stop: Any = None, run_manager: Any = None, **others: Any) -> ChatResult:
        first = not any(isinstance(message, ToolMessage) for message in messages)
        counts = (50_000, 1_000, 20) if first else (60_000, 50_000, 30)
        answer = AIMessage(
            content=CANARY,
            tool_calls=[{"name": "bash", "args": {"command": CANARY}, "id": "c"}] if first else [],
            usage_metadata={
                "input_tokens": counts[0],
                "output_tokens": counts[2],
                "total_tokens": counts[0] + counts[2],
                "input_token_details": {"cache_read": counts[1]},
            },
            response_metadata={"model_name": "claude-sonnet-4-5-20250929"},
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])


def graph(stage: Stage) -> Any:
    @tool
    def bash(command: str) -> str:
        """Run a command."""
        assert command == CANARY
        return stage.tool()

    def ask(state: MessagesState) -> dict[str, list[Any]]:
        return {"messages": [Scripted().invoke(state["messages"])]}

    made = StateGraph(MessagesState)
    made.add_node("ask", ask)
    made.add_node("tools", ToolNode([bash]))
    made.add_edge(START, "ask")
    made.add_conditional_edges("ask", tools_condition)
    made.add_edge("tools", "ask")
    return made.compile(name="reviewer")


@pytest.fixture
def installed() -> Iterator[None]:
    hooks = list(context._configure_hooks)
    meshfleet.langchain._installed.clear()
    assert meshfleet.langchain.instrument() is not None
    assert meshfleet.langchain.instrument() is None  # once is enough
    yield
    context._configure_hooks[:] = hooks


def check(state: Any) -> None:
    # 50,000 + 60,000 in, 20 + 30 out, 1,000 + 50,000 from the cache.
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (110_000, 50, 51_000)
    # As worked out in test_pydantic_ai.py: 0.1476 + 0.04545, here by the list of prices.
    assert state.cost_usd == pytest.approx(0.19305, abs=1e-9)
    assert (state.model, state.runtime) == ("claude-sonnet-4-5-20250929", "langgraph")
    assert (state.context_tokens, state.context_limit, state.context_pct) == (60_000, 200_000, 30.0)
    assert "/reviewer-" in state.agent_id
    assert (state.sources["tokens_in"], state.sources["cost_usd"]) == ("reported:langchain", "priced")


@pytest.mark.usefixtures("installed")
async def test_every_run_of_the_process_is_seen_with_its_tool(stage: Stage) -> None:
    made = graph(stage)
    check(await stage.play(lambda: made.invoke({"messages": [("user", CANARY)]})))


@pytest.mark.usefixtures("installed")
async def test_and_the_same_on_an_event_loop(stage: Stage) -> None:
    made = graph(stage)
    check(await stage.play(lambda: asyncio.run(made.ainvoke({"messages": [("user", CANARY)]}))))


async def test_a_handler_by_hand_sees_the_run_that_it_was_given_to(stage: Stage) -> None:
    made, handler = graph(stage), meshfleet.langchain.callbacks()
    check(await stage.play(lambda: made.invoke({"messages": [("user", CANARY)]}, config={"callbacks": [handler]})))


@pytest.mark.usefixtures("installed")
async def test_with_both_a_run_is_counted_once_for_each(stage: Stage) -> None:
    made, model = graph(stage), Scripted()
    assert made.invoke is not None
    state_in = {"messages": [("user", CANARY)]}
    state = await stage.play(lambda: made.invoke(state_in))
    check(state)
    model.invoke(CANARY)  # outside of any graph: the program's own, not the reviewer's
    latest = [a.state for a in stage.node.fleet().agents if "/reviewer-" in a.state.agent_id]
    assert [a.tokens_in for a in latest] == [110_000]
