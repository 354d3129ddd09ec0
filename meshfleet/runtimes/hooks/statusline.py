"""What Claude Code gives its status line -> a record. Pure, and by allow-list. Checked against 2.1.197.

    model.id, version                     as they are
    workspace.project_dir, else cwd       project: its last component
    context_window.current_usage          context tokens: input, cache reads and cache writes, as its own percentage
                                          counts; nothing yet, or nothing after a compaction, is unknown
    context_window.context_window_size    context limit
    cost.total_cost_usd                   cost: its own, sub-agents included
    rate_limits.five_hour, .seven_day     the limits of a subscription; each may be missing

It comes with each answer and after what a person does, at most every 300 ms, and only in the terminal.
"""

from __future__ import annotations

import math

import msgspec

from meshfleet.fleet.state import RateLimit
from meshfleet.runtimes.claude_code import RUNTIME
from meshfleet.runtimes.record import SessionRecord, counted, name, project_of, rfc3339, version_of

SOURCE = "statusline"


class _Model(msgspec.Struct, frozen=True, gc=False):
    id: str | None = None


class _Workspace(msgspec.Struct, frozen=True, gc=False):
    project_dir: str | None = None


class _Cost(msgspec.Struct, frozen=True, gc=False):
    total_cost_usd: float | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: object = None
    cache_creation_input_tokens: object = None
    cache_read_input_tokens: object = None


class _Window(msgspec.Struct, frozen=True, gc=False):
    context_window_size: object = None
    current_usage: _Usage | None = None


class _Limit(msgspec.Struct, frozen=True, gc=False):
    used_percentage: float | None = None
    resets_at: float | None = None


class _Limits(msgspec.Struct, frozen=True, gc=False):
    five_hour: _Limit | None = None
    seven_day: _Limit | None = None


class _Said(msgspec.Struct, frozen=True, gc=False):
    session_id: str
    cwd: str | None = None
    version: str | None = None
    model: _Model | None = None
    workspace: _Workspace | None = None
    cost: _Cost | None = None
    context_window: _Window | None = None
    rate_limits: _Limits | None = None


_decoder = msgspec.json.Decoder(_Said)


def read(body: bytes, at: float, account: str) -> SessionRecord | None:
    """What it says at `at` (seconds since 1970); None where it is of no session. `account` is a fingerprint of whose
    limits they are. msgspec.DecodeError or UnicodeDecodeError where it is no status line's."""
    said = _decoder.decode(body)
    session = name(said.session_id)
    if session is None:
        return None
    window = said.context_window or _Window()
    usage = window.current_usage or _Usage()
    limit = counted(window.context_window_size) or None
    cost = said.cost.total_cost_usd if said.cost is not None else None
    return SessionRecord(
        runtime=RUNTIME,
        session=session,
        source=SOURCE,
        project=project_of(said.workspace.project_dir if said.workspace is not None else None) or project_of(said.cwd),
        model=name(said.model.id) if said.model is not None else None,
        version=version_of(said.version),
        last_at=at,
        context_tokens=(
            counted(usage.input_tokens)
            + counted(usage.cache_creation_input_tokens)
            + counted(usage.cache_read_input_tokens)
        )
        or None,
        context_limit=limit,
        context_limit_source=f"reported:{SOURCE}" if limit is not None else None,
        cost=cost if cost is not None and math.isfinite(cost) and cost >= 0 else None,
        rate_limits=_limits(said.rate_limits, account),
    )


def _limits(said: _Limits | None, account: str) -> tuple[RateLimit, ...]:
    if said is None:
        return ()
    found = [("5h", said.five_hour), ("7d", said.seven_day)]
    return tuple(
        RateLimit(key=account, window=window, used_pct=_percent(of.used_percentage), resets_at=_time(of.resets_at))
        for window, of in found
        if of is not None
    )


def _percent(told: float | None) -> float | None:
    return round(told, 1) if told is not None and math.isfinite(told) and 0 <= told <= 1000 else None


def _time(told: float | None) -> str | None:
    return rfc3339(told) if told is not None and 1e9 < told < 1e10 else None
