"""`with agent.run():`, `with agent.tool("bash"):`: something that an agent does, from begin to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.embed.here import HERE
from meshfleet.fleet.state import Status

if TYPE_CHECKING:
    from types import TracebackType

    from meshfleet.embed.activity import Kind
    from meshfleet.embed.agent import Agent

_NO_FAILURE = ("CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt", "StopIteration", "SystemExit")


class Work:
    """Good for one `with` or `async with`. An exception passes through untouched."""

    def __init__(self, agent: Agent, kind: Kind, tool: str | None = None) -> None:
        self._agent = agent
        self._kind = kind
        self._tool = tool
        self._before: Agent | None = None

    def __enter__(self) -> Agent:
        self._before = HERE.get()
        HERE.set(self._agent)
        self._agent.begin(self, self._kind, self._tool)
        return self._agent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Set, not reset: an async generator may be ended in another context than it was begun in.
        HERE.set(self._before)
        self._agent.end(self, None if kind is None else failure_of(kind.__name__))

    async def __aenter__(self) -> Agent:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def failure_of(name: str | None) -> Status | None:
    """What an error comes to, by its type's name or an HTTP status; None where it is no failure of the agent's."""
    if name is None or name in _NO_FAILURE:
        return None
    plain = name.lower().replace("_", "")
    limited = "ratelimit" in plain or "toomanyrequests" in plain or plain == "429"
    return Status.RATE_LIMITED if limited else Status.ERROR
