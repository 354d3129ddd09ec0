"""What the asking needs of a node: whose turn it is, and somebody to tell how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.fleet.endpoint import Endpoint, Transport, Trouble
    from meshfleet.fleet.names import AgentId


class Duties(Protocol):
    """`meshfleet.node.endpoints.Endpoints` is one. No call waits."""

    def known(self) -> Mapping[AgentId, Endpoint]:
        """All endpoints that this node knows."""
        ...

    def is_mine_to_ask(self, name: AgentId) -> bool:
        """Whether it is this node's turn to ask."""
        ...

    def is_mine_to_carry(self, name: AgentId) -> bool:
        """Whether this node, which asks it, is to show it."""
        ...

    def begin(self, name: AgentId) -> None:
        """This node asks it from now on."""
        ...

    def answered(self, name: AgentId, transport: Transport) -> None:
        """There was an answer, or a sign of life."""
        ...

    def failed(self, name: AgentId, trouble: Trouble, status: int = 0) -> None:
        """There was none of use."""
        ...

    def let_go(self, name: AgentId) -> None:
        """This node asks it no more."""
        ...
