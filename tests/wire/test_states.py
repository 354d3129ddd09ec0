"""Agents' states as bytes: small, stable in their numbers, and open to later versions."""

from __future__ import annotations

from math import inf, nan

import cbor2
import msgspec
import pytest
from hypothesis import given

from meshfleet.errors import Malformed, PublishError, TooBig
from meshfleet.fleet.state import SNAPSHOT_LIMIT, AgentState, RateLimit, Status
from meshfleet.wire.codec import decode_state, encode_state
from meshfleet.wire.states import FIELD_NUMBERS, RATE_LIMIT_FIELDS
from tests.wire.strategies import states

SMALL = AgentState(agent_id="box-2/claude-1f3c", timestamp="2026-11-23T22:00:00Z", status=Status.IDLE, runtime="codex")


@given(states)
def test_every_state_is_read_as_it_was_written(state: AgentState) -> None:
    assert decode_state(encode_state(state)) == state


def test_every_field_has_its_number() -> None:
    assert AgentState.__struct_fields__ == tuple(FIELD_NUMBERS)
    assert len(set(FIELD_NUMBERS.values())) == len(FIELD_NUMBERS)
    assert RateLimit.__struct_fields__ == RATE_LIMIT_FIELDS


def test_the_numbers_of_fields_never_change() -> None:
    first_version = """
        agent_id timestamp status runtime model project session parent
        context_pct context_tokens context_limit context_trend_pct_per_min context_full_in_s
        tokens_in tokens_out tokens_cache_read tokens_cache_write cost_usd
        active_tool active_tool_since rate_limits exit_code note sources
    """
    assert [FIELD_NUMBERS[name] for name in first_version.split()] == list(range(1, 25))


def test_what_the_agent_does_not_know_takes_no_bytes() -> None:
    known = {1: SMALL.agent_id, 2: SMALL.timestamp, 3: "idle", 4: "codex"}
    assert encode_state(SMALL) == cbor2.dumps(known)


def test_zero_is_not_the_same_as_unknown() -> None:
    state = msgspec.structs.replace(SMALL, tokens_in=0, cost_usd=0.0, exit_code=0, note="")
    assert decode_state(encode_state(state)) == state


def test_fields_of_later_versions_are_ignored() -> None:
    written = cbor2.loads(encode_state(SMALL)) | {
        999: ["new"],
        -1: None,
        "name": 1,
        21: [["k", "5h", 3, None, None, "new"]],
    }
    assert decode_state(cbor2.dumps(written)) == msgspec.structs.replace(
        SMALL, rate_limits=(RateLimit(key="k", window="5h", used_pct=3.0),)
    )


@pytest.mark.parametrize(
    "fields",
    [
        {1: ""},
        {1: "x" * 129},
        {1: "a b"},
        {1: 5},
        {2: "x" * 201},
        {3: "dreaming"},
        {9: nan},
        {12: inf},
        {13: -inf},
        {18: nan},
        {9: "38"},
        {10: -1},
        {10: 2**53},
        {10: 1.5},
        {21: "limits"},
        {21: ["limit"]},
        {21: [["key"]]},
        {21: [["key", "5h", nan]]},
        {21: [["key", "5h"]] * 9},
        {22: 2**53},
        {22: "0"},
        {24: ["a"]},
        {24: {"a": 1}},
    ],
)
def test_a_state_that_can_not_be_is_malformed(fields: dict[int, object]) -> None:
    written = cbor2.loads(encode_state(SMALL)) | fields
    with pytest.raises(Malformed):
        decode_state(cbor2.dumps(written))


def test_a_state_without_what_every_state_has_is_malformed() -> None:
    with pytest.raises(Malformed, match="agent_id"):
        decode_state(cbor2.dumps({2: "t", 3: "idle", 4: "codex"}))


def test_a_state_over_the_limit_is_refused_at_the_origin_with_the_limit() -> None:
    big = msgspec.structs.replace(SMALL, sources={f"field{i}": "x" * 190 for i in range(30)})
    with pytest.raises(PublishError, match="at most 4096"):
        encode_state(big)
    with pytest.raises(TooBig):
        decode_state(bytes(SNAPSHOT_LIMIT + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"cost_usd": nan},
        {"note": "x" * 201},
        {"tokens_in": -1},
        {"tokens_in": "many"},
        {"status": "dreaming"},
        {"agent_id": "a b"},
        {"note": object()},
        {"note": "\ud800"},
        {"rate_limits": "none"},
        {"rate_limits": ("none",)},
        {"sources": {1: 2}},
        {"exit_code": 10**400},
    ],
)
def test_a_state_that_others_could_not_read_is_refused_at_the_origin(change: dict[str, object]) -> None:
    wrong = msgspec.structs.replace(SMALL, **change)
    with pytest.raises(PublishError, match="can't"):
        encode_state(wrong)
