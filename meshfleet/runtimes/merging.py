"""One session, told of by several channels -> what is shown: one source per field, chosen by rank, never two added.

| field | rank | why |
|---|---|---|
| status, tool | hooks and file by time, then OTLP | hooks tell of a beginning, OTLP only of what has ended |
| model | file, status line, OTLP, hooks | the file has it with each answer |
| context tokens | status line, file, OTLP, hooks | the runtime's own figure before one worked out from usage |
| context limit | reported, then configured, then inferred; then by channel | a list of models knows no contract |
| tokens | file; where there is none, OTLP, then status line | only the file is sure to have the whole session |
| cost | status line, OTLP, file | the runtime knows what it pays; a list price is an estimate |
| rate limits | whoever spoke last | they change by the minute |
| the rest | file, hooks, status line, OTLP | |

A runtime's own server, that has the whole session, ranks beside the file; no runtime has both.

A channel that fell silent while another went on does not speak for the present any more (OVERTAKEN). Sums of a channel
that began to listen in the middle are used only where no other has any, or has seen less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.record import Channel, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_T = TypeVar("_T")

OVERTAKEN = 60.0
"""Seconds by which a channel may lag behind the newest word of a session and still count for the present. Claude Code
sends its telemetry in batches of 5 s, metrics each minute."""

PART = 0.9
"""What of another's cost a channel must have seen to count as having seen all: list prices are off by some per cent."""

_PRESENT = (Channel.HOOKS, Channel.SERVER, Channel.FILE, Channel.PUSHED, Channel.STATUSLINE)
_MODEL = (Channel.FILE, Channel.SERVER, Channel.STATUSLINE, Channel.OTLP, Channel.PUSHED, Channel.HOOKS)
_CONTEXT = (Channel.STATUSLINE, Channel.SERVER, Channel.FILE, Channel.PUSHED, Channel.OTLP, Channel.HOOKS)
_TOKENS = (Channel.FILE, Channel.SERVER, Channel.PUSHED, Channel.OTLP, Channel.STATUSLINE, Channel.HOOKS)
_COST = (Channel.STATUSLINE, Channel.SERVER, Channel.PUSHED, Channel.OTLP, Channel.FILE, Channel.HOOKS)
_REST = (Channel.FILE, Channel.SERVER, Channel.HOOKS, Channel.STATUSLINE, Channel.PUSHED, Channel.OTLP)

_LIMITS = ("reported", "configured", "inferred")


class Merged(msgspec.Struct, frozen=True):
    """What is shown of a session, and where each of its fields is from."""

    record: SessionRecord
    sources: dict[str, str]


def merged(records: Mapping[Channel, SessionRecord], windows: Mapping[str, int] | None = None) -> Merged:
    """All channels' words of one session as one. `records` has at least one; `windows` are those configured, by
    model."""
    newest = max((record.last_at or 0.0) for record in records.values())
    present = {c: r for c, r in records.items() if newest - (r.last_at or 0.0) <= OVERTAKEN}
    doing = _doing(records)
    context = _first(present, _CONTEXT, lambda r: r.context_tokens)
    tokens, cost = _tokens(records), _cost(records)
    model = _first(present, _MODEL, lambda r: r.model) or _first(records, _MODEL, lambda r: r.model)
    limit, limit_source = _limit(records, (windows or {}).get(model.model or "") if model is not None else None)
    rates = max((r for r in records.values() if r.rate_limits), key=lambda r: r.last_at or 0.0, default=None)
    first = next(iter(records.values()))
    record = SessionRecord(
        runtime=first.runtime,
        session=first.session,
        source=doing.source,
        agent=_value(records, lambda r: r.agent),
        host=_value(records, lambda r: r.host),
        parent=_value(records, lambda r: r.parent),
        project=_value(records, lambda r: r.project),
        model=model.model if model is not None else None,
        version=_value(records, lambda r: r.version or None) or (),
        status=doing.status if doing.status is not None else Status.STARTING,
        status_at=doing.status_at,
        open_ended=doing.open_ended,
        one_shot=any(r.one_shot for r in records.values()),
        last_at=newest or None,
        tool=doing.tool,
        tool_at=doing.tool_at,
        context_tokens=context.context_tokens if context is not None else None,
        context_limit=limit,
        context_limit_source=limit_source,
        usage=tokens.usage if tokens is not None else None,
        cost=cost.cost if cost is not None else None,
        rate_limits=rates.rate_limits if rates is not None else (),
        exit_code=_value(records, lambda r: r.exit_code),
    )
    return Merged(record, _sources(record, model, context, tokens, cost, rates))


def _doing(records: Mapping[Channel, SessionRecord]) -> SessionRecord:
    """Who says what the session does now: the newest word. Nobody is overtaken here by mere signs of life: while a tool
    runs for minutes, a status line and metrics go on, and say nothing of what is going on."""
    told = [records[c] for c in _PRESENT if c in records and records[c].status is not None]
    otlp = records.get(Channel.OTLP)
    if not told:
        return otlp if otlp is not None and otlp.status is not None else next(iter(records.values()))
    best = max(told, key=lambda record: record.status_at)  # of several at one moment the first by rank
    if otlp is not None and otlp.status is not None and otlp.status_at > (best.last_at or 0.0) + OVERTAKEN:
        return otlp
    return best


def _limit(records: Mapping[Channel, SessionRecord], configured: int | None) -> tuple[int | None, str | None]:
    for kind in _LIMITS:
        for channel in _CONTEXT:
            record = records.get(channel)
            if record is not None and record.context_limit and (record.context_limit_source or "").startswith(kind):
                return record.context_limit, record.context_limit_source
        if kind == "configured" and configured:
            return configured, kind
    return None, None


def _tokens(records: Mapping[Channel, SessionRecord]) -> SessionRecord | None:
    """Where there is a file its word counts, also while it is not read to its end: two sums in turn would jump."""
    if (file := records.get(Channel.FILE)) is not None:
        return file if file.usage is not None else None
    return _first(records, _TOKENS, lambda r: r.usage)


def _cost(records: Mapping[Channel, SessionRecord]) -> SessionRecord | None:
    most = max((r.cost for r in records.values() if r.cost is not None), default=None)
    return _first(records, _COST, lambda r: r.cost if r.cost is not None and r.cost >= PART * (most or 0.0) else None)


def _first(
    records: Mapping[Channel, SessionRecord], rank: Iterable[Channel], of: Callable[[SessionRecord], object]
) -> SessionRecord | None:
    """The first by rank that has it."""
    return next((records[c] for c in rank if c in records and of(records[c]) is not None), None)


def _value(records: Mapping[Channel, SessionRecord], of: Callable[[SessionRecord], _T | None]) -> _T | None:
    found = _first(records, _REST, of)
    return None if found is None else of(found)


def _sources(
    record: SessionRecord,
    model: SessionRecord | None,
    context: SessionRecord | None,
    tokens: SessionRecord | None,
    cost: SessionRecord | None,
    rates: SessionRecord | None,
) -> dict[str, str]:
    sources: dict[str, str] = {}
    if model is not None:
        sources["model"] = f"reported:{model.source}"
    if context is not None:
        sources["context_tokens"] = f"reported:{context.source}"
    if record.context_limit_source is not None:
        sources["context_limit"] = record.context_limit_source
    if tokens is not None:
        sources["tokens_in"] = sources["tokens_out"] = tokens.usage_source or f"reported:{tokens.source}"
    if cost is not None:
        sources["cost_usd"] = cost.cost_source or f"reported:{cost.source}"
    if rates is not None:
        sources["rate_limits"] = f"reported:{rates.source}"
    return sources
