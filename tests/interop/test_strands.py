"""strands-agents, by its own spans, which say what they are after they started: `meshfleet.otel.instrument()`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import meshfleet
from tests.interop.conftest import CANARY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.interop.conftest import Stage

strands = pytest.importorskip("strands", reason="strands-agents is not installed")
tracer = pytest.importorskip("strands.telemetry.tracer", reason="this strands-agents tells no spans")

from opentelemetry import trace  # noqa: E402 - skipped where it is not there
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402 - the same
from strands.models import Model  # noqa: E402 - the same

pytestmark = pytest.mark.filterwarnings("ignore")


class Scripted(Model):  # type: ignore[misc]  # strands is not followed by the type checker
    """Calls `bash` first, and then answers."""

    config = {"model_id": "claude-sonnet-4-5"}  # noqa: RUF012 - where strands looks for the name that its spans tell

    def update_config(self, **config: Any) -> None:
        pass

    def get_config(self) -> dict[str, str]:
        return self.config

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: list[Any], *args: Any, **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
        first = len(messages) == 1
        yield {"messageStart": {"role": "assistant"}}
        if first:
            yield {"contentBlockStart": {"start": {"toolUse": {"name": "bash", "toolUseId": "t"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": f'{{"command": "{CANARY}"}}'}}}}
        else:
            yield {"contentBlockDelta": {"delta": {"text": CANARY}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if first else "end_turn"}}
        # As Bedrock counts: without what the cache gave.
        fresh, read, out = (49_000, 1_000, 20) if first else (10_000, 50_000, 30)
        usage = {"inputTokens": fresh, "cacheReadInputTokens": read, "outputTokens": out}
        usage["totalTokens"] = fresh + read + out
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


async def test_every_figure_is_right_and_the_tool_is_seen_while_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    assert meshfleet.otel.instrument(provider) is not None
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(tracer, "_tracer_instance", None)

    @strands.tool
    def bash(command: str) -> str:
        """Run a command."""
        return stage.tool()

    agent = strands.Agent(model=Scripted(), tools=[bash], name="reviewer", callback_handler=None, system_prompt=CANARY)
    state = await stage.play(lambda: asyncio.run(agent.invoke_async(CANARY)))
    # 49,000 + 1,000 and 10,000 + 50,000 in, of which 51,000 from the cache; 20 + 30 out. `invoke_agent` sums them up.
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (110_000, 50, 51_000)
    # As worked out in test_pydantic_ai.py: 0.1476 + 0.04545, here by the list of prices.
    assert state.cost_usd == pytest.approx(0.19305, abs=1e-9)
    assert (state.model, state.context_pct, state.runtime) == ("claude-sonnet-4-5", 30.0, "strands")
    assert "/reviewer-" in state.agent_id
