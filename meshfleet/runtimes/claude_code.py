"""Claude Code's transcripts: lines of `projects/<folder>/<session>.jsonl` -> what is known of the session. Pure.

Each line is one record. Most of what it holds is the conversation, and is skipped unread. Of the rest:

    assistant   one block of an answer. The blocks of one answer repeat its message id, and its usage so far: the last
                counts. A `tool_use` block begins a tool; `stop_reason` says whether the turn ends with this answer
    user        a prompt begins a turn; a `tool_result` ends a tool; `[Request interrupted …` ends the turn
    system      `turn_duration`: the turn is over; `compact_boundary`: the context was emptied; `api_error`: a retry

Sub-agents write files of their own under `<session>/subagents/`, older versions into the session's with `isSidechain`.
Their tokens and money count for the session that started them, as Claude Code's own `total_cost_usd` does; their
context, model and tools stay apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.record import Running, SessionRecord, counted, name, project_of, seconds, version_of
from meshfleet.runtimes.usage import Ledger, Tariff, Usage

if TYPE_CHECKING:
    from meshfleet.fleet.usage import Moment

RUNTIME = "claude-code"

ASKING = frozenset({"AskUserQuestion", "ExitPlanMode"})
"""Tools that wait for a person's answer."""

ENDINGS = frozenset({"end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded"})
"""Stop reasons after which Claude Code does not ask the model again."""

NO_PROMPT = ("<command-name>", "<command-message>", "<local-command-", "<bash-input>", "<bash-stdout>", "<bash-stderr>")
"""How user records begin that the terminal wrote, not a person: its own commands and what they printed."""

INTERRUPTED = "[Request interrupted"

LAST_WORDS = 256
"""Sub-agents whose last usage is remembered from their parent's file. A session rarely starts more than some tens."""


class _CacheCreation(msgspec.Struct, frozen=True, gc=False):
    ephemeral_1h_input_tokens: object = None


class _ServerTools(msgspec.Struct, frozen=True, gc=False):
    web_search_requests: object = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: object = None
    cache_read_input_tokens: object = None
    cache_creation_input_tokens: object = None
    output_tokens: object = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerTools | None = None
    speed: str | None = None

    def plain(self) -> Usage:
        hour = counted(self.cache_creation.ephemeral_1h_input_tokens) if self.cache_creation else 0
        return Usage(
            fresh=counted(self.input_tokens),
            cache_read=counted(self.cache_read_input_tokens),
            cache_write=max(hour, counted(self.cache_creation_input_tokens)),
            cache_write_1h=hour,
            output=counted(self.output_tokens),
            searches=counted(self.server_tool_use.web_search_requests) if self.server_tool_use else 0,
        )


class _Block(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    id: str | None = None
    name: str | None = None
    tool_use_id: str | None = None
    text: str | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    content: str | list[_Block | str] | None = None
    usage: _Usage | None = None

    @property
    def blocks(self) -> list[_Block]:
        if isinstance(self.content, list):
            return [block for block in self.content if isinstance(block, _Block)]
        return []

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return next((block.text for block in self.blocks if block.text is not None), "")


class _Compacted(msgspec.Struct, frozen=True, gc=False):
    postTokens: object = None


class _ApiError(msgspec.Struct, frozen=True, gc=False):
    status: object = None


class _Record(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    subtype: str | None = None
    timestamp: str | None = None
    sessionId: str | None = None
    cwd: str | None = None
    version: str | None = None
    isSidechain: bool | None = None
    isMeta: bool | None = None
    isCompactSummary: bool | None = None
    isApiErrorMessage: bool | None = None
    apiErrorStatus: object = None
    error: _ApiError | str | None = None
    requestId: str | None = None
    forkedFrom: object = None
    message: _Message | None = None
    compactMetadata: _Compacted | None = None
    toolUseResult: msgspec.Raw = msgspec.Raw()


class _AgentResult(msgspec.Struct, frozen=True, gc=False):
    """What a session is told when one of its sub-agents has ended."""

    agentId: str
    usage: _Usage


_record = msgspec.json.Decoder(_Record)
_agent_result = msgspec.json.Decoder(_AgentResult)


class ClaudeSession:
    """One session. Feed it the lines of its file, and of its sub-agents' files; ask it for its record."""

    def __init__(self, session: str, tariff: Tariff) -> None:
        self.session = session
        self.unreadable = 0
        """Lines that were no record of the known shape."""
        self._tariff = tariff
        self._ledger = Ledger(tariff)
        self._running = Running()
        self._status = Status.STARTING
        self._status_at = 0.0
        self._open_ended = False
        self._message: str | None = None
        self._model: str | None = None
        self._project: str | None = None
        self._version: tuple[int, ...] = ()
        self._context: int | None = None
        self._last_at: float | None = None
        # Of each sub-agent: its newest response, and what its parent was told of it. Either may be read first.
        self._newest: dict[str, tuple[str, str | None, float]] = {}
        self._told: dict[str, Usage] = {}

    @staticmethod
    def matters(line: bytes) -> bool:
        """Whether a line can count for the sums: all that is looked at in the far past of a long file."""
        return b'"usage"' in line

    def feed(self, line: bytes, agent: str = "") -> None:
        """One line of the session's file, or of its sub-agent `agent`'s. Never raises on what a file holds."""
        record = self._decode(line)
        if record is None:
            return
        at = seconds(record.timestamp)
        if at is not None:
            self._last_at = max(at, self._last_at or at)
        if agent or record.isSidechain:
            self._count(record, at or 0.0, agent)
            return
        self._version = version_of(record.version) or self._version
        self._project = self._project or project_of(record.cwd)
        match record.type:
            case "assistant":
                self._assistant(record, at)
            case "user":
                self._user(record, at)
            case "system":
                self._system(record, at)
            case "turn_end":
                self._is(Status.IDLE, at)

    def course(self) -> tuple[Moment, ...]:
        """What had been used when; see `Ledger.course`."""
        return self._ledger.course()

    def record(self) -> SessionRecord:
        """What is known after the lines fed so far."""
        tool, tool_at = self._running.oldest()
        limit, source = self._window()
        return SessionRecord(
            runtime=RUNTIME,
            session=self.session,
            source="transcript",
            project=self._project,
            model=self._model,
            version=self._version,
            status=self._status,
            status_at=self._status_at,
            open_ended=self._open_ended,
            last_at=self._last_at,
            tool=tool,
            tool_at=tool_at,
            context_tokens=self._context,
            context_limit=limit,
            context_limit_source=source,
            usage=self._ledger.total,
            cost=self._ledger.cost,
            cost_source="priced",
        )

    def _decode(self, line: bytes) -> _Record | None:
        for text in (line, line.decode("utf-8", "replace")):
            try:
                return _record.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        self.unreadable += 1
        return None

    def _is(self, status: Status, at: float | None, *, open_ended: bool = False) -> None:
        self._status = status
        self._status_at = at if at is not None else self._status_at
        self._open_ended = open_ended
        if status not in (Status.TOOL, Status.WAITING):
            self._running.clear()

    def _assistant(self, record: _Record, at: float | None) -> None:
        message = record.message
        if message is None:
            return
        if message.model == "<synthetic>":
            self._synthetic(record, at)
            return
        self._count(record, at or 0.0, "")
        self._model = name(message.model) or self._model
        if message.usage is not None:
            self._context = message.usage.plain().prompt or self._context
        if message.id is None or message.id != self._message:
            self._running.clear()  # the model is asked again only when all tools of its last answer have ended
            self._message = message.id
        for block in message.blocks:
            if block.type == "tool_use" and block.id is not None:
                self._running.begin(block.id, block.name, at or 0.0)
        if self._running:
            self._tools(at)
        elif message.stop_reason in ENDINGS:
            self._is(Status.IDLE, at)
        else:
            answered = message.stop_reason is None and any(block.type == "text" for block in message.blocks)
            self._is(Status.WORKING, at, open_ended=answered)

    def _synthetic(self, record: _Record, at: float | None) -> None:
        # Written by Claude Code itself in place of an answer that did not come.
        if not record.isApiErrorMessage:
            self._is(Status.IDLE, at)
        elif record.apiErrorStatus == 429 or record.error == "rate_limit":
            self._is(Status.RATE_LIMITED, at)
        else:
            self._is(Status.ERROR, at)

    def _user(self, record: _Record, at: float | None) -> None:
        message = record.message
        if message is None or record.isMeta or record.isCompactSummary:
            return
        self._hear_of_agent(record)
        ended = [block.tool_use_id for block in message.blocks if block.type == "tool_result" and block.tool_use_id]
        if ended:
            for call in ended:
                self._running.end(call)
            if self._running:
                self._tools(at)
            else:
                self._is(Status.WORKING, at)
        elif message.text.startswith(INTERRUPTED):
            self._is(Status.IDLE, at)
        elif not message.text.startswith(NO_PROMPT):
            self._is(Status.WORKING, at)

    def _system(self, record: _Record, at: float | None) -> None:
        match record.subtype:
            case "turn_duration":
                self._is(Status.IDLE, at)
            case "compact_boundary":
                after = record.compactMetadata
                self._context = (counted(after.postTokens) or None) if after is not None else None
            case "api_error" if isinstance(record.error, _ApiError) and record.error.status == 429:
                self._is(Status.RATE_LIMITED, at)

    def _tools(self, at: float | None) -> None:
        self._is(Status.WAITING if self._running.any_of(ASKING) else Status.TOOL, at)

    # Tokens

    def _count(self, record: _Record, at: float, agent: str) -> None:
        message = record.message
        if record.type != "assistant" or message is None or message.usage is None or message.id is None:
            return
        if not agent and not record.isSidechain and self._is_history(record):
            return
        model = name(message.model) if message.usage.speed in (None, "standard") else None
        response = f"{message.id}:{record.requestId or ''}"
        usage = message.usage.plain()
        self._ledger.count(response, model, usage, at)
        if agent:
            self._newest[agent] = (response, model, at)
            self._complete(agent)
            while len(self._newest) > LAST_WORDS:
                del self._newest[next(iter(self._newest))]

    def _is_history(self, record: _Record) -> bool:
        # A session that was forked or resumed under a new id begins with a copy of the old one's records.
        return record.forkedFrom is not None or (record.sessionId is not None and record.sessionId != self.session)

    def _hear_of_agent(self, record: _Record) -> None:
        # Version 2.1.197 writes a sub-agent's last answer with the usage it began with, and the true one only here.
        if b'"agentId"' not in bytes(record.toolUseResult) or self._is_history(record):
            return
        try:
            result = _agent_result.decode(record.toolUseResult)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self._told[result.agentId] = result.usage.plain()
        self._complete(result.agentId)
        while len(self._told) > LAST_WORDS:
            del self._told[next(iter(self._told))]

    def _complete(self, agent: str) -> None:
        told, newest = self._told.get(agent), self._newest.get(agent)
        if told is not None and newest is not None:
            response, model, at = newest
            self._ledger.complete(response, model, told, at)

    def _window(self) -> tuple[int | None, str | None]:
        limit = self._tariff.window(self._model) if self._model is not None else None
        if limit is None:
            return None, None
        if self._context is not None and self._context > limit:
            # More is in it than the model's window holds: the session has the million-token one, which no record names.
            return (1_000_000, "inferred:over the usual window") if self._context <= 1_000_000 else (None, None)
        return limit, "inferred:genai-prices"
