"""What one session was told of by telemetry, summed up: events and spans here, metrics there, never both added.

Events and spans are told within seconds, one per answer, with the context and the cost of each. Metrics are sums of the
same tokens, told once a minute; but a counter that is cumulative has counted from before this node listened. So events
are shown, unless the metrics have seen clearly more (PART).
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.plain import Span, Temporality
from meshfleet.runtimes.otlp.series import Series
from meshfleet.runtimes.record import SessionRecord
from meshfleet.runtimes.usage import NOTHING, Ledger, Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Point
    from meshfleet.runtimes.otlp.told import Counted, Dialect, Told
    from meshfleet.runtimes.usage import Tariff

SOURCE = "otlp"

PART = 0.9
"""Events that have seen this part of what the metrics have are complete enough: the two are not told at one time."""

PARENTS = 256
"""Calls whose parent span is remembered. Two instrumentations of one call nest within the same second."""

EACH = 100_000
"""Tokens that sums are priced by, one kind at a time: below the step above which a single long prompt costs more. A sum
does not say how long its prompts were."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Who a session is."""

    runtime: str
    session: str
    agent: str | None = None
    host: str | None = None
    project: str | None = None


class Heard:
    """One session. Tell it what its dialect makes of records; ask it for its record."""

    def __init__(self, about: About, dialect: Dialect, tariff: Tariff, now: float) -> None:
        self.about = about
        self.heard_at = now
        """When it was last told of, by this machine's clock."""
        self._dialect = dialect
        self._tariff = tariff
        self._ledger = Ledger(tariff)
        self._sums = _Sums(tariff)
        self._since = now
        self._begun = self._resumed = False
        self._reported = self._priced = False
        self._status: Status | None = None
        self._status_at = self._model_at = self._context_at = 0.0
        self._open_ended = False
        self._tool: str | None = None
        self._last_at: float | None = None
        self._model: str | None = None
        self._context: int | None = None
        self._windows: dict[str, int] = {}
        self._parents: deque[str] = deque(maxlen=PARENTS)

    @property
    def series(self) -> int:
        """How many series of counters it holds."""
        return len(self._sums.series)

    def tell(self, told: Told, at: float, span: Span | None = None) -> None:
        """What was said at `at`, in any order, and perhaps not for the first time."""
        self._since = min(self._since, at)
        self._last_at = max(at, self._last_at or at)
        self._begun |= told.begins
        if told.status is not None and at >= self._status_at:
            self._status, self._status_at, self._open_ended = told.status, at, told.open_ended
            self._tool = told.tool
        if told.model is not None and at >= self._model_at:
            self._model, self._model_at = told.model, at
        if (told.context is not None or told.emptied) and at >= self._context_at:
            self._context, self._context_at = told.context, at
        if told.response is None:
            return
        if span is not None:
            if span.span_id and span.span_id in self._parents:
                return  # one call, seen by two instrumentations, one around the other: the inner one has been counted
            if span.parent_id:
                self._parents.append(span.parent_id)
        response = told.response
        if response.usage != NOTHING:
            self._reported |= response.cost is not None
            self._priced |= response.cost is None
        model = told.of_model if response.standard else None
        self._ledger.count(response.id, model, response.usage, at, cost=response.cost)

    def count(self, counted: Counted, point: Point, at: float, room: int) -> bool:
        """What a point adds. False where it is of one series too many."""
        if counted.kind == "resumed":
            self._resumed = True
            return True
        if counted.model is not None and counted.window is not None:
            self._windows[counted.model] = counted.window
        added = self._sums.add(counted, point, at, room)
        if added is None:
            return False
        self._since = min(self._since, at)
        if not added:
            return True  # said again, as exporters do each minute: nobody is at work for that
        self._last_at = max(at, self._last_at or at)
        if self._ledger.total == NOTHING and at >= self._status_at:
            self._status, self._status_at, self._open_ended = Status.WORKING, at, True
            self._model = counted.model or self._model
        return True

    def record(self) -> SessionRecord:
        """What is known by now."""
        limit, limit_source = self._window()
        usage, usage_source, cost, cost_source = self._used()
        return SessionRecord(
            runtime=self.about.runtime,
            session=self.about.session,
            source=SOURCE,
            agent=self.about.agent,
            host=self.about.host,
            project=self.about.project,
            model=self._model,
            status=self._status,
            status_at=self._status_at,
            open_ended=self._open_ended,
            last_at=self._last_at,
            tool=self._tool,
            tool_at=self._status_at if self._tool is not None else None,
            context_tokens=self._context,
            context_limit=limit,
            context_limit_source=limit_source,
            usage=usage,
            usage_source=usage_source,
            cost=cost,
            cost_source=cost_source,
        )

    def _used(self) -> tuple[Usage | None, str | None, float | None, str | None]:
        """Tokens and money, both by the same way, and what is to be said of them."""
        events, metrics = self._ledger.total, self._sums.total()
        if _tokens(events) >= PART * _tokens(metrics) and events != NOTHING:
            complete = self._begun and not self._resumed
            by_list = "priced" if self._priced else f"reported:{SOURCE}"
            return events, self._said(SOURCE, complete), self._ledger.cost, by_list
        if metrics != NOTHING:
            cost, source = self._sums.cost()
            complete = self._sums.whole or (self._begun and not self._resumed)
            return metrics, self._said(f"{SOURCE} metrics", complete), cost, source
        return None, None, None, None

    def _said(self, source: str, complete: bool) -> str:
        """Where the tokens are from, and since when, where more may have been used before."""
        if complete:
            return f"reported:{source}"
        return f"reported:{source} since {datetime.fromtimestamp(self._since, UTC):%Y-%m-%dT%H:%MZ}"

    def _window(self) -> tuple[int | None, str | None]:
        model = self._model
        if model is None:
            return None, None
        if model in self._windows:
            return self._windows[model], "reported:otlp model name"
        own = self._dialect.window(model)
        if own is not None:
            return own, f"inferred:{self._dialect.runtime}"
        limit = self._tariff.window(model)
        if limit is None:
            return None, None
        if self._context is not None and self._context > limit:
            # More is in it than the window that lists have: it is another one.
            wider = self._dialect.runtime == "claude-code" and self._context <= 1_000_000
            return (1_000_000, "inferred:over the usual window") if wider else (None, None)
        return limit, "inferred:genai-prices"


class _Sums:
    """What metrics have counted, by model."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self.series = Series()
        self.whole = True
        """Whether all counters are cumulative, from a start that was told."""
        self._by_model: dict[str | None, dict[str, float]] = {}
        self._money = 0.0
        self._paid = False
        self._at = 0.0

    def add(self, counted: Counted, point: Point, at: float, room: int) -> float | None:
        """What the point added; None where its series is one too many."""
        added = self.series.added(point, (*counted.labels, ("kind", counted.kind)), room)
        if added is None:
            return None
        self._at = max(self._at, at)
        if counted.kind == "cost":
            self._paid, self._money = True, self._money + added
            return added
        self.whole &= point.temporality is Temporality.CUMULATIVE and point.start > 0
        kinds = self._by_model.setdefault(counted.model, {})
        kinds[counted.kind] = kinds.get(counted.kind, 0.0) + added
        return added

    def total(self) -> Usage:
        """All models' tokens."""
        total = NOTHING
        for kinds in self._by_model.values():
            total = total.plus(_usage(kinds))
        return total

    def cost(self) -> tuple[float | None, str]:
        """USD, and whose word it is; None where a model has no price."""
        if self._paid:
            return round(self._money, 9), f"reported:{SOURCE} metrics"
        costs = [self._price(model, _usage(kinds)) for model, kinds in self._by_model.items()]
        known = [cost for cost in costs if cost is not None]
        return (round(sum(known), 9) if len(known) == len(costs) else None), "priced"

    def _price(self, model: str | None, usage: Usage) -> float | None:
        # Each kind by itself, and not the sum at once: some models cost more where a single prompt is long.
        whole = 0.0
        for kind in ("fresh", "cache_read", "cache_write", "output"):
            tokens = getattr(usage, kind)
            if not tokens:
                continue
            each = None if model is None else self._tariff.cost(model, Usage(**{kind: EACH}), self._at)
            if each is None:
                return None
            whole += each * tokens / EACH
        return whole


def _usage(kinds: dict[str, float]) -> Usage:
    """Kinds of tokens, as each dialect counts them, as ours, which exclude each other."""
    read, write = int(kinds.get("cache_read", 0)), int(kinds.get("cache_write", 0))
    prompt = int(kinds.get("prompt", 0))
    return Usage(
        fresh=int(kinds.get("fresh", 0)) + max(0, prompt - read - write if prompt else 0),
        cache_read=read,
        cache_write=write,
        output=int(kinds.get("output", 0)),
    )


def _tokens(usage: Usage) -> int:
    return usage.prompt + usage.output
