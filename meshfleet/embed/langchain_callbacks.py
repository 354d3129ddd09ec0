"""What LangChain and LangGraph tell a callback handler -> agents. Imported only where langchain-core is used.

Sums come from `usage_metadata`, whose `input_tokens` has the cache in it. Prompts, messages, tool inputs and outputs
are handed to every handler; this one never looks at them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from langchain_core.callbacks.base import BaseCallbackHandler

from meshfleet.embed.activity import Kind
from meshfleet.embed.following import Following
from meshfleet.embed.quiet import quietly
from meshfleet.embed.tally import Request
from meshfleet.embed.work import failure_of
from meshfleet.runtimes.record import name as clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

STARTED_LIMIT = 1_024
"""Requests whose model is remembered until they end."""


class FleetCallbacks(BaseCallbackHandler):  # type: ignore[misc]  # langchain-core is not followed by the type checker
    """A callback handler for any number of runs at once, from threads and event loops alike."""

    # In the run's own order, not beside it in a thread pool: it is quicker than the way there.
    run_inline = True
    raise_error = False

    def __init__(self) -> None:
        super().__init__()
        self._following = Following("langchain")
        self._models: dict[UUID, tuple[str | None, str | None]] = {}

    def _begin(
        self, run_id: UUID, parent: UUID | None, kind: Kind, agent: str | None = None, tool: str | None = None
    ) -> None:
        self._following.begin(run_id, parent, kind, agent=agent, tool=tool, runtime=_runtime())

    @quietly
    def on_chain_start(
        self,
        serialized: object,
        inputs: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, object] | None = None,
        name: str | None = None,
        **others: object,
    ) -> None:
        """A graph, a node of one, or a chain begins. The outermost is the run; a named agent in it has its own."""
        agent = _text(metadata, "lc_agent_name")
        if agent is None and parent_run_id is None:
            agent = name if name and not name.startswith("Runnable") else None
        kind = Kind.RUN if agent is not None or parent_run_id is None else Kind.PART
        self._begin(run_id, parent_run_id, kind, agent=agent)

    @quietly
    def on_chat_model_start(
        self,
        serialized: object,
        messages: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, object] | None = None,
        **others: object,
    ) -> None:
        """A chat model is asked."""
        while len(self._models) >= STARTED_LIMIT:
            del self._models[next(iter(self._models))]
        self._models[run_id] = (_text(metadata, "ls_model_name"), _text(metadata, "ls_provider"))
        self._begin(run_id, parent_run_id, Kind.REQUEST)

    @quietly
    def on_llm_start(
        self,
        serialized: object,
        prompts: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, object] | None = None,
        **others: object,
    ) -> None:
        """A completion model is asked."""
        self.on_chat_model_start(serialized, None, run_id=run_id, parent_run_id=parent_run_id, metadata=metadata)

    @quietly
    def on_tool_start(
        self,
        serialized: Mapping[str, object] | None,
        input_str: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        **others: object,
    ) -> None:
        """A tool begins."""
        self._begin(run_id, parent_run_id, Kind.TOOL, tool=_text(serialized, "name") or name)

    @quietly
    def on_llm_end(
        self, response: object, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object
    ) -> None:
        """A model has answered."""
        model, provider = self._models.pop(run_id, (None, None))
        self._following.end(run_id, parent_run_id, _request(response, model, provider))

    @quietly
    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object
    ) -> None:
        """A model did not answer."""
        self._models.pop(run_id, None)
        self._following.end(run_id, parent_run_id, None, failure_of(type(error).__name__))

    @quietly
    def on_tool_end(self, output: object, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object) -> None:
        """A tool ends."""
        self._following.end(run_id, parent_run_id)

    @quietly
    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object
    ) -> None:
        """A tool failed."""
        self._following.end(run_id, parent_run_id, None, failure_of(type(error).__name__))

    @quietly
    def on_chain_end(
        self, outputs: object, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object
    ) -> None:
        """A graph, a node or a chain ends."""
        self._following.end(run_id, parent_run_id)

    @quietly
    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **others: object
    ) -> None:
        """It failed. An interrupt of LangGraph's, which waits for a person, is no failure."""
        kind = type(error).__name__
        self._following.end(run_id, parent_run_id, None, None if "Interrupt" in kind else failure_of(kind))


def _request(response: object, model: str | None, provider: str | None) -> Request:
    """What the answer of one call says: the sum over its prompts, of which a chat has one."""
    sums: dict[str, int] = {}
    for candidates in getattr(response, "generations", None) or ():
        message = getattr(candidates[0], "message", None) if candidates else None
        usage = getattr(message, "usage_metadata", None) or {}
        details = usage.get("input_token_details") or {}
        told = getattr(message, "response_metadata", None) or {}
        model = _text(told, "model_name") or _text(told, "model") or model
        parts = (
            ("input", usage.get("input_tokens")),
            ("output", usage.get("output_tokens")),
            ("cache_read", details.get("cache_read")),
            ("cache_write", details.get("cache_creation")),
        )
        for part, number in parts:
            if isinstance(number, int):
                sums[part] = sums.get(part, 0) + number
    return Request(
        input=sums.get("input"),
        output=sums.get("output"),
        cache_read=sums.get("cache_read"),
        cache_write=sums.get("cache_write"),
        model=clean(model),
        provider=clean(provider),
    )


def _text(things: Mapping[str, object] | None, name: str) -> str | None:
    found = None if not things else things.get(name)
    return found if isinstance(found, str) and found else None


def _runtime() -> str:
    return "langgraph" if "langgraph.pregel" in sys.modules else "langchain"
