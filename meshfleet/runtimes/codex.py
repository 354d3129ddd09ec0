"""Codex's rollouts: lines of `sessions/…/rollout-<time>-<thread>.jsonl` -> what is known of the thread. Pure.

Each line is `{timestamp, type, payload}`. Looked at:

    session_meta         thread, working directory, how it was started, whose fork it is
    turn_context         the model of the turn
    response_item        `function_call` and its kin begin a tool, their `_output` ends it
    token_usage_record   usage of one response, and the thread's sum (since 2026); written when the model has answered
    event_msg            task_started, task_complete, turn_aborted, error; token_count: sum, context, limits

A thread's sum is repeated by both kinds and by every later turn, so what counts is by how much it grew. A fork begins
with its parent's sum, in older versions with a copy of its whole history: growth counts from its own first turn on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import RateLimit, Status
from meshfleet.runtimes.ratelimits import window_name
from meshfleet.runtimes.record import (
    Running,
    SessionRecord,
    counted,
    name,
    project_of,
    rfc3339,
    seconds,
    version_of,
)
from meshfleet.runtimes.usage import NOTHING, Ledger, Tariff, Usage

if TYPE_CHECKING:
    from meshfleet.fleet.usage import Moment

RUNTIME = "codex"

ASKING = frozenset({"request_user_input"})
"""Tools that wait for a person's answer. Approvals leave no record."""

FALLBACK_WINDOW = 258_400
"""The window that Codex writes for a model it has no figures for: 95 % of 272,000. For others it may be true."""

FORK_SLACK = 2.0
"""Seconds after a fork's begin within which records without a time of their own count as its parent's: they are copied
in one burst."""

LIMITS_LIMIT = 8
"""Rate limits kept; an AgentState holds no more."""

_BEGINS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"})
_ENDS = frozenset({"function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output"})


class _Line(msgspec.Struct, frozen=True, gc=False):
    timestamp: str | None = None
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Meta(msgspec.Struct, frozen=True, gc=False):
    id: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    cli_version: str | None = None
    source: object = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    history_base: object = None

    @property
    def parent(self) -> str | None:
        """The thread that started this one as its sub-agent. A fork by a person has none."""
        spawn: object = self.source
        for key in ("subagent", "thread_spawn", "parent_thread_id"):
            spawn = spawn.get(key) if isinstance(spawn, dict) else None
        if isinstance(spawn, str):
            return spawn
        return self.parent_thread_id if isinstance(self.source, dict) else None


class _Turn(msgspec.Struct, frozen=True, gc=False):
    model: str | None = None
    cwd: str | None = None


class _Item(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    name: str | None = None
    call_id: str | None = None
    role: str | None = None


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    input_tokens: object = None
    cached_input_tokens: object = None
    cache_write_input_tokens: object = None
    output_tokens: object = None
    total_tokens: object = None

    def plain(self) -> Usage:
        read, write = counted(self.cached_input_tokens), counted(self.cache_write_input_tokens)
        return Usage(
            fresh=max(0, counted(self.input_tokens) - read - write),
            cache_read=read,
            cache_write=write,
            output=counted(self.output_tokens),
        )


class _UsageRecord(msgspec.Struct, frozen=True, gc=False):
    usage: _Tokens | None = None
    thread_token_usage: _Tokens | None = None


class _Info(msgspec.Struct, frozen=True, gc=False):
    total_token_usage: _Tokens | None = None
    last_token_usage: _Tokens | None = None
    model_context_window: object = None


class _Limit(msgspec.Struct, frozen=True, gc=False):
    used_percent: float | None = None
    window_minutes: int | None = None
    resets_at: float | None = None
    resets_in_seconds: float | None = None


class _Limits(msgspec.Struct, frozen=True, gc=False):
    limit_id: str | None = None
    primary: _Limit | None = None
    secondary: _Limit | None = None
    rate_limit_reached_type: object = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    turn_id: str | None = None
    started_at: float | None = None
    model_context_window: object = None
    codex_error_info: object = None
    info: _Info | None = None
    rate_limits: _Limits | None = None


_line = msgspec.json.Decoder(_Line)
_meta = msgspec.json.Decoder(_Meta)
_turn = msgspec.json.Decoder(_Turn)
_item = msgspec.json.Decoder(_Item)
_usage = msgspec.json.Decoder(_UsageRecord)
_event = msgspec.json.Decoder(_Event)


class CodexSession:
    """One thread. Feed it the lines of its rollout; ask it for its record."""

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
        self._one_shot = False
        self._parent: str | None = None
        self._model: str | None = None
        self._project: str | None = None
        self._version: tuple[int, ...] = ()
        self._context: int | None = None
        self._window: int | None = None
        self._limits: dict[tuple[str, str], RateLimit] = {}
        self._last_at: float | None = None
        self._met = False
        self._sum = NOTHING
        self._precise = False
        self._forked_at: float | None = None
        """Set until the fork's own first turn."""
        self._inherits = False
        """Whether the first sum that is seen may hold what a parent used."""

    @staticmethod
    def matters(line: bytes) -> bool:
        """Whether a line can count for the sums: all that is looked at in the far past of a long file."""
        return any(
            mark in line
            for mark in (b'"token_', b'"turn_context"', b'"session_meta"', b'"task_started"', b'"turn_started"')
        )

    def feed(self, line: bytes, agent: str = "") -> None:
        """One line of the rollout. Never raises on what a file holds. (Codex has a file for each sub-agent.)"""
        for text in (line, line.decode("utf-8", "replace")):
            try:
                self._line(_line.decode(text))
                return
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        self.unreadable += 1

    def course(self) -> tuple[Moment, ...]:
        """What had been used when; see `Ledger.course`."""
        return self._ledger.course()

    def record(self) -> SessionRecord:
        """What is known after the lines fed so far."""
        tool, tool_at = self._running.oldest()
        limit, source = self._context_limit()
        return SessionRecord(
            runtime=RUNTIME,
            session=self.session,
            source="rollout",
            parent=self._parent,
            project=self._project,
            model=self._model,
            version=self._version,
            status=self._status,
            status_at=self._status_at,
            open_ended=self._open_ended,
            one_shot=self._one_shot,
            last_at=self._last_at,
            tool=tool,
            tool_at=tool_at,
            context_tokens=self._context,
            context_limit=limit,
            context_limit_source=source,
            usage=self._ledger.total,
            cost=self._ledger.cost,
            cost_source="priced",
            rate_limits=tuple(self._limits.values()),
        )

    def _line(self, line: _Line) -> None:
        at = seconds(line.timestamp)
        if at is not None:
            self._last_at = max(at, self._last_at or at)
        match line.type:
            case "session_meta":
                self._begin(_meta.decode(line.payload))
            case "turn_context":
                turn = _turn.decode(line.payload)
                self._model = name(turn.model) or self._model
                self._project = self._project or project_of(turn.cwd)
            case "response_item":
                self._respond(_item.decode(line.payload), at)
            case "token_usage_record":
                record = _usage.decode(line.payload)
                self._precise = True
                self._grow(record.thread_token_usage, record.usage, at)
                self._fill(record.usage)
            case "event_msg":
                self._happen(_event.decode(line.payload), at)
            case "compacted":
                self._context = None

    def _begin(self, meta: _Meta) -> None:
        if self._met:
            return  # a copy of the parent's, in a fork
        self._met = True
        self._project = project_of(meta.cwd)
        self._version = version_of(meta.cli_version)
        self._one_shot = meta.source == "exec"
        self._parent = name(meta.parent)
        if meta.forked_from_id or meta.parent:
            self._inherits = True
            if meta.history_base is None:  # since 2026 a fork points to its parent's file; before, it holds a copy
                self._forked_at = seconds(meta.timestamp) or self._last_at

    def _respond(self, item: _Item, at: float | None) -> None:
        if self._is_copied(at):
            return
        if item.type in _BEGINS and item.call_id is not None:
            tool = "shell" if item.type == "local_shell_call" else item.name
            self._running.begin(item.call_id, tool, at or 0.0)
            self._tools(at)
        elif item.type in _ENDS and item.call_id is not None:
            if self._running.end(item.call_id):
                self._tools(at)
        elif item.type == "message" and item.role == "assistant" and not self._running:
            # Versions before task_started and task_complete leave no other sign of a turn's end.
            self._open_ended = self._status is Status.WORKING

    def _happen(self, event: _Event, at: float | None) -> None:
        match event.type:
            case "task_started" | "turn_started":
                self._own_turn(event)
                self._is(Status.WORKING, at)
                self._window = counted(event.model_context_window) or self._window
            case "user_message":
                self._is(Status.WORKING, at)
            case "task_complete" | "turn_complete" | "turn_aborted":
                if self._status not in (Status.ERROR, Status.RATE_LIMITED) or event.type == "turn_aborted":
                    self._is(Status.IDLE, at)
            case "error":
                limited = "usage_limit" in str(event.codex_error_info)
                self._is(Status.RATE_LIMITED if limited else Status.ERROR, at)
            case "context_compacted":
                self._context = None
            case "token_count":
                self._token_count(event, at)

    def _is(self, status: Status, at: float | None) -> None:
        self._status = status
        self._status_at = at if at is not None else self._status_at
        self._open_ended = False
        if status not in (Status.TOOL, Status.WAITING):
            self._running.clear()

    def _tools(self, at: float | None) -> None:
        if not self._running:
            self._is(Status.WORKING, at)
        else:
            self._is(Status.WAITING if self._running.any_of(ASKING) else Status.TOOL, at)

    # Tokens

    def _token_count(self, event: _Event, at: float | None) -> None:
        if event.info is not None:
            self._window = counted(event.info.model_context_window) or self._window
            self._fill(event.info.last_token_usage)
            if not self._precise:
                self._grow(event.info.total_token_usage, event.info.last_token_usage, at)
        if event.rate_limits is not None:
            self._limit(event.rate_limits, at)

    def _grow(self, total: _Tokens | None, last: _Tokens | None, at: float | None) -> None:
        """The thread's sum is now `total`, of which the newest response used `last`."""
        if total is None:
            return
        now = total.plain()
        latest = last.plain() if last is not None else None
        if self._is_copied(at):
            self._sum = now
            return
        if self._inherits and self._sum == NOTHING and latest is not None and latest.prompt <= now.prompt:
            self._sum = now.plus(latest, -1)
        self._inherits = False
        grown = now.plus(self._sum, -1)  # nothing, where the sum is said again
        if min(grown.fresh, grown.cache_read, grown.cache_write, grown.output) < 0:
            grown = latest if latest is not None else now  # it began again from nothing
        self._sum = now
        self._ledger.add(self._model, grown, at or 0.0)

    def _fill(self, last: _Tokens | None) -> None:
        if last is not None:
            self._context = counted(last.total_tokens) or self._context

    def _own_turn(self, event: _Event) -> None:
        if self._forked_at is None:
            return
        started = event.started_at if event.started_at is not None else _time_of(event.turn_id)
        if started is not None and started >= self._forked_at - 1.0:  # started_at has whole seconds
            self._forked_at = None

    def _is_copied(self, at: float | None) -> bool:
        if self._forked_at is not None and at is not None and at > self._forked_at + FORK_SLACK:
            self._forked_at = None
        return self._forked_at is not None

    def _context_limit(self) -> tuple[int | None, str | None]:
        if self._window is not None:
            return self._window, "inferred:codex default" if self._window == FALLBACK_WINDOW else "reported:rollout"
        window = self._tariff.window(self._model) if self._model is not None else None
        return window, None if window is None else "inferred:genai-prices"

    def _limit(self, limits: _Limits, at: float | None) -> None:
        key = f"codex:{name(limits.limit_id) or 'account'}"
        for place, limit in (("primary", limits.primary), ("secondary", limits.secondary)):
            if limit is None:
                continue
            resets = limit.resets_at
            if resets is None and limit.resets_in_seconds is not None and at is not None:
                resets = at + limit.resets_in_seconds
            known = resets is not None and 0 < resets < 1e11
            self._limits.pop((key, place), None)
            self._limits[key, place] = RateLimit(
                key=key,
                window=window_name(limit.window_minutes) or place,
                used_pct=limit.used_percent,
                resets_at=rfc3339(resets) if known and resets is not None else None,
            )
        while len(self._limits) > LIMITS_LIMIT:
            del self._limits[next(iter(self._limits))]


def _time_of(turn: str | None) -> float | None:
    """When a turn began, from its UUID of version 7, whose first 48 bits are milliseconds since 1970."""
    digits = (turn or "").replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16) / 1000
    except ValueError:
        return None
