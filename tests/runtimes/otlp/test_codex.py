"""Codex' and Gemini CLI's telemetry: what each event means for its session."""

from __future__ import annotations

from typing import Any

import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.record import rfc3339
from meshfleet.runtimes.sessions import Key
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import T0, THREAD

from .writing import CODEX, CUMULATIVE, Ear, Json, counter, event, logs, metrics, point

GEMINI = Key("gemini-cli", "g-1")


def codex(name: str, at: float = T0, **said: Any) -> Json:
    own = event(f"codex.{name}", 0, conversation__id=THREAD, event__timestamp=rfc3339(at), model="m-200k", **said)
    return logs(own, resource={"service.name": "codex_exec"})


def completed(at: float, whole: int, cached: int, out: int) -> Json:
    said = {"input_token_count": str(whole), "cached_token_count": str(cached), "output_token_count": str(out)}
    return codex("sse_event", at, event__kind="response.completed", **said)


def gemini(name: str, at: float = T0, **said: Any) -> Json:
    return logs(event(f"gemini_cli.{name}", at, session__id="g-1", **said), resource={"service.name": "gemini-cli"})


async def test_codex_input_includes_the_cache_and_each_answer_counts_once() -> None:
    heard = Ear()
    await heard.hear(completed(T0, 1_000, 400, 20), completed(T0, 1_000, 400, 20), completed(T0 + 9, 1_500, 900, 5))
    # The answer that is told without figures is none.
    await heard.hear(codex("sse_event", T0 + 9, event__kind="response.completed"))
    told = heard.told(CODEX)
    assert told.usage == Usage(fresh=1_200, cache_read=1_300, output=25)
    assert (told.context_tokens, told.cost) == (1_505, 25.0)


@pytest.mark.parametrize(
    ("batch", "status", "tool"),
    [
        (codex("conversation_starts"), Status.STARTING, None),
        (codex("user_prompt"), Status.WORKING, None),
        (codex("tool_decision", decision="approved", tool_name="exec_command"), Status.TOOL, "exec_command"),
        (codex("tool_decision", decision="denied", tool_name="exec_command"), Status.WORKING, None),
        (codex("tool_result", success="false"), Status.WORKING, None),
        (codex("api_request", http__response__status_code="429"), Status.RATE_LIMITED, None),
        (codex("api_request", http__response__status_code=500), Status.ERROR, None),
    ],
)
async def test_codex_says_what_it_does(batch: Json, status: Status, tool: str | None) -> None:
    heard = Ear()
    await heard.hear(batch)
    told = heard.told(CODEX)
    assert (told.status, told.status_at, told.tool) == (status, T0, tool)


async def test_of_a_thread_heard_from_its_beginning_the_sums_are_whole() -> None:
    heard = Ear()
    await heard.hear(completed(T0 + 1, 10, 0, 1))
    assert (heard.told(CODEX).usage_source or "").startswith("reported:otlp since")
    await heard.hear(codex("conversation_starts"))
    assert heard.told(CODEX).usage_source == "reported:otlp"


async def test_gemini_clis_thoughts_are_output_and_its_tools_prompts_are_input() -> None:
    heard = Ear()
    said = {"input_token_count": 100, "cached_content_token_count": 30, "tool_token_count": 7}
    said |= {"output_token_count": 5, "thoughts_token_count": 11}
    await heard.hear(gemini("api_response", model="gemini-2.5-pro", **said))
    told = heard.told(GEMINI)
    assert told.usage == Usage(fresh=77, cache_read=30, output=16)
    assert (told.context_tokens, told.context_limit) == (100, 1_048_576)


async def test_an_errand_of_gemini_cli_is_no_context_of_its_session() -> None:
    heard = Ear()
    await heard.hear(gemini("api_response", input_token_count=100, model="gemini-2.5-pro", role="main"))
    await heard.hear(
        gemini("api_response", T0 + 1, input_token_count=9, model="gemini-2.5-flash", role="utility_router")
    )
    told = heard.told(GEMINI)
    assert (told.usage, told.context_tokens, told.model) == (Usage(fresh=109), 100, "gemini-2.5-pro")


async def test_gemini_clis_counters_have_counted_from_before_the_node_listened() -> None:
    heard = Ear()
    await heard.hear(gemini("api_response", T0, input_token_count=100, model="gemini-2.5-pro"))
    labels = {"session__id": "g-1", "type": "input", "model": "gemini-2.5-pro"}
    of_input = counter("gemini_cli.token.usage", CUMULATIVE, point(5_000, T0 - 900, T0 + 10, **labels))
    await heard.hear(metrics(of_input, resource={"service.name": "gemini-cli"}))
    told = heard.told(GEMINI)
    assert (told.usage, told.usage_source) == (Usage(fresh=5_000), "reported:otlp metrics")
    assert told.context_tokens == 100


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        (gemini("config"), Status.STARTING),
        (gemini("user_prompt"), Status.WORKING),
        (gemini("tool_call", success=True), Status.WORKING),
        (gemini("api_error", status_code=429), Status.RATE_LIMITED),
        (gemini("api_error", status_code=500), Status.ERROR),
    ],
)
async def test_gemini_cli_says_what_it_does(batch: Json, status: Status) -> None:
    heard = Ear()
    await heard.hear(batch)
    assert heard.told(GEMINI).status is status


async def test_a_compressed_chat_says_what_is_left() -> None:
    heard = Ear()
    await heard.hear(gemini("api_response", input_token_count=100, model="gemini-2.5-pro"))
    await heard.hear(gemini("chat_compression", T0 + 1, tokens_after=40))
    assert heard.told(GEMINI).context_tokens == 40
