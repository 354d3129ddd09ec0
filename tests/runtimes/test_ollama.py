"""Ollama's loaded models as agents, and the windows of models: against a server that speaks its documented JSON."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.fleet.state import Status
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.ollama import LONGEST_PAUSE, Own, own_figures, watch_ollama
from meshfleet.runtimes.record import Channel, SessionRecord, rfc3339
from meshfleet.runtimes.windows import Windows
from tests.runtimes.serving import Stub
from tests.runtimes.writing import T0, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGENT = "box/ollama-qwen3-coder:30b"


def loaded(model: str = "qwen3-coder:30b", *, until: float = T0 + 300, **more: object) -> dict[str, object]:
    """One model as `/api/ps` has it."""
    details = {"parent_model": "", "format": "gguf", "family": "qwen3moe", "families": ["qwen3moe"]}
    return {
        "name": model,
        "model": model,
        "size": 20_100_000_000,
        "digest": f"sha256:{model}",
        "details": {**details, "parameter_size": "30.5B", "quantization_level": "Q4_K_M"},
        "expires_at": rfc3339(until),
        "size_vram": 18_600_000_000,
        "context_length": 32_768,
        **more,
    }


SHOW = {
    "license": "CANARY",
    "modelfile": "FROM /home/canary/blob\nSYSTEM CANARY",
    "parameters": 'stop                           "CANARY"\nnum_ctx                        8192',
    "template": "CANARY",
    "system": "CANARY",
    "details": {"family": "qwen3moe"},
    "model_info": {"general.architecture": "qwen3moe", "qwen3moe.context_length": 262_144, "tokenizer.ggml.x": None},
    "capabilities": ["completion", "tools"],
}


class Local:
    """An Ollama, and who watches it."""

    def __init__(self, *models: dict[str, object]) -> None:
        self.stub = Stub()
        self.stub.answers = {"/api/ps": {"models": list(models)}, "/api/show": SHOW}
        self.sink = Recorder()
        self.windows = Windows()
        self.counts: Counter[str] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Local]:
        async with self.stub.running(), trio.open_nursery() as nursery:

            async def watch() -> None:
                await watch_ollama(
                    self.sink, self.stub.url, host="box", windows=self.windows, counts=self.counts, wall=lambda: T0
                )

            nursery.start_soon(watch)
            yield self
            nursery.cancel_scope.cancel()


async def test_a_loaded_model_is_an_agent_with_its_true_window() -> None:
    async with Local(loaded()).running() as local:
        await local.sink.until(lambda now: AGENT in now)
    state = local.sink.now[AGENT]
    assert (state.runtime, state.model, state.context_limit) == ("ollama", "qwen3-coder:30b", 32_768)
    assert state.sources == {
        "status": "inferred:loaded",
        "model": "reported:ollama",
        "context_limit": "reported:ollama",
    }
    assert state.status is Status.IDLE
    # T0 is 11:06:40, and it stays for 300 s.
    assert state.note == (
        "qwen3moe 30.5B Q4_K_M, 18.6 of 20.1 GB in VRAM, made for 262144 tokens, loaded until 11:11:40 UTC unless used"
    )
    unknown = (state.tokens_in, state.cost_usd, state.context_tokens, state.context_pct, state.active_tool)
    assert unknown == (None,) * 5
    assert local.windows.of("qwen3-coder:30b") == (32_768, "reported:ollama")


async def test_nothing_of_a_models_prompts_and_paths_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "meshfleet")
    async with Local(loaded(details={"family": "the canary model", "format": "/home/canary"})).running() as local:
        await local.sink.until(lambda now: AGENT in now)
    assert "canary" not in (msgspec.json.encode(local.sink.states).decode() + caplog.text).lower()


async def test_a_model_works_when_its_expiry_has_moved_and_goes_when_it_is_unloaded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with Local(loaded()).running() as local:
        await local.sink.until(lambda now: AGENT in now)
        local.stub.answers["/api/ps"] = {"models": [loaded(until=T0 + 400)]}
        await local.sink.until(lambda now: now[AGENT].status is Status.WORKING)
        assert local.sink.now[AGENT].sources["status"] == "inferred:its expiry moved"
        await local.sink.until(lambda now: now[AGENT].status is Status.IDLE)
        local.stub.answers["/api/ps"] = {"models": []}
        await local.sink.until(lambda now: AGENT not in now)
        assert local.windows.of("qwen3-coder:30b") is None
        assert sum(path == "/api/show" for path in local.stub.asked) == 1


async def test_when_ollama_ends_its_models_go(autojump_clock: trio.testing.MockClock) -> None:
    async with Local(loaded()).running() as local:
        await local.sink.until(lambda now: AGENT in now)
        await local.stub.end()
        await local.sink.until(lambda now: now == {})


async def test_a_late_answer_takes_no_model_away_but_three_in_a_row_do(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with Local(loaded()).running() as local:
        await local.sink.until(lambda now: AGENT in now)

        async def fails(times: int) -> None:
            before = local.stub.asked.count("/api/ps")
            local.stub.statuses["/api/ps"] = 503
            for number in range(times):
                await local.stub.until("/api/ps", before + number + 1)

        await fails(2)
        local.stub.answers["/api/ps"] = {"models": [loaded(until=T0 + 400)]}
        del local.stub.statuses["/api/ps"]
        await local.sink.until(lambda now: AGENT in now and now[AGENT].status is Status.WORKING)
        assert local.sink.withdrawn == []
        assert local.windows.of("qwen3-coder:30b") == (32_768, "reported:ollama")
        await fails(3)
        await local.sink.until(lambda now: now == {})
        assert local.windows.of("qwen3-coder:30b") is None


async def test_a_machine_without_ollama_is_asked_more_and_more_rarely(autojump_clock: trio.testing.MockClock) -> None:
    tries: list[float] = []

    class Nobody(Windows):
        def are(self, windows: object, source: str) -> None:
            tries.append(trio.current_time())

    sink, counts = Recorder(), Counter[str]()
    with trio.move_on_after(3_600):
        await watch_ollama(sink, "http://127.0.0.1:9", host="box", windows=Nobody(), counts=counts)
    # At once, then after 30, 60, 120, 240 s, and each 300 s: 5 + (3600 - 450) / 300 = 15.5.
    assert len(tries) == 15
    assert tries[-1] - tries[-2] == pytest.approx(LONGEST_PAUSE, abs=1)
    assert (sink.states, counts) == ([], Counter())


async def test_an_older_ollama_without_a_length_has_the_window_that_the_model_asks_for() -> None:
    async with Local(loaded(context_length=None)).running() as local:
        await local.sink.until(lambda now: AGENT in now)
    state = local.sink.now[AGENT]
    assert (state.context_limit, state.sources["context_limit"]) == (8_192, "inferred:num_ctx")


async def test_where_nothing_tells_the_window_is_unknown_and_the_nominal_one_no_substitute() -> None:
    local = Local(loaded(context_length=None))
    local.stub.answers["/api/show"] = {**SHOW, "parameters": None}
    async with local.running():
        await local.sink.until(lambda now: AGENT in now)
    assert local.sink.now[AGENT].context_limit is None
    assert local.windows.of("qwen3-coder:30b") is None


async def test_a_model_that_shows_nothing_is_shown_all_the_same() -> None:
    local = Local(loaded())
    local.stub.statuses["/api/show"] = 404
    async with local.running():
        await local.sink.until(lambda now: AGENT in now)
    assert local.sink.now[AGENT].context_limit == 32_768


@pytest.mark.parametrize(
    "bad", [b"<html>CANARY", b'{"models":3}', b'{"models":[{"name":3}]}', b'{"models":' + b"[" * 99_999]
)
async def test_an_answer_of_another_shape_is_counted(bad: bytes) -> None:
    local = Local()
    local.stub.answers["/api/ps"] = bad
    async with local.running():
        await local.stub.until("/api/ps")
        with trio.fail_after(5):
            while not local.counts["runtimes_bad_answers"]:
                await trio.lowlevel.checkpoint()
    assert local.sink.states == []


async def test_a_name_that_is_prose_is_not_shown() -> None:
    async with Local(loaded("the canary model"), loaded("hf.co/unsloth/Qwen3:Q4")).running() as local:
        await local.sink.until(lambda now: len(now) == 1)
    assert list(local.sink.now) == ["box/ollama-hf.co-unsloth-Qwen3:Q4"]
    assert local.counts["runtimes_bad_answers"] == 1


@pytest.mark.parametrize("bad", [b"x", b'{"model_info":3}', b'{"model_info":{"general.architecture":3}}'])
def test_figures_of_another_shape_are_unknown(bad: bytes) -> None:
    assert own_figures(bad) == Own()
    assert own_figures(json.dumps(SHOW).encode()) == Own(262_144, 8_192)


def session(model: str, limit: int | None = None, source: str | None = None) -> SessionRecord:
    return SessionRecord(
        runtime="codex", session="s", model=model, context_limit=limit, context_limit_source=source, context_tokens=500
    )


def test_an_agent_that_uses_a_local_model_by_name_gets_its_true_window() -> None:
    windows = Windows()
    windows.are({"gpt-oss:20b": 8_192, "llama3:latest": 4_096}, "reported:ollama")
    for name, limit in (
        ("gpt-oss:20b", 8_192),
        ("llama3", 4_096),
        ("ollama/llama3", 4_096),
        ("ollama_chat/llama3:latest", 4_096),
    ):
        told = windows.fill(merged({Channel.FILE: session(name)}))
        assert (told.record.context_limit, told.sources["context_limit"]) == (limit, "reported:ollama")
    guessed = windows.fill(merged({Channel.FILE: session("gpt-oss:20b", 258_400, "inferred:codex default")}))
    assert guessed.record.context_limit == 8_192
    said = windows.fill(merged({Channel.FILE: session("gpt-oss:20b", 16_384, "reported:rollout")}))
    assert said.record.context_limit == 16_384
    assert windows.fill(merged({Channel.FILE: session("gpt-5")})).record.context_limit is None


def test_what_a_source_no_longer_knows_is_unknown() -> None:
    windows = Windows()
    windows.are({f"m{number}": 1 for number in range(1000)}, "reported:ollama")
    assert windows.of("m255") is not None
    assert windows.of("m256") is None
    windows.are({}, "reported:another")
    assert windows.of("m0") == (1, "reported:ollama")
    windows.are({}, "reported:ollama")
    assert windows.of("m0") is None
