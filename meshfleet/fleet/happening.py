"""What a person would want to read later: one thing that happened in the fleet, as one node saw it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Happened(str, Enum):
    """What kind of thing."""

    STARTED = "started"
    """This node began to watch; what happened before is not known."""
    JOINED = "joined"
    RESTARTED = "restarted"
    UNREACHABLE = "unreachable"
    DOWN = "down"
    LEFT = "left"
    BACK = "back"
    STANDING = "standing"
    """This node stands otherwise than before."""
    CAST_OUT = "cast_out"
    APPEARED = "appeared"
    """An agent is there that was not."""
    WAITING = "waiting"
    """An agent waits for a person."""
    RATE_LIMITED = "rate_limited"
    ERROR = "error"
    EXITED = "exited"


class Happening(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a fleet's history."""

    id: int
    """Grows by one, also over restarts of the node."""
    at: str
    """RFC 3339 UTC, by the node's own clock."""
    kind: Happened
    subject: str
    """A node or an agent; the node itself where it tells how it stands."""
    text: str
    """In words, as a sentence about the subject would go on."""
    node: str | None = None
    """The node that carries the agent."""
