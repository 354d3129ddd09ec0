"""Events of one session, or of one sub-agent -> what it does. Pure; times are handed in.

Hooks come over connections of their own, and some by processes in the background: they may come late, twice, in another
order, or not at all. A call that has ended does not begin any more; an end that nothing began ends nothing; what is
over is begun only by a prompt, a tool, or by being taken up again. A prompt and a turn's end clear what an interruption
left running.
"""

from __future__ import annotations

from meshfleet.fleet.state import Status
from meshfleet.runtimes.claude_code import ASKING
from meshfleet.runtimes.hooks.events import Event, Kind
from meshfleet.runtimes.record import Running, SessionRecord

LATE = 0.3
"""Seconds after a turn's end within which a tool's beginning is of before it. Hooks are told by processes of their own,
some 20 ms each, that overtake each other; a turn that goes on asks the model first."""

ENDED_LIMIT = 256
"""Calls remembered as ended, so that a late beginning is known as late."""

SOME_CALL = ""
"""Stands for the call that a question is about, where it does not say which."""


class Doing:
    """One agent, as its hooks tell. `apply` events, ask for the `record`."""

    def __init__(self, runtime: str, session: str, parent: str | None = None) -> None:
        self.runtime = runtime
        self.session = session
        self.parent = parent
        self.over = False
        self._running = Running()
        self._asked: dict[str, float] = {}
        self._ended: dict[str, None] = {}
        self._unnumbered: dict[str, list[str]] = {}
        self._early_ends: dict[str, int] = {}
        self._number = 0
        self._between = Status.STARTING
        """What it does while no tool runs."""
        self._status_at = 0.0
        self._last_at = 0.0
        self._turn_over_at = 0.0
        self._model: str | None = None
        self._project: str | None = None

    @property
    def waits(self) -> bool:
        """Whether a person is asked."""
        return bool(self._asked) or self._running.any_of(ASKING)

    def apply(self, event: Event, at: float) -> None:
        """One event, at `at` (seconds since 1970)."""
        self._last_at = max(self._last_at, at)
        self._model = event.model or self._model
        self._project = self._project or event.project
        if self.over and not self._revives(event, at):
            return
        if self._changes(event, at):
            self._status_at = max(self._status_at, at)

    def answered(self) -> None:
        """What was asked without saying which call it is about has been answered."""
        self._asked.pop(SOME_CALL, None)

    def record(self) -> SessionRecord:
        """What is known."""
        tool, tool_at = self._running.oldest()
        status = self._between
        if self.over:
            status = Status.EXITED
        elif self.waits:
            status = Status.WAITING
            call, asked_at = next(iter(self._asked.items()), (None, None))
            of_call = self._running.of(call) if call is not None else None
            tool, tool_at = (of_call, asked_at) if of_call is not None else (tool, tool_at)
        elif tool is not None:
            status = Status.TOOL
        return SessionRecord(
            runtime=self.runtime,
            session=self.session,
            source="hooks",
            parent=self.parent,
            project=self._project,
            model=self._model,
            status=status,
            status_at=self._status_at,
            last_at=self._last_at or None,
            tool=tool,
            tool_at=tool_at,
        )

    def _revives(self, event: Event, at: float) -> bool:
        again = event.kind in (Kind.PROMPTED, Kind.TOOL, Kind.SUB_BEGUN) or (event.kind is Kind.BEGUN and event.again)
        if event.kind is not Kind.BEGUN and at - self._turn_over_at < LATE:
            return False
        if event.kind is Kind.TOOL and event.call in self._ended:
            return False
        self.over = not again
        return again

    def _changes(self, event: Event, at: float) -> bool:
        """Take it in. Whether it says what the session does now."""
        match event.kind:
            case Kind.SPOKE:
                return False
            case Kind.BEGUN | Kind.SUB_BEGUN:
                return self._begin(event, at)
            case Kind.TOOL:
                return self._begin_tool(event, at)
            case Kind.TOOL_ENDED:
                return self._end_tool(event)
            case Kind.ASKING:
                return self._ask(event, at)
            case Kind.ANSWERED:
                self._asked.clear()
            case Kind.PROMPTED | Kind.COMPACTING:
                self._turn_over_at = 0.0
                self._rest(Status.WORKING)
            case Kind.COMPACTED:
                self._rest(Status.WORKING if event.again else Status.IDLE)
            case Kind.TURN_OVER:
                self._turn_over_at = at
                self._rest(Status.IDLE)
            case Kind.FAILED:
                self._rest(Status.ERROR)
            case Kind.LIMITED:
                self._rest(Status.RATE_LIMITED)
            case Kind.OVER | Kind.SUB_OVER:
                self._turn_over_at = at
                self._rest(Status.IDLE)
                self.over = True
        return True

    def _rest(self, status: Status) -> None:
        for calls in self._unnumbered.values():
            calls.clear()
        self._early_ends.clear()
        self._running.clear()
        self._asked.clear()
        self._between = status

    def _begin(self, event: Event, at: float) -> bool:
        if event.kind is Kind.SUB_BEGUN:
            self._between = Status.WORKING
        # What it does may have been told before: this one comes by a process that nobody waits for.
        return self._status_at == 0.0 or event.kind is Kind.SUB_BEGUN

    def _begin_tool(self, event: Event, at: float) -> bool:
        if at - self._turn_over_at < LATE:
            return False
        call = event.call or self._next_call(event.tool or "")
        if call is None or call in self._ended:
            return False
        self._running.begin(call, event.tool, at)
        self._between = Status.WORKING
        return True

    def _end_tool(self, event: Event) -> bool:
        call = event.call or self._oldest_call(event.tool or "")
        self._asked.pop(SOME_CALL, None)
        if call is None:
            return False
        self._asked.pop(call, None)
        self._ended[call] = None
        while len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]
        known = self._running.end(call)
        if known or self._between is Status.STARTING:
            self._between = Status.WORKING
            return True
        return False

    def _ask(self, event: Event, at: float) -> bool:
        call = event.call
        if call is None and event.tool is not None:
            call = self._running.newest_of(event.tool, besides=self._asked)
        if event.tool is None and self.waits:
            return False  # the same question once more
        self._asked.setdefault(call or SOME_CALL, at)
        return True

    def _next_call(self, tool: str) -> str | None:
        if self._early_ends.get(tool):
            self._early_ends[tool] -= 1  # its end has been here before it
            return None
        self._number += 1
        call = f"#{self._number}"
        calls = self._unnumbered.setdefault(tool, [])
        calls.append(call)
        del calls[:-ENDED_LIMIT]
        while len(self._unnumbered) > ENDED_LIMIT:
            del self._unnumbered[next(iter(self._unnumbered))]
        return call

    def _oldest_call(self, tool: str) -> str | None:
        calls = self._unnumbered.get(tool)
        if calls:
            return calls.pop(0)
        if self._between is Status.WORKING and len(self._early_ends) < ENDED_LIMIT:
            self._early_ends[tool] = self._early_ends.get(tool, 0) + 1
        return None
