"""What the real CLIs sent of a turn with one tool, against a stand-in for their models' APIs, to the digit.

Its Nth answer has, in this order, N = 1 and 2:

    Claude Code   N * 100 fresh, N * 1,000 written, N * 2,000 read, 50 + N out
    Codex         N * 10,000 in, of which N * 4,000 cached; N * 100 out
    Gemini CLI    N * 5,000 in, of which N * 1,000 cached; N * 40 out; N * 10 thoughts
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.dialects import WANTED
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.usage import Usage

from .writing import DATA, Ear

if TYPE_CHECKING:
    from pathlib import Path

CLAUDE_LOGS, CLAUDE_METRICS = "claude-code-2.1.197.logs", "claude-code-2.1.197.metrics"
SUBAGENTS = tuple(f"claude-code-2.1.197-subagents-{part}" for part in ("1.metrics", "2.metrics", "3.logs"))
CODEX_LOGS = "codex-0.169.0.logs"
GEMINI_LOGS, GEMINI_METRICS = "gemini-cli-0.61.0.logs", "gemini-cli-0.61.0.metrics"

CLAUDE_USED = Usage(fresh=300, cache_read=6_000, cache_write=3_000, output=103)
GEMINI_USED = Usage(fresh=12_000, cache_read=3_000, output=150)


def ear() -> Ear:
    """On the machine where it was recorded, with the real prices."""
    made = Ear("box", "vm", tariff=Prices)
    made.now = 1_795_660_000.0
    return made


async def test_claude_codes_events_have_tokens_cost_model_and_context() -> None:
    heard = ear()
    await heard.recorded(CLAUDE_LOGS)
    told = heard.only()
    assert told.usage == CLAUDE_USED
    # What it printed itself as total_cost_usd: 0.005415 + 0.01008.
    assert told.cost == pytest.approx(0.015495, abs=1e-12)
    assert (told.cost_source, told.usage_source) == ("reported:otlp", "reported:otlp")
    assert (told.model, told.agent, told.host) == ("claude-sonnet-4-5", "box/mine", None)
    # The newest prompt: 200 + 4,000 + 2,000.
    assert (told.context_tokens, told.context_limit) == (6_200, 200_000)
    assert (told.status, told.open_ended) == (Status.WORKING, True)


async def test_claude_codes_metrics_have_the_same_sums() -> None:
    heard = ear()
    await heard.recorded(CLAUDE_METRICS)
    told = heard.only()
    assert told.usage == CLAUDE_USED
    assert told.cost == pytest.approx(0.015495, abs=1e-12)
    assert told.cost_source == "reported:otlp metrics"
    assert told.context_tokens is None


@pytest.mark.parametrize("names", [SUBAGENTS[2:], SUBAGENTS[:2], SUBAGENTS])
async def test_claude_codes_sub_agents_count_for_their_session_and_are_not_its_context(names: tuple[str, ...]) -> None:
    """One answer of the session, ten of its sub-agents, one more of the session: N = 1 to 12, whose sum is 78."""
    heard = ear()
    await heard.recorded(*names)
    told = heard.only()
    # 78 * 100, 78 * 2,000, 78 * 1,000, and 12 * 50 + 78.
    assert told.usage == Usage(fresh=7_800, cache_read=156_000, cache_write=78_000, output=678)
    # By the metrics 0.005415 + 0.130455 + 0.18027 + 0.05673; the same as 7,800 at 3, 156,000 at 0.3, 78,000 at 3.75 and
    # 678 at 15 dollars a million: 0.0234 + 0.0468 + 0.2925 + 0.01017.
    assert told.cost == pytest.approx(0.37287, abs=1e-12)
    # The session's own newest prompt is N = 12.
    assert told.context_tokens == (37_200 if names[-1] == SUBAGENTS[-1] else None)


async def test_codex_events_have_tokens_model_and_context() -> None:
    heard = ear()
    await heard.recorded(CODEX_LOGS)
    told = heard.only()
    assert told.session == "01a2152e-f4f6-72c0-98f4-d499ff010e10"
    # 30,000 in, of which 12,000 cached.
    assert told.usage == Usage(fresh=18_000, cache_read=12_000, output=300)
    # gpt-5-codex: 18,000 at 1.25 + 12,000 at 0.125 + 300 at 10 dollars a million = 0.0225 + 0.0015 + 0.003.
    assert told.cost == pytest.approx(0.027, abs=1e-12)
    assert told.cost_source == "priced"
    # As Codex counts: the newest answer's 20,000 + 200.
    assert (told.model, told.context_tokens) == ("gpt-5-codex", 20_200)
    assert told.usage_source == "reported:otlp"


@pytest.mark.parametrize("names", [(GEMINI_LOGS,), (GEMINI_METRICS,), (GEMINI_LOGS, GEMINI_METRICS)])
async def test_gemini_clis_events_and_metrics_say_the_same_and_are_not_added(names: tuple[str, ...]) -> None:
    heard = ear()
    await heard.recorded(*names)
    told = heard.only()
    assert told.usage == GEMINI_USED
    # gemini-2.5-pro: 12,000 at 1.25 + 3,000 at 0.125 + 150 at 10 dollars a million = 0.015 + 0.000375 + 0.0015.
    assert told.cost == pytest.approx(0.016875, abs=1e-12)
    assert told.model == "gemini-2.5-pro"
    assert (told.context_limit, told.context_limit_source) == (1_048_576, "inferred:gemini-cli")
    assert told.context_tokens == (10_000 if GEMINI_LOGS in names else None)


async def test_everything_that_one_run_sent_is_one_session_counted_once() -> None:
    for used, names in (
        (CLAUDE_USED, (CLAUDE_LOGS, CLAUDE_METRICS, "claude-code-2.1.197.traces")),
        (GEMINI_USED, (GEMINI_METRICS, GEMINI_LOGS, "gemini-cli-0.61.0.traces")),
        (Usage(fresh=18_000, cache_read=12_000, output=300), (CODEX_LOGS, "codex-0.169.0.metrics")),
    ):
        heard = ear()
        await heard.recorded(*names)
        assert heard.only().usage == used


@pytest.mark.parametrize("place", sorted(DATA.glob("*.json")), ids=lambda place: place.stem)
async def test_no_canary_gets_past_the_decoders(place: Path) -> None:
    heard = ear()
    await heard.recorded(place.stem)
    said = msgspec.json.encode([(key, *heard.desk.records(key).values()) for key in sorted(heard.desk.keys())]).decode()
    assert "canary" not in said.lower()
    assert "/home" not in said


def test_the_recordings_are_full_of_canaries() -> None:
    texts = [place.read_text() for place in sorted(DATA.glob("*.json")) if "codex-0.169.0.metrics" not in place.name]
    assert len(texts) == 10
    assert all("canary" in text for text in texts)


def test_nothing_that_could_be_content_is_on_the_list() -> None:
    taken = WANTED.resource | WANTED.record
    for content in (
        *("prompt", "response", "arguments", "output", "tool_input", "tool_parameters", "body", "error", "message"),
        *(
            "process.command_args",
            "process.command",
            "process.command_line",
            "process.owner",
            "process.executable.path",
        ),
        *("user.email", "user.id", "user.account_uuid", "organization.id", "installation.id", "cwd", "full_command"),
        *(
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.system_instructions",
            "gen_ai.tool.call.arguments",
        ),
        *("gen_ai.tool.call.result", "gen_ai.prompt", "gen_ai.completion", "input.value", "output.value"),
    ):
        assert content not in taken
    for name in taken:
        assert not name.endswith((".messages", ".arguments", ".result", ".content", ".value", ".text", ".path"))


def test_recordings_are_whole_requests() -> None:
    for place in DATA.glob("*.json"):
        assert list(json.loads(place.read_text())) in (["resourceLogs"], ["resourceMetrics"], ["resourceSpans"])
