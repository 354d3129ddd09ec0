"""What a span says of an agent, by OpenTelemetry's GenAI conventions and what came before and beside them. Pure.

    what            read from, the first that is there
    kind            gen_ai.operation.name | openinference.span.kind | traceloop.span.kind | llm.request.type | the name
    agent           gen_ai.agent.name | agent_name | agent.name, traceloop.entity.name of an agent | the run's name
    tool            gen_ai.tool.name | tool.name | traceloop.entity.name of a tool
    model           gen_ai.response.model | gen_ai.request.model | llm.model_name | model_name
    provider        gen_ai.provider.name | gen_ai.system | llm.provider | llm.system
    tokens in       gen_ai.usage.input_tokens | .prompt_tokens | llm.token_count.prompt
    tokens out      gen_ai.usage.output_tokens | .completion_tokens | llm.token_count.completion
    cache read      gen_ai.usage.cache_read.input_tokens | .cache_read_input_tokens | .details.cache_read_tokens
                    | llm.token_count.prompt_details.cache_read
    cache write     gen_ai.usage.cache_creation.input_tokens | .cache_creation_input_tokens
                    | .cache_write_input_tokens | .details.cache_write_tokens
                    | llm.token_count.prompt_details.cache_write
    cost            operation.cost | llm.cost.total
    error           error.type

Checked against semantic-conventions-genai 0.1.0, pydantic-ai 2.68, strands-agents 1.62, OpenInference and OpenLLMetry
as of November 2026. By allow-list: no other attribute is ever looked at, and of these only numbers, and names that look
like names, get out.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from collections.abc import Mapping


class Operation(Enum):
    """What a span is about."""

    RUN = "run"
    REQUEST = "request"
    TOOL = "tool"
    OTHER = "other"
    """Nothing of an agent's, as far as can be seen; or a part of a run that says nothing of itself."""


_OPERATIONS = {
    "chat": Operation.REQUEST,
    "generate_content": Operation.REQUEST,
    "text_completion": Operation.REQUEST,
    "completion": Operation.REQUEST,
    "execute_tool": Operation.TOOL,
    "invoke_agent": Operation.RUN,
    "invoke_workflow": Operation.RUN,
    # OpenInference, in capitals; OpenLLMetry, in small letters
    "llm": Operation.REQUEST,
    "tool": Operation.TOOL,
    "agent": Operation.RUN,
    "workflow": Operation.RUN,
}
_KINDS = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "llm.request.type")
_AGENT = ("gen_ai.agent.name", "agent_name", "agent.name")
_TOOL = ("gen_ai.tool.name", "tool.name")
MODELS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "model_name")
_PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
COST = ("operation.cost", "llm.cost.total")
_NAMED = re.compile(r"(invoke_agent|invoke_workflow|execute_tool|chat|generate_content|text_completion)(?: (.{1,80}))?")
_SPAN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. @-]{0,63}")


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one span says. None is "not said"."""

    operation: Operation
    agent: str | None = None
    tool: str | None = None
    model: str | None = None
    provider: str | None = None
    input: int | None = None
    """The whole prompt, cache included."""
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cost: float | None = None
    """USD."""
    error: str | None = None
    """Type of an error, or an HTTP status."""


def read_span(span: str, attributes: Mapping[str, object]) -> Facts:
    """What the span called `span` says, so far: at its start most of it is not there yet."""
    operation, rest = _operation(span, attributes)
    entity = _text(attributes, ("traceloop.entity.name",))
    agent = _text(attributes, _AGENT)
    if agent is None and operation is Operation.RUN:
        agent = entity or rest or (span if _SPAN_NAME.fullmatch(span) else None)
    tool = None
    if operation is Operation.TOOL:
        tool = clean(_text(attributes, _TOOL) or entity or rest)
    return Facts(
        operation=operation,
        agent=agent,
        tool=tool,
        model=clean(_text(attributes, MODELS)),
        provider=clean(_text(attributes, _PROVIDER)),
        input=_count(attributes, INPUT),
        output=_count(attributes, OUTPUT),
        cache_read=_count(attributes, CACHE_READ),
        cache_write=_count(attributes, CACHE_WRITE),
        cost=_money(attributes),
        error=clean(_text(attributes, ("error.type",))),
    )


def _operation(span: str, attributes: Mapping[str, object]) -> tuple[Operation, str | None]:
    """What it is about; and the second word of its name, where the name is made as the conventions have it."""
    found = _NAMED.fullmatch(span)
    rest = found[2] if found is not None else None
    for attribute in _KINDS:
        said = _text(attributes, (attribute,))
        if said is not None:
            return _OPERATIONS.get(said.lower(), Operation.OTHER), rest
    if found is not None:
        return _OPERATIONS[found[1]], rest
    if span == "running tool":  # pydantic-ai before its version 3 of these spans
        return Operation.TOOL, None
    return Operation.RUN if span == "agent run" else Operation.OTHER, None


def _text(attributes: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value[:200]
    return None


def _count(attributes: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
            return value
    return None


def _money(attributes: Mapping[str, object]) -> float | None:
    for name in COST:
        value = attributes.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return float(value)
    return None
