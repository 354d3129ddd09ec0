"""What a hook can say of a session, whichever runtime it is of."""

from __future__ import annotations

from enum import Enum

import msgspec


class Kind(Enum):
    """What happened."""

    BEGUN = "begun"
    """The session is there."""
    PROMPTED = "prompted"
    TOOL = "tool"
    """A tool begins."""
    TOOL_ENDED = "tool ended"
    ASKING = "asking"
    """A person is asked something."""
    ANSWERED = "answered"
    TURN_OVER = "turn over"
    FAILED = "failed"
    """The turn ended with an error."""
    LIMITED = "limited"
    """The turn ended at a rate limit."""
    COMPACTING = "compacting"
    COMPACTED = "compacted"
    OVER = "over"
    """The session ended."""
    SUB_BEGUN = "sub-agent begun"
    SUB_OVER = "sub-agent over"
    SPOKE = "spoke"
    """Something that changes nothing, but that it lives."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One hook's word, with all that is taken of it. Names were looked at by `record.name`."""

    kind: Kind
    session: str
    agent: str | None = None
    """The sub-agent it is of; None is the session itself."""
    call: str | None = None
    """Which call of a tool. None where the runtime numbers none: then calls are told apart by tool and order."""
    tool: str | None = None
    model: str | None = None
    project: str | None = None
    again: bool = False
    """With BEGUN: the session was there before, and is taken up again. With COMPACTED: the turn goes on."""
