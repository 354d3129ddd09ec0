"""What serving needs of a node, and nothing more. A running node satisfies it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.fleet.cost import CostReport
    from meshfleet.fleet.evidence import Fact
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.view import AgentView, FleetView, Health


class Feed(Protocol):
    """Where the served fleet comes from. No call but `changed` waits, and none raises because a member is gone."""

    def fleet(self) -> FleetView:
        """The merged view. The same object comes back while nothing changed and its ages are not worth telling anew."""
        ...

    def version(self) -> str:
        """The version that `fleet()` would have. Far cheaper than the view, so that it can be asked on each request."""
        ...

    async def changed(self, since: str) -> None:
        """Return once `version()` is another than `since`; at once where it already is."""
        ...

    async def cost(self, period: str | None) -> CostReport:
        """One billing period: a month, its first day, or None for the one that runs. ConfigError where it is none."""
        ...

    async def zone(self, name: str) -> FleetView:
        """Another zone in full, as one of those sees it who speak for it. ConfigError where nothing is known of it,
        JoinError where nobody of it answers."""
        ...

    def own_agents(self) -> tuple[AgentView, ...]:
        """The agents that this node itself carries."""
        ...

    def health(self) -> Health:
        """What is said to anyone who asks whether the node runs."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What was dropped, by cause, and other counts since the node's start."""
        ...

    def publish(self, state: AgentState) -> None:
        """Take over an agent's state. PublishError where it can't travel; never waits."""
        ...

    def attend(self, agent_id: AgentId, process: str) -> None:
        """The agent runs in `process`, in the words of the header Meshfleet-Process; nonsense in it changes nothing."""
        ...

    def withdraw(self, agent_id: AgentId) -> None:
        """Stop carrying an agent. Unknown ids change nothing."""
        ...

    def why(self, name: str) -> tuple[Fact, ...]:
        """The facts behind the verdict on the node `name`, in any order; empty where nothing is known."""
        ...

    def clock(self) -> float:
        """Seconds on the listening clock that `Fact.at` counts on, now. Turns a fact's time into an age."""
        ...
