"""Rate-limit headers of every provider, as they come and as they don't; and what a key is known by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.state import RateLimit
from meshfleet.runtimes.keyprint import fingerprint, key_of, provider_of
from meshfleet.runtimes.ratelimits import LIMITS, fullest_first, read_rate_limits

NOW = 1_795_608_000.0
READ = "2026-11-25T12:00:00.000Z"


def read(status: int = 200, **headers: str) -> list[tuple[str, float | None, str | None]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    told = read_rate_limits(named, key="k:1", now=NOW, status=status)
    assert {(limit.key, limit.read_at) for limit in told} <= {("k:1", READ)}
    return [(limit.window, limit.used_pct, limit.resets_at) for limit in told]


def test_anthropic_by_api_key() -> None:
    told = read(
        anthropic_ratelimit_requests_limit="1000",
        anthropic_ratelimit_requests_remaining="620",
        anthropic_ratelimit_requests_reset="2026-11-25T12:00:30Z",
        Anthropic_Ratelimit_Input_Tokens_Limit="40000",
        Anthropic_Ratelimit_Input_Tokens_Remaining="0",
        Anthropic_Ratelimit_Input_Tokens_Reset="2026-11-25T12:01:00Z",
    )
    assert told == [
        ("requests/min", 38.0, "2026-11-25T12:00:30.000Z"),
        ("input-tokens/min", 100.0, "2026-11-25T12:01:00.000Z"),
    ]


def test_anthropic_by_subscription() -> None:
    told = read(
        anthropic_ratelimit_unified_status="allowed",
        anthropic_ratelimit_unified_5h_utilization="0.42",
        anthropic_ratelimit_unified_5h_reset="1795616000",
        anthropic_ratelimit_unified_5h_status="allowed",
        anthropic_ratelimit_unified_7d_utilization="1.03",
        anthropic_ratelimit_unified_representative_claim="five_hour",
    )
    assert told == [("5h", 42.0, "2026-11-25T14:13:20.000Z"), ("7d", 103.0, None)]


@pytest.mark.parametrize(
    ("reset", "at"),
    [
        ("6m0s", "2026-11-25T12:06:00.000Z"),
        ("12ms", "2026-11-25T12:00:00.012Z"),
        ("1h2m3.5s", "2026-11-25T13:02:03.500Z"),
        ("0s", READ),
        ("59", "2026-11-25T12:00:59.000Z"),
        ("-1", None),
        ("6m soon", None),
        ("", None),
    ],
)
def test_openai_and_azure(reset: str, at: str | None) -> None:
    told = read(x_ratelimit_limit_tokens="200", x_ratelimit_remaining_tokens="150", x_ratelimit_reset_tokens=reset)
    assert told == [("tokens", 25.0, at)]


def test_azure_that_does_not_know_says_nothing() -> None:
    assert read(x_ratelimit_limit_requests="-1", x_ratelimit_remaining_requests="-1") == []


def test_codex() -> None:
    told = read(
        x_codex_primary_used_percent="38",
        x_codex_primary_window_minutes="300",
        x_codex_primary_reset_after_seconds="600",
        x_codex_secondary_used_percent="12.5",
        x_codex_secondary_window_minutes="10080",
        x_codex_secondary_reset_at="1795616000",
    )
    assert told == [("5h", 38.0, "2026-11-25T12:10:00.000Z"), ("7d", 12.5, "2026-11-25T14:13:20.000Z")]


def test_retry_after_counts_where_a_key_was_turned_away_and_nothing_says_more() -> None:
    assert read(429, retry_after="30") == [("retry", 100.0, "2026-11-25T12:00:30.000Z")]
    assert read(429, retry_after="Wed, 25 Nov 2026 12:05:00 GMT") == [("retry", 100.0, "2026-11-25T12:05:00.000Z")]
    assert read(529, retry_after="30") == []  # the provider is busy, not the key used up
    told = read(429, retry_after="30", anthropic_ratelimit_unified_5h_utilization="1.0")
    assert told == [("5h", 100.0, None)]


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=30))
def test_no_header_whatever_is_in_it_raises(headers: list[tuple[str, str]]) -> None:
    assert read_rate_limits(headers, key="k", now=NOW) == ()


@given(st.sampled_from(["limit", "remaining", "reset"]), st.text(max_size=40))
def test_no_value_whatever_it_is_raises(what: str, value: str) -> None:
    for name in (f"x-ratelimit-{what}-tokens", f"anthropic-ratelimit-tokens-{what}"):
        told = read_rate_limits([(name, value), ("retry-after", value)], key="k", now=NOW, status=429)
        assert len(told) <= LIMITS


def test_many_windows_are_bounded_and_the_fullest_stay() -> None:
    headers = {f"x-ratelimit-limit-t{chr(97 + i)}": "100" for i in range(26)}
    assert len(read_rate_limits(headers, key="k", now=NOW)) <= LIMITS
    many = [RateLimit(key="k", window=f"w{i:02}", used_pct=float(i)) for i in range(20)]
    assert [limit.used_pct for limit in fullest_first(many)] == [float(i) for i in range(12, 20)]


def test_the_key_is_found_wherever_providers_take_it() -> None:
    assert key_of({"x-api-key": "a"}) == "a"
    assert key_of({"api-key": "b"}) == "b"
    assert key_of({"x-goog-api-key": "c"}) == "c"
    assert key_of({"authorization": "Bearer d"}) == "d"
    assert key_of({"authorization": "Basic ZTpm"}) is None
    assert key_of({}) is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.anthropic.com", "anthropic"),
        ("API.OpenAI.com.", "openai"),
        ("eu.api.openai.com", "openai"),
        ("me.openai.azure.com", "azure"),
        ("generativelanguage.googleapis.com", "google"),
        ("127.0.0.1", "local"),
        ("localhost", "local"),
        ("::1", "local"),
    ],
)
def test_whose_key_it_is_shows_by_the_host(host: str, provider: str) -> None:
    assert provider_of(host, {}) == provider


def test_by_way_of_the_proxy_on_this_machine_it_is_the_same_key() -> None:
    assert provider_of("127.0.0.1", {}, "/openai/v1/responses") == provider_of("api.openai.com", {})
    assert provider_of("localhost", {"anthropic-version": "2023-06-01"}, "/v1/messages") == "anthropic"
    assert provider_of("api.groq.com", {}, "/openai/v1/chat/completions") == "groq"


def test_a_fingerprint_is_the_same_everywhere_and_tells_no_key() -> None:
    key = "sk-ant-api03-CANARY"
    made = fingerprint("anthropic", key)
    assert made == fingerprint("anthropic", key)
    assert made != fingerprint("anthropic", key + "x")
    assert made.partition(":")[2] != fingerprint("openai", key).partition(":")[2]
    assert made.startswith("anthropic:")
    assert len(made) == len("anthropic:") + 64
    assert "CANARY" not in made
