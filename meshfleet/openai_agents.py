"""`meshfleet.openai_agents.instrument()`: agents of the OpenAI Agents SDK are shown in the fleet, live.

It listens to the SDK's own tracing, beside whoever else does. With tracing switched off
(OPENAI_AGENTS_DISABLE_TRACING, or a run's `tracing_disabled`) there is nothing to listen to. Names, counts and times
are read; inputs and outputs never.

Which span tells the tokens: `response` and `generation`, one per request; where a model of one's own makes neither, the
`turn` around it. `task` sums up turns and is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.embed.activity import Kind
from meshfleet.embed.following import Following
from meshfleet.embed.quiet import failure, quietly
from meshfleet.embed.tally import Request
from meshfleet.embed.work import failure_of
from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from collections.abc import Callable

RUNTIME = "openai-agents"

_KINDS = {
    "agent": Kind.RUN,
    "function": Kind.TOOL,
    "mcp_tools": Kind.PART,
    "generation": Kind.REQUEST,
    "response": Kind.REQUEST,
}

_installed: list[Agents] = []


def instrument() -> Agents | None:
    """Show every agent that the SDK runs in this process. More calls change nothing. Never raises: None, and a line in
    the log, where the SDK is not installed."""
    if _installed:
        return None
    try:
        from agents import add_trace_processor

        add: Callable[[object], None] = add_trace_processor
        agents = Agents()
        add(agents)
    except Exception as error:
        failure("openai_agents.instrument", error)
        return None
    _installed.append(agents)
    return agents


class Agents:
    """A TracingProcessor that makes agents of the SDK's spans. Not a subclass of it: this module is there without."""

    def __init__(self) -> None:
        self._following = Following("openai-agents")

    def on_trace_start(self, trace: object) -> None:
        """Nothing: a trace begins with its first agent."""

    def on_trace_end(self, trace: object) -> None:
        """Nothing."""

    @quietly
    def on_span_start(self, span: object) -> None:
        """A span starts: of a tool or a request, that is what the agent does now."""
        data = _of(span, "span_data")
        said = _of(data, "name") if _of(data, "type") in ("agent", "function") else _of(data, "agent_name")
        name = said if isinstance(said, str) else None
        kind = _KINDS.get(str(_of(data, "type")), Kind.PART)
        self._following.begin(
            _key(span, "span_id"),
            _key(span, "parent_id"),
            kind,
            agent=name if kind is Kind.RUN else None,
            tool=name if kind is Kind.TOOL else None,
            runtime=RUNTIME,
        )

    @quietly
    def on_span_end(self, span: object) -> None:
        """A span ends: what a request took is known now."""
        data = _of(span, "span_data")
        failed = failure_of("error") if _of(span, "error") is not None else None
        request = _request(data) if _of(data, "type") in ("generation", "response", "turn") else None
        self._following.end(_key(span, "span_id"), _key(span, "parent_id"), request, failed)

    def shutdown(self) -> None:
        """Tracing ends; so does what its spans told."""
        self._following.finish()

    def force_flush(self) -> None:
        """There is nothing to wait for."""


def _request(data: object) -> Request:
    response = _of(data, "response")
    usage = _of(data, "usage") or _of(response, "usage")
    model = _of(data, "model") or _of(response, "model")
    details = _of(usage, "input_tokens_details")
    read = _first(usage, "cached_input_tokens", "cached_tokens", "cache_read_input_tokens")
    into, out = _first(usage, "input_tokens", "prompt_tokens"), _first(usage, "output_tokens", "completion_tokens")
    if not into and not out:
        return Request(model=clean(model) if isinstance(model, str) else None)  # the SDK writes 0 for "not told"
    return Request(
        input=into,
        output=out,
        cache_read=read if read is not None else _first(details, "cached_tokens"),
        cache_write=_first(usage, "cache_write_input_tokens", "cache_write_tokens"),
        model=clean(model) if isinstance(model, str) else None,
    )


def _first(thing: object, *names: str) -> int | None:
    for name in names:
        value = _of(thing, name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _of(thing: object, name: str) -> object:
    """A field of what may be an object, a dict, or not there."""
    found: object = thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
    return found


def _key(span: object, name: str) -> tuple[object, object] | None:
    own = _of(span, name)
    return None if own is None else (_of(span, "trace_id"), own)
