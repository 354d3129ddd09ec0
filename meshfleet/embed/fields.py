"""What an agent may say of itself, by keyword, and how the words become a state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

import msgspec

from meshfleet.embed.readings import Readings
from meshfleet.embed.tally import Tally
from meshfleet.fleet.state import AgentState, RateLimit, Status


class Fields(TypedDict, total=False):
    """Fields of AgentState that an agent sets; see there for units. None takes a field back to "not known"."""

    status: str
    model: str | None
    project: str | None
    session: str | None
    parent: str | None
    context_pct: float | None
    context_tokens: int | None
    context_limit: int | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cache_read: int | None
    tokens_cache_write: int | None
    cost_usd: float | None
    active_tool: str | None
    active_tool_since: str | None
    rate_limits: Sequence[RateLimit]
    exit_code: int | None
    note: str | None


KNOWN = frozenset(Fields.__annotations__)


TOLD_BY_AGENT = ("model", "context_pct", "context_tokens", "context_limit", "cost_usd", "tokens_in", "tokens_out")
"""Fields whose source is worth telling."""


class Said(msgspec.Struct, frozen=True):
    """All that an agent has said so far, and when it said the last of it."""

    fields: Mapping[str, object]
    at: float
    """Unix time."""
    tool_since: float | None = None
    """Unix time at which the active tool was set."""
    origin: str = "agent"
    """Whose word it is: the agent's own, or that of the instrumentation that listens to it."""
    tally: Tally | None = None
    readings: Readings | None = None
    sources: Mapping[str, str] = {}
    """Where fields come from, if not from the agent itself."""


# Has msgspec look at the type now: two agents' threads that had it do so at once would end the process (client.http).
msgspec.json.Decoder(AgentState)


def state_of(agent_id: str, runtime: str, said: Said) -> AgentState:
    """The state that it comes to. msgspec.ValidationError where a value is of the wrong type.

    For the thread that sends: prices, windows and fingerprints are looked up here, at their first use for a while.
    """
    told = dict(said.fields)
    told.setdefault("status", Status.STARTING.value)
    if told.get("active_tool") is not None and said.tool_since is not None and told.get("active_tool_since") is None:
        told["active_tool_since"] = rfc3339(said.tool_since)
    sources = {name: f"reported:{said.origin}" for name in TOLD_BY_AGENT if told.get(name) is not None}
    if said.tally is not None:
        known, whence = said.tally.settle()
        sources.update({name: source for name, source in whence.items() if name not in told})
        told = {**known, **told}
    limits = () if said.readings is None else said.readings.settle()
    if limits and "rate_limits" not in told:
        told["rate_limits"] = limits
        sources["rate_limits"] = "reported:headers"
    tokens, limit = told.get("context_tokens"), told.get("context_limit")
    if "context_pct" not in told and isinstance(tokens, int) and isinstance(limit, int) and limit > 0:
        told["context_pct"] = round(100 * tokens / limit, 1)
    sources = {name: source for name, source in sources.items() if told.get(name) is not None}
    return msgspec.convert(
        {
            **told,
            "agent_id": agent_id,
            "runtime": runtime,
            "timestamp": rfc3339(said.at),
            "sources": {**sources, **said.sources},
        },
        AgentState,
    )


def new_session(pid: int) -> str:
    """What tells one life of an agent from all others of its name: a pid alone comes again, in a container at each
    start, and a process may be an agent many times. What is used is counted by session: docs/cost.md."""
    return f"{pid}-{os.urandom(4).hex()}"


def rfc3339(seconds: float) -> str:
    """Unix time as states carry it: UTC, milliseconds, Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
