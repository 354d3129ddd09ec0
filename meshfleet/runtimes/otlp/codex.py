"""Codex' telemetry, as of 0.169.0 (recorded).

| what | event, attribute |
|---|---|
| session | `conversation.id`: the thread, as in its rollout |
| prompt tokens, cache included | `codex.sse_event` with `event.kind=response.completed`: `input_token_count` |
| of these read from, written to the cache | `cached_token_count`, `cache_write_token_count` |
| output, reasoning included | `output_token_count` |
| model | `model` |
| context | `input_token_count` + `output_token_count` of the newest answer, as Codex itself counts |
| status | `codex.conversation_starts`, `.user_prompt`, `.tool_result`, `.api_request` |
| tool | `codex.tool_decision`, unless denied: `tool_name`, until the next event |

All numbers come as text, times in `event.timestamp`. Each answer is told twice, once without figures. No window, no
limits and no cost are in it. Its metrics name no session, and its spans say nothing of use: both are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.plain import count, text
from meshfleet.runtimes.otlp.told import Response, Told
from meshfleet.runtimes.record import name
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Attributes, Event, Origin, Point, Span
    from meshfleet.runtimes.otlp.told import Counted


class Codex:
    """Its dialect."""

    runtime = "codex"
    provider = "openai"
    attributes = frozenset(
        {
            "model",
            "event.kind",
            "input_token_count",
            "output_token_count",
            "cached_token_count",
            "cache_write_token_count",
            "http.response.status_code",
            "decision",
            "tool_name",
        }
    )
    metrics: frozenset[str] = frozenset()

    def session(self, origin: Origin, attributes: Attributes) -> str | None:
        """The thread."""
        return text(attributes, "conversation.id")

    def event(self, event: Event) -> Told | None:
        """What an event says."""
        said = event.attributes
        model = name(text(said, "model"))
        match event.name:
            case "codex.conversation_starts":
                return Told(status=Status.STARTING, model=model, begins=True)
            case "codex.user_prompt" | "codex.tool_result":
                return Told(status=Status.WORKING, model=model)
            case "codex.tool_decision":
                if text(said, "decision") in ("denied", "abort"):
                    return Told(status=Status.WORKING, model=model)
                return Told(status=Status.TOOL, tool=name(text(said, "tool_name")), model=model)
            case "codex.api_request" if (code := count(said.get("http.response.status_code"))) >= 400:
                return Told(status=Status.RATE_LIMITED if code == 429 else Status.ERROR)
            case "codex.sse_event" if text(said, "event.kind") == "response.completed":
                return self._answered(event, model)
        return None

    def _answered(self, event: Event, model: str | None) -> Told | None:
        said = event.attributes
        if "input_token_count" not in said:
            return None
        whole, read = count(said.get("input_token_count")), count(said.get("cached_token_count"))
        write = count(said.get("cache_write_token_count"))
        usage = Usage(
            fresh=max(0, whole - read - write),
            cache_read=read,
            cache_write=write,
            output=count(said.get("output_token_count")),
        )
        response = Response(id=f"{event.time}:{usage.prompt}:{usage.output}", usage=usage)
        return Told(
            status=Status.WORKING,
            open_ended=True,
            model=model,
            of_model=model,
            context=usage.prompt + usage.output or None,
            response=response,
        )

    def span(self, span: Span) -> Told | None:
        """Nothing of use."""
        return None

    def point(self, point: Point) -> Counted | None:
        """Nothing: they name no session."""
        return None

    def window(self, model: str) -> int | None:
        """Not known here."""
        return None
