"""OpenTelemetry's GenAI conventions with their old names, and OpenInference: whatever is instrumented by either.

Checked against semantic-conventions-genai 0.1.0 and semantic-conventions 1.28 to 1.37, OpenInference 0.1.43,
pydantic-ai 2.68, strands-agents 1.62 (docs and attributes; OpenTelemetry's own SDKs in tests/interop).

| what | attribute, newest name first |
|---|---|
| kind | `gen_ai.operation.name`; `openinference.span.kind`; `llm.request.type` |
| model | `gen_ai.response.model`, `gen_ai.request.model`, `llm.model_name` |
| prompt tokens, cache included | `gen_ai.usage.input_tokens`, `gen_ai.usage.prompt_tokens`, `llm.token_count.prompt` |
| of these read from the cache | `gen_ai.usage.cache_read.input_tokens` and its kin below |
| output | `gen_ai.usage.output_tokens`, `gen_ai.usage.completion_tokens`, `llm.token_count.completion` |
| cost | `operation.cost` (pydantic-ai), `llm.cost.total` |
| tokens where no span says them | `gen_ai.client.token.usage` by `gen_ai.token.type` |

Only calls of a model count: spans of agents, chains and tools repeat the sums of those in them. Some instrumentations
of Anthropic's API tell input without cache; where the cache is more than the input, it was not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.state import Status
from meshfleet.runtimes.genai import CACHE_READ, CACHE_WRITE, COST, INPUT, MODELS, OUTPUT
from meshfleet.runtimes.otlp.plain import count, number, text
from meshfleet.runtimes.otlp.told import Counted, Response, Told
from meshfleet.runtimes.record import name
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Attributes, Event, Origin, Point, Span

CALLS = frozenset({"chat", "generate_content", "text_completion", "completion", "LLM"})
"""Kinds of a span that is one call of a model."""

ASIDES = frozenset({"embeddings", "embedding", "EMBEDDING", "rerank"})
"""Calls whose tokens count, and whose prompt is no context."""

AGENTS = frozenset({"invoke_agent", "invoke_workflow", "AGENT"})
TOOLS = frozenset({"execute_tool", "TOOL"})

KINDS = ("gen_ai.operation.name", "openinference.span.kind", "llm.request.type")
TOKENS = {"input": "prompt", "prompt": "prompt", "output": "output", "completion": "output"}


class GenAi:
    """The dialect."""

    runtime = None
    provider = None
    attributes = frozenset(
        {*KINDS, *MODELS, *INPUT, *OUTPUT, *CACHE_READ, *CACHE_WRITE, *COST, "error.type", "gen_ai.token.type"}
    )
    metrics = frozenset({"gen_ai.client.token.usage"})

    def session(self, origin: Origin, attributes: Attributes) -> str | None:
        """What the program calls a session; else the program itself, as long as it runs; else one conversation."""
        about = origin.resource
        service = text(about, "service.name")
        process = text(about, "process.pid")
        return (
            text(attributes, "session.id")
            or text(about, "session.id", "meshfleet.agent", "service.instance.id")
            or text(attributes, "meshfleet.agent", "gen_ai.conversation.id")
            or (f"{service}.{process}" if service and process else None)
            or (service if service and not service.startswith("unknown_service") else None)
        )

    def event(self, event: Event) -> Told | None:
        """Its events repeat its spans, with content."""
        return None

    def span(self, span: Span) -> Told | None:
        """What a span says."""
        said = span.attributes
        kind = text(said, *KINDS)
        failed = Status.ERROR if span.failed or "error.type" in said else None
        if kind in AGENTS:
            # Of an agent in an agent nothing is known but that the outer one goes on.
            return Told(status=failed or Status.IDLE) if not span.parent_id else None
        if kind in TOOLS:
            return Told(status=Status.WORKING)
        if kind not in CALLS and kind not in ASIDES:
            return None
        usage, model = _usage(said), name(text(said, *MODELS))
        own = kind in CALLS
        return Told(
            status=(failed or Status.WORKING) if own else None,
            open_ended=failed is None,
            model=model if own else None,
            of_model=model,
            context=usage.prompt or None if own else None,
            response=Response(id=span.span_id or f"{span.end}", usage=usage, cost=_cost(said)),
        )

    def point(self, point: Point) -> Counted | None:
        """Tokens by kind."""
        kind = TOKENS.get(text(point.attributes, "gen_ai.token.type") or "")
        if kind is None:
            return None
        model = name(text(point.attributes, *MODELS))
        operation = text(point.attributes, *KINDS) or ""
        if operation in AGENTS | TOOLS:
            return None
        return Counted(kind=kind, model=model, labels=(("kind", kind), ("model", model or ""), ("of", operation)))

    def window(self, model: str) -> int | None:
        """Not told."""
        return None


def _usage(said: Attributes) -> Usage:
    whole, read = count(_first(said, INPUT)), count(_first(said, CACHE_READ))
    write = count(_first(said, CACHE_WRITE))
    fresh = whole - read - write if read + write <= whole else whole
    return Usage(fresh=fresh, cache_read=read, cache_write=write, output=count(_first(said, OUTPUT)))


def _cost(said: Attributes) -> float | None:
    found = number(_first(said, COST))
    return found if found is not None and found >= 0 else None


def _first(said: Attributes, names: tuple[str, ...]) -> object:
    return next((said[each] for each in names if each in said), None)
