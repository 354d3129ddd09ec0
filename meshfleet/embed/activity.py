"""What an agent does right now, from what began and has not ended: runs, requests to a model, tool calls.

a tool runs                  tool, with the one that has run longest
anything else is open        working
nothing is open              idle; or error, rate_limited, where the last thing to end failed so
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.record import rfc3339

if TYPE_CHECKING:
    from collections.abc import Hashable

OPEN_LIMIT = 1_024
"""Things that one agent has open at once. Beyond it the oldest counts as ended: a library may never end it."""


class Kind(Enum):
    """What begins and ends."""

    RUN = "run"
    REQUEST = "request"
    TOOL = "tool"
    PART = "part"
    """Something inside of a run that says nothing of itself."""


class Doing(msgspec.Struct, frozen=True, gc=False):
    """One thing that has begun."""

    kind: Kind
    tool: str | None
    at: float
    """Unix time."""


class Activity:
    """Keeps what is open. Not safe for threads by itself: whoever holds it holds a lock."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Doing] = {}
        self._failed: Status | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is open."""
        return bool(self._open)

    @property
    def busy_with_other_than_tools(self) -> bool:
        """Whether a run, a request or a part is open."""
        return any(doing.kind is not Kind.TOOL for doing in self._open.values())

    def begin(self, key: Hashable, kind: Kind, at: float, tool: str | None = None) -> None:
        """Something begins, at `at` (Unix time)."""
        while len(self._open) >= OPEN_LIMIT:
            del self._open[next(iter(self._open))]
        self._open[key] = Doing(kind, tool, at)
        self._failed = None

    def end(self, key: Hashable, failed: Status | None = None) -> None:
        """It ends. `failed`: ERROR or RATE_LIMITED; what goes on after it makes up for that."""
        if self._open.pop(key, None) is not None:
            self._failed = failed

    def fields(self, idle: Status = Status.IDLE) -> dict[str, object]:
        """As fields of an agent's state. `idle`: what it is called when nothing is open."""
        tool = min((d for d in self._open.values() if d.kind is Kind.TOOL), key=lambda d: d.at, default=None)
        if tool is not None:
            return {"status": "tool", "active_tool": tool.tool, "active_tool_since": rfc3339(tool.at)}
        status = Status.WORKING if self._open else self._failed or idle
        return {"status": status.value, "active_tool": None, "active_tool_since": None}
