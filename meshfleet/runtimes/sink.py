"""Where states go: the node, as the runtimes see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState


class Sink(Protocol):
    """Takes the states of this machine's agents. Neither call waits."""

    def publish(self, state: AgentState) -> None:
        """Carry this state. PublishError where it can't travel; the state published before stays."""

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent. One that isn't carried is left alone."""
