"""Gemini CLI's session files: lines of `tmp/<project>/chats/session-<time>-<id>.jsonl` -> what is known of it. Pure.

Each line is one record. Most of what it holds is the conversation, and is skipped unread. Of the rest:

    {sessionId, …}   the header; written again when the session is resumed
    {$set: {…}}      changes the header; with `messages` the history was replaced: resumed, compressed, cut
    {$rewindTo: id}  the history was cut
    user             a prompt begins a turn, the result of a tool goes on with it
    gemini           an answer, with its tokens. Written again, under the same id, once its tools have run
    error            what the user was shown instead of an answer

Sub-agents have files of their own, in a folder that is named for the session that started them. A tool that runs
leaves no record before it has ended: what runs now, the file does not tell.

Checked against 0.61.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.record import SessionRecord, counted, name, seconds
from meshfleet.runtimes.usage import Ledger, Tariff, Usage

if TYPE_CHECKING:
    from meshfleet.fleet.usage import Moment

RUNTIME = "gemini-cli"

WINDOWS = (("gemini-", 1_048_576), ("gemma-4-", 256_000))
"""Windows by how a model's name begins, as Gemini CLI itself counts (core/tokenLimits.ts)."""

CANCELLED = "cancelled"
"""Status of a tool call that a person refused or broke off."""


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    """Of one answer. `input` holds what was cached; `tool` is prompt too, and `thoughts` are output beside `output`."""

    input: object = None
    output: object = None
    cached: object = None
    thoughts: object = None
    tool: object = None

    @property
    def prompt(self) -> int:
        return counted(self.input) + counted(self.tool)

    def plain(self) -> Usage:
        read = min(counted(self.cached), self.prompt)
        return Usage(
            fresh=self.prompt - read,
            cache_read=read,
            output=counted(self.output) + counted(self.thoughts),
        )


class _Call(msgspec.Struct, frozen=True, gc=False):
    status: str | None = None


class _Set(msgspec.Struct, frozen=True, gc=False):
    lastUpdated: str | None = None
    messages: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct, frozen=True, gc=False):
    sessionId: str | None = None
    type: str = ""
    id: str | None = None
    timestamp: str | None = None
    startTime: str | None = None
    lastUpdated: str | None = None
    content: msgspec.Raw = msgspec.Raw(b'""')
    tokens: _Tokens | None = None
    model: str | None = None
    toolCalls: list[_Call] | None = None
    set: _Set | None = msgspec.field(default=None, name="$set")
    rewound_to: str | None = msgspec.field(default=None, name="$rewindTo")


_line = msgspec.json.Decoder(_Line)


class GeminiSession:
    """One session. Feed it the lines of its file; ask it for its record.

    `session` is how the file's name calls it, `parent` the session in whose folder it lies: a sub-agent.
    """

    def __init__(self, session: str, tariff: Tariff, parent: str | None = None) -> None:
        self.session = session
        self.unreadable = 0
        """Lines that were no record of the known shape."""
        self._tariff = tariff
        self._ledger = Ledger(tariff)
        self._parent = parent
        self._status = Status.STARTING
        self._status_at = 0.0
        self._open_ended = False
        self._model: str | None = None
        self._context: int | None = None
        self._last_at: float | None = None

    @staticmethod
    def matters(line: bytes) -> bool:
        """Whether a line can count for the sums: all that is looked at in the far past of a long file."""
        return b'"tokens"' in line or b'"sessionId"' in line

    def feed(self, line: bytes, agent: str = "") -> None:
        """One line of the session's file. Never raises on what a file holds."""
        for text in (line, line.decode("utf-8", "replace")):
            try:
                self._take(_line.decode(text))
                return
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        self.unreadable += 1

    def course(self) -> tuple[Moment, ...]:
        """What had been used when; see `Ledger.course`."""
        return self._ledger.course()

    def record(self) -> SessionRecord:
        """What is known after the lines fed so far."""
        limit, source = self._window()
        return SessionRecord(
            runtime=RUNTIME,
            session=self.session,
            source="session file",
            parent=self._parent,
            model=self._model,
            status=self._status,
            status_at=self._status_at,
            open_ended=self._open_ended,
            last_at=self._last_at,
            context_tokens=self._context,
            context_limit=limit,
            context_limit_source=source,
            usage=self._ledger.total,
            cost=self._ledger.cost,
            cost_source="priced",
        )

    def _take(self, line: _Line) -> None:
        if line.set is not None:
            self._heard(seconds(line.set.lastUpdated))
            if bytes(line.set.messages):
                self._context = None  # known again with the next answer
            return
        if line.rewound_to is not None:
            self._context = None
            return
        if not line.type:
            self._heard(seconds(line.lastUpdated) or seconds(line.startTime))
            self._named(line.sessionId)
            return
        at = seconds(line.timestamp)
        self._heard(at)
        match line.type:
            case "user":
                self._is(Status.WORKING, at)
            case "gemini":
                self._answer(line, at)
            case "error":
                self._is(Status.ERROR, at)

    def _heard(self, at: float | None) -> None:
        if at is not None:
            self._last_at = max(at, self._last_at or at)

    def _named(self, session: str | None) -> None:
        """The whole id, where the file's name has the first digits of it only."""
        whole = name(session)
        if whole is not None and self._parent is None and whole.startswith(self.session):
            self.session = whole

    def _is(self, status: Status, at: float | None, *, open_ended: bool = False) -> None:
        self._status = status
        self._status_at = at if at is not None else self._status_at
        self._open_ended = open_ended

    def _answer(self, line: _Line, at: float | None) -> None:
        self._model = name(line.model) or self._model
        if line.tokens is not None and line.id is not None:
            self._ledger.count(line.id, name(line.model) or self._model, line.tokens.plain(), at or 0.0)
            self._context = line.tokens.prompt or self._context
        calls = line.toolCalls or []
        if calls:
            # Its tools have run, so the model is asked again; not so where a person broke off all of them.
            self._is(Status.WORKING, at, open_ended=all(call.status == CANCELLED for call in calls))
        else:
            # Words without a call end the turn, but the same answer may be written again with the calls it made.
            said = bytes(line.content) not in (b'""', b"[]", b"null")
            self._is(Status.WORKING, at, open_ended=said)

    def _window(self) -> tuple[int | None, str | None]:
        if self._model is None:
            return None, None
        for beginning, window in WINDOWS:
            if self._model.startswith(beginning):
                return window, "inferred:gemini table"
        listed = self._tariff.window(self._model)
        return listed, None if listed is None else "inferred:genai-prices"
