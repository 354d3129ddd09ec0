"""Claude Code's telemetry, as of 2.1.197 (recorded) and its page "Monitoring usage" of 2026-08.

| what | event, attribute | metric, label |
|---|---|---|
| session | `session.id` | `session.id` |
| fresh prompt tokens | `api_request`: `input_tokens` | `claude_code.token.usage`: `type=input` |
| read from, written to the cache | `cache_read_tokens`, `cache_creation_tokens` | `cacheRead`, `cacheCreation` |
| output | `output_tokens` | `output` |
| cost | `cost_usd` | `claude_code.cost.usage` |
| model, context | `model`; prompt of the newest main request | |
| window | | `model` ends in `[1m]`: a million |
| status | `user_prompt`, `api_request`, `tool_result`, `api_error` | |
| tool | `tool_decision` with `decision=accept`: `tool_name`, until the next event | |
| context dropped | `compaction`: `post_tokens` | |

Its input excludes the cache. Its numbers come as text. `query_source` tells sub-agents and errands apart: their tokens
count, their context and model don't. Its spans say the same once more, and are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.plain import count, number, text
from meshfleet.runtimes.otlp.told import Counted, Response, Told
from meshfleet.runtimes.record import name, seconds
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Attributes, Event, Origin, Point, Span

TOKENS = {"input": "fresh", "output": "output", "cacheRead": "cache_read", "cacheCreation": "cache_write"}
MILLION = "[1m]"
OWN = frozenset({"main", "sdk"})
"""Sources of requests that are the session's own; `repl_main_thread` and its kin besides. Others are sub-agents,
titles, summaries, checks of hooks."""


class ClaudeCode:
    """Its dialect."""

    runtime = "claude-code"
    provider = "anthropic"
    attributes = frozenset(
        {
            "model",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_creation_tokens",
            "cost_usd",
            "cost_usd_micros",
            "request_id",
            "event.sequence",
            "query_source",
            "speed",
            "status_code",
            "decision",
            "tool_name",
            "post_tokens",
            "success",
            "type",
            "effort",
            "start_type",
        }
    )
    metrics = frozenset({"claude_code.token.usage", "claude_code.cost.usage", "claude_code.session.count"})

    def session(self, origin: Origin, attributes: Attributes) -> str | None:
        """`session.id`; sub-agents have that of the session that started them."""
        return text(attributes, "session.id") or text(origin.resource, "session.id")

    def event(self, event: Event) -> Told | None:
        """What an event says."""
        said = event.attributes
        begins = number(said.get("event.sequence")) == 0  # a process that takes a session up again says so in a metric
        match event.name.removeprefix("claude_code."):
            case "api_request":
                return self._answered(event)
            case "user_prompt" | "tool_result":
                return Told(status=Status.WORKING, begins=begins)
            case "tool_decision":
                if said.get("decision") != "accept":
                    return Told(status=Status.WORKING, begins=begins)
                return Told(status=Status.TOOL, tool=name(text(said, "tool_name")), begins=begins)
            case "api_error" | "api_retries_exhausted":
                limited = count(said.get("status_code")) == 429
                return Told(status=Status.RATE_LIMITED if limited else Status.ERROR, begins=begins)
            case "compaction" if str(said.get("success", "true")).lower() == "true":
                after = count(said.get("post_tokens"))
                return Told(context=after or None, emptied=not after, begins=begins)
        return Told(begins=begins)

    def _answered(self, event: Event) -> Told:
        said = event.attributes
        usage = Usage(
            fresh=count(said.get("input_tokens")),
            cache_read=count(said.get("cache_read_tokens")),
            cache_write=count(said.get("cache_creation_tokens")),
            output=count(said.get("output_tokens")),
        )
        micros = number(said.get("cost_usd_micros"))
        cost = number(said.get("cost_usd"))
        if cost is None and micros is not None:
            cost = micros / 1e6
        model = name(text(said, "model"))
        own = _own(text(said, "query_source"))
        at = seconds(text(said, "event.timestamp")) or event.time
        response = Response(
            # Behind a gateway there is no request id.
            id=text(said, "request_id") or f"{at}:{text(said, 'event.sequence')}",
            usage=usage,
            cost=cost,
            standard=said.get("speed") in (None, "standard", "normal"),
        )
        return Told(
            status=Status.WORKING if own else None,
            open_ended=True,
            model=model if own else None,
            of_model=model,
            context=usage.prompt or None if own else None,
            response=response,
        )

    def span(self, span: Span) -> Told | None:
        """Nothing that its events don't say."""
        return None

    def point(self, point: Point) -> Counted | None:
        """Tokens by kind, and money."""
        if point.name == "claude_code.session.count":
            fresh = text(point.attributes, "start_type") in (None, "fresh")
            return None if fresh else Counted(kind="resumed")
        labelled = text(point.attributes, "model")
        model = name(labelled.removesuffix(MILLION)) if labelled is not None else None
        window = 1_000_000 if labelled is not None and labelled.endswith(MILLION) else None
        labels = tuple((key, str(value)) for key, value in sorted(point.attributes.items()) if key in LABELS)
        if point.name == "claude_code.cost.usage":
            return Counted(kind="cost", model=model, labels=labels, window=window)
        kind = TOKENS.get(text(point.attributes, "type") or "")
        if point.name != "claude_code.token.usage" or kind is None:
            return None
        return Counted(kind=kind, model=model, labels=labels, window=window)

    def window(self, model: str) -> int | None:
        """Its names say it, or nobody here."""
        return 1_000_000 if model.endswith(MILLION) else None


LABELS = frozenset({"type", "model", "query_source", "effort", "speed"})


def _own(source: str | None) -> bool:
    return source is None or source in OWN or source.startswith("repl_main")
