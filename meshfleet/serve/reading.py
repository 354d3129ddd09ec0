"""What can be read: each function answers one GET."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.responses import Response

from meshfleet.errors import ConfigError, JoinError
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.view import AgentView
from meshfleet.serve.answers import JSON, OwnAgents, Refusal, Story, ToldFact, json_answer, quoted
from meshfleet.serve.encoded import etag, names_version
from meshfleet.serve.near import near
from meshfleet.serve.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from meshfleet.fleet.evidence import Fact
    from meshfleet.fleet.view import FleetView, NodeView
    from meshfleet.serve.encoded import Encoding
    from meshfleet.serve.feed import Feed
    from meshfleet.serve.stream import Broadcast

# The copy may be kept, but has to be asked for each time: with If-None-Match that costs next to nothing.
REVALIDATE = "no-cache"


class Reading:
    """Answers readers from a feed. Holds nothing of its own."""

    def __init__(self, feed: Feed, encoding: Encoding, broadcast: Broadcast) -> None:
        self._feed = feed
        self._encoding = encoding
        self._broadcast = broadcast

    async def health(self, _request: Request) -> Response:
        """`GET /health`"""
        return json_answer(self._feed.health())

    async def state(self, _request: Request) -> Response:
        """`GET /state`"""
        health = self._feed.health()
        return json_answer(OwnAgents(node=health.node, epoch=health.epoch, agents=self._feed.own_agents()))

    async def fleet(self, request: Request) -> Response:
        """`GET /v1/fleet`: unchanged for who has it already, which costs no view and no encoding."""
        asked = request.headers.get("if-none-match")
        if asked is not None and names_version(asked, version := self._feed.version()):
            return Response(status_code=304, headers={"ETag": etag(version), "Cache-Control": REVALIDATE})
        encoded = self._encoding.current()
        return Response(encoded.body, headers={"ETag": encoded.etag, "Cache-Control": REVALIDATE}, media_type=JSON)

    async def events(self, request: Request) -> Response:
        """`GET /v1/fleet/events`"""
        return EventStream(self._broadcast, request.state.client, request.headers.get("last-event-id"))

    async def node(self, request: Request) -> Response:
        """`GET /v1/nodes/{name}`"""
        view = self._feed.fleet()
        name = request.path_params["name"]
        node = _node(view, name)
        if node is None:
            raise _unknown("node", name, [node.name for node in view.nodes])
        return json_answer(node)

    async def agent(self, request: Request) -> Response:
        """`GET /v1/agents/{id}`"""
        view = self._feed.fleet()
        wanted = request.path_params["id"]
        agent = _agent(view, wanted)
        if agent is None:
            raise _unknown("agent", wanted, [agent.agent_id for agent in view.agents])
        return json_answer(agent)

    async def cost(self, request: Request) -> Response:
        """`GET /v1/cost`, `GET /v1/cost/{period}`"""
        try:
            return json_answer(await self._feed.cost(request.path_params.get("period")))
        except ConfigError as error:
            raise Refusal(400, str(error)) from error

    async def zone(self, request: Request) -> Response:
        """`GET /v1/zones/{zone}`"""
        name = request.path_params["zone"]
        try:
            return json_answer(await self._feed.zone(name))
        except ConfigError:
            raise _unknown("zone", name, [zone.zone for zone in self._feed.fleet().zones]) from None
        except JoinError as error:
            raise Refusal(503, f"Nobody answers who speaks for zone {quoted(name)}. {error}") from error

    async def why(self, request: Request) -> Response:
        """`GET /v1/why/{name}`: of a node, or of an agent, whose verdict is that of the node which carries it."""
        view = self._feed.fleet()
        name = request.path_params["name"]
        subject: NodeView | AgentView | None = _node(view, name) or _agent(view, name)
        if subject is None:
            known = [*(node.name for node in view.nodes), *(agent.agent_id for agent in view.agents)]
            raise _unknown("node or agent", name, known)
        return json_answer(self._story(view, name, subject))

    def _story(self, view: FleetView, name: str, subject: NodeView | AgentView) -> Story:
        carrier = subject.node if isinstance(subject, AgentView) else subject.name
        now, wall = self._feed.clock(), datetime.fromisoformat(view.now)
        facts = sorted(self._feed.why(carrier), key=lambda fact: fact.at)
        return Story(
            name=name,
            node=carrier,
            presence=subject.presence,
            certainty=subject.certainty,
            reasons=subject.reasons,
            age_s=subject.age_s,
            since=subject.since,
            served_by=view.served_by.node,
            standing=view.served_by.standing,
            facts=tuple(_told(fact, now, wall) for fact in facts),
        )


def _told(fact: Fact, now: float, wall: datetime) -> ToldFact:
    age = max(0.0, now - fact.at)
    at = (wall - timedelta(seconds=age)).astimezone(UTC)
    return ToldFact(
        kind=fact.kind,
        by=NodeName(fact.by),
        host=fact.host or None,
        detail=fact.detail,
        age_s=round(age, 3),
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _node(view: FleetView, name: str) -> NodeView | None:
    return next((node for node in view.nodes if node.name == name), None)


def _agent(view: FleetView, wanted: str) -> AgentView | None:
    return next((agent for agent in view.agents if agent.agent_id == wanted), None)


def _unknown(what: str, name: str, known: Sequence[str]) -> Refusal:
    found = near(name, known)
    hint = f" Near it: {', '.join(found)}." if found else " GET /v1/fleet lists all that are known here."
    return Refusal(404, f"This node knows no {what} named {quoted(name)}.{hint}", near=found)
