"""meshfleet: a gossip mesh without a hub that shows every AI agent of a fleet, from any node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet import httpx, langchain, openai_agents, otel
    from meshfleet.client import Client
    from meshfleet.embed.agent import Agent
    from meshfleet.embed.here import current
    from meshfleet.embed.named import agent

__all__ = ["Agent", "Client", "__version__", "agent", "current", "httpx", "langchain", "openai_agents", "otel"]

__version__ = "0.1.0"

_FOUND_IN = {
    "Agent": "meshfleet.embed.agent",
    "Client": "meshfleet.client",
    "agent": "meshfleet.embed.named",
    "current": "meshfleet.embed.here",
}
_MODULES = ("httpx", "langchain", "openai_agents", "otel")


def __getattr__(name: str) -> object:
    """What programs use, brought in when it is first asked for: the command needs none of it."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"meshfleet.{name}")
    if name in _FOUND_IN:
        return getattr(import_module(_FOUND_IN[name]), name)
    raise AttributeError(f"module 'meshfleet' has no attribute {name!r}")
