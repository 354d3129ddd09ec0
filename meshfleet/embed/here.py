"""Which agent the code that runs now belongs to, by the context that asyncio, Trio and `to_thread` carry along."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.embed.agent import Agent

HERE: ContextVar[Agent | None] = ContextVar("meshfleet.agent", default=None)


def current() -> Agent:
    """The agent that this code runs for: of `@meshfleet.agent`, or one that an instrumentation found. Outside of all,
    one that is shown nowhere, so that whatever is said to it is said to nobody."""
    return here() or _nobody()


def here() -> Agent | None:
    """The same, or None. A context may outlive what was set in it: who has exited is nobody's agent any more."""
    agent = HERE.get()
    return None if agent is None or agent.over else agent


def _nobody() -> Agent:
    from meshfleet.embed.agent import Agent

    return Agent("nobody")
