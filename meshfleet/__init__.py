"""meshfleet: a gossip mesh without a hub that shows every AI agent of a fleet, from any node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.client import Client
    from meshfleet.embed.agent import Agent

__all__ = ["Agent", "Client", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """What programs use, brought in when it is first asked for: the command needs none of it."""
    if name == "Client":
        from meshfleet.client import Client

        return Client
    if name == "Agent":
        from meshfleet.embed.agent import Agent

        return Agent
    raise AttributeError(f"module 'meshfleet' has no attribute {name!r}")
