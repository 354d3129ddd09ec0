"""`meshfleet.otel.instrument()`: agents that tell OpenTelemetry what they do are shown in the fleet, live.

    meshfleet.otel.instrument()
    Agent.instrument_all()          # pydantic-ai; strands and others do it by themselves

A SpanProcessor in the agent's own process: spans are seen when they *start*, so that the tool that runs now shows, and
no collector is needed. It reads the few attributes that `meshfleet.runtimes.genai` lists, and no prompt, argument or
answer. Spans that are not sampled are not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from meshfleet.embed.activity import Kind
from meshfleet.embed.courier import also_told
from meshfleet.embed.following import Following
from meshfleet.embed.quiet import failure, quietly
from meshfleet.embed.tally import Request
from meshfleet.embed.work import failure_of
from meshfleet.runtimes.genai import Facts, Operation, read_span
from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
    from opentelemetry.trace import SpanContext

PROCESS = "meshfleet.agent"
"""The attribute of a resource that names the agent of all telemetry of a process."""

_SCOPES = ("opentelemetry.instrumentation.", "openinference.instrumentation.")
_KINDS = {
    Operation.RUN: Kind.RUN,
    Operation.REQUEST: Kind.REQUEST,
    Operation.TOOL: Kind.TOOL,
    Operation.OTHER: Kind.PART,
}

_instrumented: WeakSet[object] = WeakSet()


def instrument(provider: TracerProvider | None = None) -> Agents | None:
    """Show the agents whose spans `provider` (default: the global one) makes. Once per provider; more change nothing.

    Where the program has no provider yet, one is made the global one; so call this after the program's own set-up, if
    it has any. Never raises: None, and a line in the log, where OpenTelemetry's SDK is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        if provider is None:
            found = trace.get_tracer_provider()
            if not isinstance(found, TracerProvider) and not hasattr(found, "add_span_processor"):
                found = TracerProvider()
                trace.set_tracer_provider(found)
            provider = cast("TracerProvider", found)
        if provider in _instrumented:
            return None
        agents = Agents()
        provider.add_span_processor(agents)  # type: ignore[arg-type]  # has all its methods; see Agents
        _instrumented.add(provider)
        instance = getattr(provider, "resource", None) and provider.resource.attributes.get("service.instance.id")
        if isinstance(instance, str) and clean(instance):
            also_told.append(instance)
    except Exception as error:
        failure("otel.instrument", error)
        return None
    return agents


class Agents:
    """A SpanProcessor that makes agents of spans. Not a subclass of it: this module is there without OpenTelemetry."""

    def __init__(self) -> None:
        self._following = Following("otel")

    @quietly
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span starts: of a tool or a request, that is what the agent does now."""
        self._begin(span, read_span(span.name, dict(span.attributes or {})))

    def _begin(self, span: ReadableSpan, facts: Facts) -> None:
        self._following.begin(
            _key(span.context),
            _key(span.parent),
            _KINDS[facts.operation],
            agent=facts.agent or _service(span),
            tool=facts.tool,
            runtime=_runtime(span),
            under=_process(span),
        )

    @quietly
    def on_end(self, span: ReadableSpan) -> None:
        """A span ends: what a request took is known now."""
        facts = read_span(span.name, dict(span.attributes or {}))
        failed = None
        if not span.status.is_ok and span.status.status_code.name == "ERROR":
            failed = failure_of(facts.error or "error")
        request = _request(facts) if facts.operation is Operation.REQUEST else None
        if request is not None and self._following.agent_of(_key(span.context)) is None:
            # Told only now what it was about, as some libraries do; by nobody that is known.
            self._begin(span, facts)
        self._following.end(_key(span.context), _key(span.parent), request, failed)

    def _on_ending(self, span: Span) -> None:
        """Nothing: the SDK calls it before `on_end`."""

    def shutdown(self) -> None:
        """The provider ends; so does what its spans told."""
        self._following.finish()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """There is nothing to wait for."""
        return True


def _key(context: SpanContext | None) -> tuple[int, int] | None:
    return None if context is None else (context.trace_id, context.span_id)


def _request(facts: Facts) -> Request:
    return Request(
        input=facts.input,
        output=facts.output,
        cache_read=facts.cache_read,
        cache_write=facts.cache_write,
        model=facts.model,
        provider=facts.provider,
        cost=facts.cost,
    )


def _service(span: ReadableSpan) -> str | None:
    """What the program calls itself, for agents without a name."""
    name = span.resource.attributes.get("service.name")
    return name if isinstance(name, str) and clean(name) and not name.startswith("unknown_service") else None


def _process(span: ReadableSpan) -> str | None:
    """The agent that stands for this whole process, where `meshfleet run` or somebody else named one."""
    named = span.resource.attributes.get(PROCESS)
    return named if isinstance(named, str) and clean(named) else None


def _runtime(span: ReadableSpan) -> str:
    """The library that makes the spans: `pydantic-ai`, `strands`, `langchain`."""
    scope = span.instrumentation_scope.name if span.instrumentation_scope is not None else ""
    for prefix in _SCOPES:
        if scope.startswith(prefix):
            scope = scope[len(prefix) :]
    return clean(scope.split(".")[0]) or "python"
