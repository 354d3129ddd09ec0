"""A node, as its machine's runtimes see it: sessions have a past, names that change, and others who tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.usage import Moment
    from meshfleet.node.node import Node


class MadeUp:
    """Satisfies `meshfleet.runtimes.sink.Sink` for agents that nobody pays for: they are shown, and no ledger has what
    they say that they used, or a try of five minutes would stand in the fleet's sums for 13 months."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def publish(self, state: AgentState) -> None:
        """Carry this state. PublishError where it can't travel."""
        self._node.publish(state, counts=False)

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent."""
        self._node.withdraw(agent_id)


class Hosting:
    """Satisfies `meshfleet.runtimes.sink.Host`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def publish(self, state: AgentState) -> None:
        """Carry this state. PublishError where it can't travel."""
        self._node.publish(state)

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent."""
        self._node.withdraw(agent_id)

    def carried(self, agent_id: AgentId) -> AgentState | None:
        """What is shown of an agent of this node."""
        return next((agent.state for agent in self._node.own_agents() if agent.agent_id == agent_id), None)

    def recall(self, state: AgentState, course: Sequence[Moment]) -> None:
        """What the session of a state that was just published had used when."""
        self._node.accounting.recall(state, course)

    def rename(self, agent_id: AgentId, to: AgentId) -> None:
        """An agent goes on under another id."""
        self._node.accounting.rename(agent_id, to)
        self._node.withdraw(agent_id)
