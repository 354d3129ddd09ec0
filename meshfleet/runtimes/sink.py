"""Where states go: the node, as the runtimes see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.usage import Moment


class Sink(Protocol):
    """Takes the states of this machine's agents. Neither call waits."""

    def publish(self, state: AgentState) -> None:
        """Carry this state. PublishError where it can't travel; the state published before stays."""

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent. One that isn't carried is left alone."""


class Host(Sink, Protocol):
    """The same, for sessions that have a past, names that change, and others who tell of them, too."""

    def carried(self, agent_id: AgentId) -> AgentState | None:
        """What is shown of an agent, whoever told it last."""

    def recall(self, state: AgentState, course: Sequence[Moment]) -> None:
        """What the session of a state that was just published had used when."""

    def rename(self, agent_id: AgentId, to: AgentId) -> None:
        """Stop carrying an agent that goes on under another id: what it used is not used again by that."""
