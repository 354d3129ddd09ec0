"""A session told of by its transcript and by telemetry at once, on a real node: one agent, nothing counted twice."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.interop.test_otlp import node, state_of
from tests.runtimes.otlp.writing import logs, metrics, request, used
from tests.runtimes.writing import SESSION, answer, prompt

if TYPE_CHECKING:
    from tests.runtimes.otlp.writing import Json

pytestmark = pytest.mark.processes

AGENT = f"box/claude-{SESSION[:8]}"
MODEL = "claude-sonnet-4-5"


def export(url: str, signal: str, body: Json) -> None:
    """As an exporter does it."""
    done = httpx.post(f"{url}/otlp/v1/{signal}", json=body, trust_env=False)
    assert (done.status_code, done.json()) == (200, {})


def test_transcript_events_and_metrics_of_one_session_are_counted_once(tmp_path: Path) -> None:
    now = time.time() - 10
    figures: dict[str, Any] = {"fresh": 600, "write": 18_000, "read": 8_000, "out": 154}
    transcript = Path(os.environ["HOME"]) / ".claude" / "projects" / "-home-canary-shop" / f"{SESSION}.jsonl"
    transcript.parent.mkdir(parents=True)
    lines = [prompt(now), answer(now + 1, "a", model=MODEL, **figures), answer(now + 2, "b", model=MODEL, **figures)]
    transcript.write_bytes(b"".join(line + b"\n" for line in lines))
    # 600 at 3, 18,000 at 3.75, 8,000 at 0.3, 154 at 15 dollars a million: 0.0018 + 0.0675 + 0.0024 + 0.00231 = 0.07401.
    asked = [request(now + n, **figures, cost=0.07401, model=MODEL, event__sequence=n) for n in (1, 2)]
    kinds = {"input": 1_200, "cacheCreation": 36_000, "cacheRead": 16_000, "output": 308}
    sums = [used(kind, amount, now, now + 5, model=MODEL) for kind, amount in kinds.items()]
    with node(tmp_path) as url:
        for _ in range(2):  # and all of it twice, as exporters do that got no answer
            export(url, "logs", logs(*asked))
            export(url, "metrics", metrics(*sums))
        state = state_of(url, AGENT, tokens_out=308, cost_usd=0.14802)
    assert state.tokens_in == 53_200
    assert (state.context_tokens, state.context_limit) == (26_600, 200_000)
    assert state.sources["tokens_in"] == "reported:transcript"
    assert state.sources["cost_usd"] == "reported:otlp"
    assert json.dumps(state.sources).count("otlp") == 1
