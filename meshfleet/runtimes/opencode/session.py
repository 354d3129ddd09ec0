"""What is known of one opencode session. Pure; times are seconds since 1970, handed in."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from meshfleet.fleet.state import Status
from meshfleet.runtimes.opencode import RUNTIME
from meshfleet.runtimes.record import Running, SessionRecord, counted, name, project_of
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.opencode.telling import Call, Failure, Info, Part

ASKED_LIMIT = 16
"""Requests to a person that are kept open at once, per session."""

SOURCE = "opencode"

BROKEN_OFF = "MessageAbortedError"
"""The error that a person makes by breaking off an answer."""

_ENDED = frozenset({"completed", "error"})


class OpenCodeSession:
    """One session. Tell it what its server said; ask it for its record."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.updated: object = None
        """What the server last gave as the time of its newest change."""
        self.heard_at = 0.0
        """When something on the stream was about it."""
        self.status_at = 0.0
        self._parent: str | None = None
        self._project: str | None = None
        self._provider: str | None = None
        self._model: str | None = None
        self._usage: Usage | None = None
        self._cost: float | None = None
        self._context: int | None = None
        self.doing = "idle"
        """The server's word: `busy`, `retry` or `idle`."""
        self._failed: Status | None = None
        self._prompt: str | None = None
        self._begun = False
        self._running = Running()
        self._asked: dict[str, str | None] = {}
        self._last_at: float | None = None
        self.over = False
        """It was deleted, or its server is gone."""

    @property
    def model(self) -> tuple[str, str] | None:
        """Provider and model, as the list of windows has them."""
        return None if self._model is None or self._provider is None else (self._provider, self._model)

    @property
    def context_known(self) -> bool:
        """Whether an answer of it has been seen."""
        return self._context is not None

    def described(self, info: Info) -> None:
        """The session's own description, from an event or a list."""
        self.updated = info.time.updated
        self._happened(_seconds(info.time.updated) or _seconds(info.time.created))
        self._parent = name(info.parentID)
        self._project = project_of(info.directory) or self._project
        if info.model is not None:
            self._uses(info.model.providerID, info.model.id)
        if info.tokens is not None:
            self._usage = info.tokens.plain()
        if isinstance(info.cost, int | float) and isfinite(info.cost) and info.cost >= 0:
            self._cost = float(info.cost)

    def message(self, info: Info) -> None:
        """A message of it is there, or has changed."""
        self._happened(_seconds(info.time.created))
        if info.role == "user":
            if info.id != self._prompt:
                self._prompt, self._failed, self._begun = info.id, None, True
        elif info.role == "assistant":
            self._uses(info.providerID, info.modelID)
            if info.tokens is not None:
                # Without `total` the answer has not come yet, and its figures are zeros.
                self._context = counted(info.tokens.total) or self._context

    def part(self, part: Part, now: float) -> None:
        """A part of a message is there, or has changed. Only calls of tools tell something."""
        if part.type != "tool" or part.callID is None or part.state is None:
            return
        self._begun = True
        at = _seconds(part.state.time.start)
        self._happened(at)
        if part.state.status == "running":
            self._running.begin(part.callID, part.tool, at or now)
        elif part.state.status in _ENDED:
            self._running.end(part.callID)
        self.status_at = now

    def does(self, doing: str | None, now: float) -> None:
        """What the server says that it does."""
        self.doing = doing if doing in ("busy", "retry") else "idle"
        if self.doing == "idle":
            self._running.clear()
            self._asked.clear()
        else:
            self._begun = True
        self.status_at = now
        self.over = False

    def asks(self, request: str, call: Call | None, now: float) -> None:
        """A person is asked for a permission or an answer."""
        self._begun = True
        if len(self._asked) < ASKED_LIMIT:
            self._asked[request] = call.callID if call is not None else None
        self.status_at = now

    def answered(self, request: str | None, now: float) -> None:
        """The person has answered. The tool's clock begins here: it has not run while it waited for that."""
        call = self._asked.pop(request, None) if request is not None else None
        if request is None:
            self._asked.clear()
        if call is not None:
            self._running.restart(call, now)
        self.status_at = now

    def asked(self, requests: set[str], now: float) -> None:
        """All that waits for a person, as a list has it."""
        if requests != self._asked.keys():
            self._asked = {request: self._asked.get(request) for request in sorted(requests)[:ASKED_LIMIT]}
            self.status_at = now

    def fails(self, failure: Failure | None, now: float) -> None:
        """Its turn ended with an error; that holds until the next prompt."""
        if failure is None or failure.name == BROKEN_OFF:
            return
        self._failed = Status.RATE_LIMITED if failure.data.statusCode == 429 else Status.ERROR
        self.status_at = now

    def ends(self, now: float) -> None:
        """It was deleted, or its server is gone."""
        self.over = True
        self.status_at = now

    def noticed(self, now: float) -> None:
        """The stream speaks of it: it lives."""
        self.heard_at = now
        self.over = False
        self._happened(now)

    def record(self, window: int | None) -> SessionRecord:
        """What is known; `window` is how many tokens the context of its model holds."""
        tool, tool_at = self._running.oldest()
        return SessionRecord(
            runtime=RUNTIME,
            session=self.session,
            source=SOURCE,
            parent=self._parent,
            project=self._project,
            model=self._model,
            status=self._status(),
            status_at=self.status_at,
            last_at=self._last_at,
            tool=tool,
            tool_at=tool_at,
            context_tokens=self._context,
            context_limit=window,
            context_limit_source=None if window is None else f"reported:{SOURCE}",
            usage=self._usage,
            cost=self._cost,
        )

    def _status(self) -> Status:
        if self.over:
            return Status.EXITED
        if self._asked:
            return Status.WAITING
        if self._failed is not None:
            return self._failed
        if self.doing == "retry":
            return Status.ERROR  # the provider refused; the server tries again, and why stands only in prose
        if self.doing == "idle":
            return Status.IDLE if self._begun or self._spent() else Status.STARTING
        return Status.TOOL if self._running else Status.WORKING

    def _spent(self) -> bool:
        return self._usage is not None and self._usage != Usage()

    def _uses(self, provider: str | None, model: str | None) -> None:
        if name(model) is not None:
            self._provider, self._model = name(provider), name(model)

    def _happened(self, at: float | None) -> None:
        if at is not None:
            self._last_at = max(at, self._last_at or at)


def _seconds(milliseconds: object) -> float | None:
    at = counted(milliseconds) / 1000
    return at if 1e9 < at < 1e10 else None
