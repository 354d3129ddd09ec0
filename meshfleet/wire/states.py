"""An agent's state as bytes: a CBOR map with a small number for each field.

What the agent does not know is left out. Numbers of fields that this version does not know are skipped, so that later
versions can add some; a number, once given, is never given to another field.
"""

from __future__ import annotations

from math import isfinite
from types import MappingProxyType

import msgspec

from meshfleet.errors import ConfigError, Malformed, PublishError, TooBig
from meshfleet.fleet.names import agent_id
from meshfleet.fleet.state import SNAPSHOT_LIMIT, AgentState
from meshfleet.wire import cbor

FIELD_NUMBERS = MappingProxyType(
    {
        "agent_id": 1,
        "timestamp": 2,
        "status": 3,
        "runtime": 4,
        "model": 5,
        "project": 6,
        "session": 7,
        "parent": 8,
        "context_pct": 9,
        "context_tokens": 10,
        "context_limit": 11,
        "context_trend_pct_per_min": 12,
        "context_full_in_s": 13,
        "tokens_in": 14,
        "tokens_out": 15,
        "tokens_cache_read": 16,
        "tokens_cache_write": 17,
        "cost_usd": 18,
        "active_tool": 19,
        "active_tool_since": 20,
        "rate_limits": 21,
        "exit_code": 22,
        "note": 23,
        "sources": 24,
    }
)

RATE_LIMIT_FIELDS = ("key", "window", "used_pct", "resets_at", "read_at")
"""A rate limit is an array of these, in this order; later versions may append. The last is left out where it is not
known."""

_NAMES: dict[object, str] = {number: name for name, number in FIELD_NUMBERS.items()}
_MAX_DEPTH = 5
_LARGEST = 2**53
"""Readers that take all numbers for floats, as JavaScript does, hold no greater integer."""


def encode_state(state: AgentState) -> bytes:
    """`state` as bytes, certain to be read by every node. PublishError says what in it can't travel."""
    try:
        data = cbor.dump(msgspec.to_builtins(_plain(state), str_keys=False))
    except Exception as error:  # whatever an agent has put in there: types are not checked when a Struct is made
        raise PublishError(f"the state of {state.agent_id!r} can't be encoded: {error}") from error
    if len(data) > SNAPSHOT_LIMIT:
        raise PublishError(
            f"the state of {state.agent_id!r} takes {len(data)} bytes; at most {SNAPSHOT_LIMIT} travel. "
            "Shorten its texts."
        )
    try:
        decode_state(data)
    except Malformed as error:
        raise PublishError(f"the state of {state.agent_id!r} can't travel: {error}") from error
    return data


def decode_state(data: bytes) -> AgentState:
    """The state that `data` holds; Malformed or TooBig otherwise."""
    if len(data) > SNAPSHOT_LIMIT:
        raise TooBig(f"a state of {len(data)} bytes; at most {SNAPSHOT_LIMIT} travel.")
    # Integer keys can be made to collide, but 4 KiB don't hold enough of them to cost a millisecond.
    item = cbor.load(data, max_depth=_MAX_DEPTH, text_keys=False)
    if not isinstance(item, dict):
        raise Malformed("a state that is not a map.")
    fields = {_NAMES[number]: value for number, value in item.items() if type(number) is int and number in _NAMES}
    if "rate_limits" in fields:
        fields["rate_limits"] = _named_limits(fields["rate_limits"])
    try:
        state = msgspec.convert(fields, AgentState)
        agent_id(state.agent_id)
    except (msgspec.ValidationError, ConfigError) as error:
        raise Malformed(f"a state that can't be: {error}") from error
    _check_numbers(state)
    return state


def _plain(state: AgentState) -> dict[int, object]:
    plain: dict[int, object] = {}
    for name, number in FIELD_NUMBERS.items():
        value: object = getattr(state, name)
        if value is not None and value != () and value != {}:
            plain[number] = value
    if state.rate_limits:
        plain[FIELD_NUMBERS["rate_limits"]] = [
            [getattr(limit, name) for name in RATE_LIMIT_FIELDS[: None if limit.read_at is not None else -1]]
            for limit in state.rate_limits
        ]
    return plain


def _named_limits(limits: object) -> list[dict[str, object]]:
    if not isinstance(limits, list) or not all(isinstance(limit, list) for limit in limits):
        raise Malformed("rate limits that are not an array of arrays.")
    return [dict(zip(RATE_LIMIT_FIELDS, limit, strict=False)) for limit in limits]


def _check_numbers(state: AgentState) -> None:
    """No NaN, no infinity: they can't be shown, compared or written as JSON."""
    for number in (
        state.context_pct,
        state.context_trend_pct_per_min,
        state.context_full_in_s,
        state.cost_usd,
        *(limit.used_pct for limit in state.rate_limits),
    ):
        if number is not None and not isfinite(number):
            raise Malformed(f"a state with {number} for a number.")
    if state.exit_code is not None and abs(state.exit_code) >= _LARGEST:
        raise Malformed(f"an exit code of {state.exit_code}.")
