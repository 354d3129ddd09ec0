"""What an agent reports of itself, and the snapshot that carries it through the mesh."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec

from meshfleet.fleet.names import AgentId, Epoch, NodeName

SNAPSHOT_LIMIT = 4096
"""Bytes that an encoded state may have. Over it `publish` refuses: a state is a status line, not a log."""

AGENTS_LIMIT = 256
"""Agents that one node carries. One more is refused; who reads sessions lets go of the longest silent one first."""

Text = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Status(str, Enum):
    """The agent's own word for what it does. Whether it can be believed is `Presence`, which observers judge."""

    STARTING = "starting"
    WORKING = "working"
    TOOL = "tool"
    WAITING = "waiting"
    """For a person: a permission prompt, a question."""
    IDLE = "idle"
    RATE_LIMITED = "rate_limited"
    ERROR = "error"
    EXITED = "exited"


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Headroom of one API key in one window, as its provider reports it."""

    key: Text
    """A fingerprint such as `anthropic:9f2e41`; never the key. What comes as `anthropic:` and 64 hexadecimal digits is
    made one by the node that publishes it (docs/security.md)."""
    window: Text
    """`5h`, `7d`, `requests/min`, …"""
    used_pct: float | None = None
    resets_at: Text | None = None
    read_at: Text | None = None
    """When the provider said so, RFC 3339 UTC; None: when the state was made."""


class AgentState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One agent's whole state at one moment. What the agent does not know is None, never 0 and never a guess.

    No prompt, code, file content or full path ever enters it: the mesh carries status, not work.
    """

    agent_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    timestamp: Text
    """RFC 3339 UTC, by the agent's own clock. Shown, so that skew can be seen; never judged by."""
    status: Status
    runtime: Text
    """`claude-code`, `codex`, `gemini-cli`, `ollama`, `python`, …"""
    model: Text | None = None
    project: Text | None = None
    """Last component of the working directory; never the path."""
    session: Text | None = None
    parent: Text | None = None
    """Agent id of the agent that started this one, for sub-agents."""

    context_pct: float | None = None
    context_tokens: Count | None = None
    context_limit: Count | None = None
    context_trend_pct_per_min: float | None = None
    context_full_in_s: float | None = None

    tokens_in: Count | None = None
    """All prompt tokens of the session, cache reads and writes included."""
    tokens_out: Count | None = None
    tokens_cache_read: Count | None = None
    tokens_cache_write: Count | None = None
    cost_usd: float | None = None

    active_tool: Text | None = None
    active_tool_since: Text | None = None
    rate_limits: Annotated[tuple[RateLimit, ...], msgspec.Meta(max_length=8)] = ()
    exit_code: int | None = None
    """With status `exited`, where it is known."""
    note: Text | None = None
    sources: dict[Text, Text] = {}
    """Where a field comes from: `{"cost_usd": "priced", "context_limit": "reported:rollout"}`."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One agent's state as the mesh carries it: encoded once, by the node that carries the agent.

    `seq` is drawn from one counter per node and epoch, so that "all of n2's up to 88" can be said in one number.
    The newest `(epoch, seq)` of a (node, agent) wins; replay, reorder and duplication change nothing.
    """

    node: NodeName
    epoch: Epoch
    seq: int
    follows: int
    """The highest seq of the node's other agents when this was published: who holds all up to there, and this, holds
    all up to `seq`. What lies between has been replaced."""
    floor: int
    """Nothing that this node published at or below this seq lives any more: tombstones older than it can be
    forgotten."""
    agent: AgentId
    body: bytes
    """The encoded AgentState, opaque to the mesh; empty means that the agent is withdrawn."""
    signature: bytes = b""
    """The node's, over all of the above. Empty in simulations of the core alone."""

    @property
    def withdrawn(self) -> bool:
        """Whether this says that the node no longer carries the agent."""
        return not self.body
