"""What a parser knows of a session: plain facts from its file, not yet judged by the clock or the process table."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import RateLimit, Status
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Container

TOOLS_LIMIT = 64
"""Tool calls kept as running at once, per session. Runtimes run some ten in parallel; a file that never ends its calls
must not grow our memory."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@/\[\]-]{0,79}")
_PROJECT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,80}")


class Channel(str, Enum):
    """By which way a session is told of."""

    FILE = "file"
    """What the runtime writes anyway: transcript, rollout."""
    SERVER = "server"
    """The runtime's own server, which has the whole session, as a file has."""
    HOOKS = "hooks"
    STATUSLINE = "statusline"
    OTLP = "otlp"
    PUSHED = "pushed"
    """A state that the agent, or who runs it, posts."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel tells of a session, or all of them merged. What it does not tell is None. Times are seconds
    since 1970, by the clock of whoever wrote the file, or of this machine."""

    runtime: str
    session: str
    source: str = ""
    """How `sources` names the channel: `transcript`, `rollout`, `hooks`, `otlp`, …"""
    agent: str | None = None
    """The id that this agent was given by who runs it (resource attribute `meshfleet.agent`), where it was."""
    host: str | None = None
    """Machine that it runs on, where that is another than this."""
    parent: str | None = None
    """Session that started this one."""
    project: str | None = None
    model: str | None = None
    version: tuple[int, ...] = ()
    """Version of the runtime that wrote the newest record."""
    status: Status | None = None
    status_at: float = 0.0
    """When the record was written that the status comes from."""
    open_ended: bool = False
    """The answer has come, but nothing says that the turn is over: idle, once it stays quiet."""
    one_shot: bool = False
    """The process ends with its turn: not interactive."""
    last_at: float | None = None
    """When the newest record was written."""
    tool: str | None = None
    tool_at: float | None = None
    context_tokens: int | None = None
    context_limit: int | None = None
    context_limit_source: str | None = None
    usage: Usage | None = None
    """None while it is not known: in a preview of a long file."""
    usage_source: str | None = None
    """Where the tokens are from, if more is to be said than the channel."""
    cost: float | None = None
    cost_source: str | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    exit_code: int | None = None


class Running:
    """Tool calls that have begun and not ended, oldest first."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, call: str, tool: str | None, at: float) -> None:
        """A call begins. Said again, it keeps its begin."""
        if call not in self._calls and len(self._calls) < TOOLS_LIMIT:
            self._calls[call] = (name(tool) or "unnamed", at)

    def end(self, call: str) -> bool:
        """A call ends. Whether it was known to run."""
        return self._calls.pop(call, None) is not None

    def restart(self, call: str, at: float) -> None:
        """A call begins only now; what it was said to have run before, it waited."""
        if call in self._calls:
            self._calls[call] = (self._calls[call][0], at)

    def clear(self) -> None:
        """All calls have ended, one way or another."""
        self._calls.clear()

    def oldest(self) -> tuple[str | None, float | None]:
        """Name and begin of the call that has run longest."""
        return next(iter(self._calls.values()), (None, None))

    def of(self, call: str) -> str | None:
        """The tool of a call that runs."""
        return self._calls.get(call, (None, 0.0))[0]

    def newest_of(self, tool: str, besides: Container[str]) -> str | None:
        """The call of that tool that began last, of those not in `besides`."""
        return next((c for c in reversed(self._calls) if self._calls[c][0] == tool and c not in besides), None)

    def any_of(self, tools: frozenset[str]) -> bool:
        """Whether one of these tools runs."""
        return any(tool in tools for tool, _ in self._calls.values())


def name(text: str | None) -> str | None:
    """`text` where it looks like the name of a tool, model or session, else None: prose and paths don't get through."""
    return text if text is not None and _NAME.fullmatch(text) else None


def project_of(cwd: str | None) -> str | None:
    """Last component of a working directory, never more of it."""
    if not cwd:
        return None
    last = cwd.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return last if _PROJECT.fullmatch(last) and last not in (".", "..") and not last.endswith(":") else None


def version_of(text: str | None) -> tuple[int, ...]:
    """`2.1.197` as numbers that can be compared; () where there is none."""
    found = re.match(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", text or "")
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def seconds(text: str | None) -> float | None:
    """RFC 3339 as seconds since 1970; None where it is none."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return at if 1e9 < at < 1e10 else None  # 2001 to 2286: what lies outside is no time of a session


def rfc3339(at: float) -> str:
    """Seconds since 1970 as RFC 3339 UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def counted(number: object) -> int:
    """A count as it stands in a file: 0 where it is missing, negative or no number."""
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**53 else 0
