"""Gemini CLI's telemetry, as of 0.61.0 (recorded).

| what | event, attribute | metric, label |
|---|---|---|
| session | `session.id`, of the record or the resource | the same |
| prompt tokens, with cache | `gemini_cli.api_response`: `input_token_count` | `gemini_cli.token.usage`: `type=input` |
| of these from the cache | `cached_content_token_count` | `cache` |
| prompts of tools on Google's side, beside these | `tool_token_count` | `tool` |
| output, and thoughts, which cost as much | `output_token_count`, `thoughts_token_count` | `output`, `thought` |
| model, context | `model`; `input_token_count` of the newest answer | |
| window | 1,048,576 for all `gemini-` models: its own core/tokenLimits.ts | |
| status | `user_prompt`, `api_response`, `tool_call`, `api_error`, `chat_compression` | |

Metrics are cumulative. It says all of it once more by the GenAI conventions (`gen_ai.client.token.usage`, spans
`llm_call`), which are left out: they would be the same tokens again. No cost and no limits are in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.plain import count, text
from meshfleet.runtimes.otlp.told import Counted, Response, Told
from meshfleet.runtimes.record import name
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Attributes, Event, Origin, Point, Span

WINDOW = 1_048_576
TOKENS = {"input": "prompt", "output": "output", "thought": "output", "cache": "cache_read", "tool": "fresh"}
ASIDES = ("utility", "subagent")
"""How roles of requests begin that are not the session's own."""


class GeminiCli:
    """Its dialect."""

    runtime = "gemini-cli"
    provider = "google"
    attributes = frozenset(
        {
            "model",
            "input_token_count",
            "output_token_count",
            "cached_content_token_count",
            "thoughts_token_count",
            "tool_token_count",
            "tokens_after",
            "status_code",
            "role",
            "type",
        }
    )
    metrics = frozenset({"gemini_cli.token.usage"})

    def session(self, origin: Origin, attributes: Attributes) -> str | None:
        """`session.id`."""
        return text(attributes, "session.id") or text(origin.resource, "session.id")

    def event(self, event: Event) -> Told | None:
        """What an event says."""
        said = event.attributes
        match event.name.removeprefix("gemini_cli."):
            case "config":
                return Told(status=Status.STARTING, model=name(text(said, "model")), begins=True)
            case "user_prompt" | "tool_call":
                return Told(status=Status.WORKING)
            case "api_error":
                return Told(status=Status.RATE_LIMITED if count(said.get("status_code")) == 429 else Status.ERROR)
            case "chat_compression":
                after = count(said.get("tokens_after"))
                return Told(context=after or None, emptied=not after)
            case "api_response":
                return self._answered(event)
        return None

    def _answered(self, event: Event) -> Told:
        said = event.attributes
        whole, read = count(said.get("input_token_count")), count(said.get("cached_content_token_count"))
        usage = Usage(
            fresh=max(0, whole - read) + count(said.get("tool_token_count")),
            cache_read=read,
            output=count(said.get("output_token_count")) + count(said.get("thoughts_token_count")),
        )
        model = name(text(said, "model"))
        own = not (text(said, "role") or "").startswith(ASIDES)
        return Told(
            status=Status.WORKING if own else None,
            open_ended=True,
            model=model if own else None,
            of_model=model,
            context=whole or None if own else None,
            response=Response(id=f"{text(said, 'event.timestamp')}:{event.time}:{whole}", usage=usage),
        )

    def span(self, span: Span) -> Told | None:
        """Nothing that its events don't say."""
        return None

    def point(self, point: Point) -> Counted | None:
        """Tokens by kind."""
        kind = TOKENS.get(text(point.attributes, "type") or "")
        if point.name != "gemini_cli.token.usage" or kind is None:
            return None
        model = name(text(point.attributes, "model"))
        return Counted(kind=kind, model=model, labels=(("model", model or ""), ("type", str(point.attributes["type"]))))

    def window(self, model: str) -> int | None:
        """What its own table says of all its models."""
        return WINDOW if model.startswith("gemini-") else None
