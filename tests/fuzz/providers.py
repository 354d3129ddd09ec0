"""What model providers send: headers of rate limits, and the counts at the end of an answer of Ollama's."""

from __future__ import annotations

from hypothesis import strategies as st

from meshfleet.proxy.watching import OllamaCounts
from meshfleet.runtimes.ratelimits import read_rate_limits

NOW = 1_795_608_000.0

HEADS = (
    b"anthropic-ratelimit-requests-limit: 1000\nanthropic-ratelimit-requests-remaining: 620\n"
    b"anthropic-ratelimit-requests-reset: 2026-11-25T12:00:30Z",
    b"anthropic-ratelimit-unified-5h-utilization: 0.42\nanthropic-ratelimit-unified-5h-reset: 1795616000",
    b"x-ratelimit-limit-tokens: 200\nx-ratelimit-remaining-tokens: -1\nx-ratelimit-reset-tokens: 1h2m3.5s",
    b"x-codex-primary-used-percent: 38\nx-codex-primary-window-minutes: 300\n"
    b"retry-after: Wed, 25 Nov 2026 12:05:00 GMT",
)
ANSWERS = (
    b'{"model":"m","response":"x","done":false}\n{"model":"m","done":true,"prompt_eval_count":3,"eval_count":4}\n',
    b'{"done":true,"eval_count":4,"context":[1,2,3]}',
)


def limits(data: bytes) -> None:
    """Headers of an answer, one a line; whoever reads heads takes no more of them."""
    lines = (line.partition(b":") for line in data.split(b"\n", 100))
    read_rate_limits(
        ((name.decode("latin1"), value.decode("latin1")) for name, _, value in lines), key="k", now=NOW, status=429
    )


def counts(data: bytes) -> None:
    """An answer that comes in two pieces."""
    found = OllamaCounts()
    found.feed(data[: len(data) // 2])
    found.feed(data[len(data) // 2 :])
    found.end()


heads: st.SearchStrategy[bytes] = st.sampled_from(HEADS)
answers: st.SearchStrategy[bytes] = st.sampled_from(ANSWERS)
