"""`meshfleet.langchain.instrument()`: agents of LangChain and LangGraph are shown in the fleet, live.

It takes langchain-core's own way to add a callback handler to every run of the process. Who would rather name the runs
to watch passes the handler to them: `graph.invoke(..., config={"callbacks": [meshfleet.langchain.callbacks()]})`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from meshfleet.embed.quiet import failure

if TYPE_CHECKING:
    from meshfleet.embed.langchain_callbacks import FleetCallbacks

_installed: list[ContextVar[FleetCallbacks | None]] = []


def instrument() -> FleetCallbacks | None:
    """Show every agent that LangChain or LangGraph runs in this process. More calls change nothing. Never raises: None,
    and a line in the log, where langchain-core is not installed."""
    if _installed:
        return None
    try:
        from langchain_core.tracers.context import register_configure_hook

        handler = callbacks()
        # By its default, the handler is there in every context, of whatever thread or task.
        var: ContextVar[FleetCallbacks | None] = ContextVar("meshfleet.langchain", default=handler)
        register_configure_hook(var, inheritable=True)
    except Exception as error:
        failure("langchain.instrument", error)
        return None
    _installed.append(var)
    return handler


def callbacks() -> FleetCallbacks:
    """A handler for the `callbacks` of single runs. ImportError where langchain-core is not installed."""
    from meshfleet.embed.langchain_callbacks import FleetCallbacks

    return FleetCallbacks()
