"""What is answered: the shapes that are not already the fleet's own, and how a refusal looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.view import AgentView

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Any refusal or failure, in one sentence that says what to do."""

    error: str
    near: tuple[str, ...] = ()
    """Names or paths that exist and look like the one asked for, best first."""
    allow: tuple[str, ...] = ()
    """The methods that the path knows, where another was used."""


class OwnAgents(msgspec.Struct, frozen=True, kw_only=True):
    """The agents that the answering node itself carries."""

    node: NodeName
    epoch: int
    agents: tuple[AgentView, ...]


class ToldFact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, readable without the observer's clock."""

    kind: Kind
    by: NodeName
    """Whose observation it is."""
    host: str | None
    detail: str
    age_s: float
    """Seconds since, counting only time through which the serving node listened."""
    at: str
    """RFC 3339 UTC, by the serving node's clock."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence behind one verdict, oldest fact first, and the verdict itself."""

    name: str
    node: NodeName
    """Whom the facts are about: the node itself, or the one that carries the agent."""
    presence: Presence
    certainty: Certainty | None
    reasons: tuple[str, ...]
    age_s: float
    since: str
    served_by: NodeName
    standing: Standing
    """Of the serving node: how far its verdict can be believed."""
    facts: tuple[ToldFact, ...]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A pushed state was taken over and spreads."""

    agent_id: AgentId
    node: NodeName
    """The node that carries the agent now."""
    ignored: tuple[str, ...] = ()
    """Fields that this version does not know. They were left out: check their spelling, or the node's version."""


class Refusal(Exception):
    """Raised by whoever answers a request to end it with a status and a sentence."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        near: tuple[str, ...] = (),
        allow: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.problem = Problem(error=error, near=near, allow=allow)
        self.headers = dict(headers or {})
        if allow:
            self.headers["Allow"] = ", ".join(allow)

    def answer(self) -> Response:
        """The refusal as a response."""
        return json_answer(self.problem, status=self.status, headers=self.headers)


def json_answer(content: msgspec.Struct, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type=JSON)


def quoted(text: str, limit: int = 80) -> str:
    """`text` as a sentence may show it: quoted, and never longer than `limit` characters."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
