"""Every path that is served, once: router, contract and the hints of a 404 are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meshfleet.fleet.access import Scope
from meshfleet.fleet.cost import CostReport
from meshfleet.fleet.state import AgentState
from meshfleet.fleet.view import AgentView, FleetView, Health, NodeView
from meshfleet.serve.access import Challenge, Session, SessionRequest
from meshfleet.serve.answers import JSON, Accepted, OwnAgents, Problem, Story
from meshfleet.serve.exports import PROTOBUF, Exported, Exports, RpcStatus
from meshfleet.serve.federation import Target
from meshfleet.serve.history import Happenings
from meshfleet.serve.past import AgentPast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import msgspec
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from meshfleet.serve.federation import Federation
    from meshfleet.serve.files import Page
    from meshfleet.serve.gate import Client
    from meshfleet.serve.history import Telling
    from meshfleet.serve.hooks import Hooks
    from meshfleet.serve.metrics import Metrics
    from meshfleet.serve.openapi import Contract
    from meshfleet.serve.past import Past
    from meshfleet.serve.pushing import Pushing
    from meshfleet.serve.reading import Reading
    from meshfleet.serve.sessions import Sessions
    from meshfleet.serve.websocket import Sockets

PUBLIC: tuple[Scope, ...] = ()
READERS = (Scope.READ,)
AGENTS = (Scope.AGENT,)
COLLECTORS = (Scope.METRICS, Scope.READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path, and all that the contract says of it."""

    method: Literal["GET", "POST", "DELETE"] = "GET"
    path: str
    """As OpenAPI writes it: parameters in braces."""
    answer_with: Callable[[Request], Awaitable[Response]]
    scopes: tuple[Scope, ...]
    """Whose tokens are let in, of any of these; () lets in everybody. Never left out, so that nothing is open by
    mistake."""
    loopback_without: bool = False
    """Whether who is on this machine needs no token."""
    summary: str
    answers: type[msgspec.Struct] | None = None
    """The JSON of a success. None: nothing, or text of another media type."""
    many: bool = False
    """Whether it is a list of them."""
    media: str | None = JSON
    status: int = 200
    takes: type[msgspec.Struct] | None = None
    refuses: tuple[int, ...] = ()
    """Statuses of its own, beside those that any request may meet."""
    socket: Callable[[WebSocket, Client], Awaitable[None]] | None = None
    """What answers a WebSocket that is asked for here."""
    refuses_with: type[msgspec.Struct] = Problem
    """The JSON of these. What any request may meet is told as everywhere."""
    also_takes: str | None = None
    """Another media type than JSON that a body may have, as nothing but bytes to the contract."""
    slashes: bool = False
    """Whether its parameter may contain '/', as agents' ids do."""

    @property
    def pattern(self) -> str:
        """The path as the router writes it."""
        return self.path.replace("}", ":path}") if self.slashes else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Who answers: each part takes some of the endpoints."""

    reading: Reading
    sockets: Sockets
    pushing: Pushing
    hooks: Hooks
    exports: Exports
    sessions: Sessions
    telling: Telling
    metrics: Metrics
    federation: Federation
    past: Past
    page: Page
    contract: Contract


def table(parts: Answering) -> tuple[Endpoint, ...]:
    """All endpoints. The first that fits a request answers it."""
    return (
        *_of_sessions(parts.sessions),
        *_of_the_fleet(parts.reading),
        Endpoint(
            path="/v1/fleet/ws",
            answer_with=parts.sockets.plain,
            socket=parts.sockets.answer,
            scopes=READERS,
            media=None,
            status=101,
            refuses=(400, 426, 429, 503),
            summary="The stream of events over a WebSocket; subprotocol meshfleet.v1.json or meshfleet.v1.cbor",
        ),
        *_of_agents(parts.reading, parts.pushing, parts.past),
        *_of_telemetry(parts.exports),
        *_of_hooks(parts.hooks),
        Endpoint(
            path="/v1/events",
            answer_with=parts.telling.events,
            scopes=READERS,
            answers=Happenings,
            refuses=(400,),
            summary="What happened in the fleet, as this node saw it: the newest, or after=ID; limit, kind, subject",
        ),
        *_for_collectors(parts.metrics, parts.federation),
        Endpoint(path="/openapi.json", answer_with=parts.contract.answer, scopes=PUBLIC, summary="This contract"),
        Endpoint(
            path="/",
            answer_with=parts.page.index,
            scopes=PUBLIC,
            media="text/html",
            refuses=(304,),
            summary="The page for people",
        ),
        Endpoint(
            path="/page/{file}",
            answer_with=parts.page.file,
            scopes=PUBLIC,
            media="*/*",
            refuses=(304, 404),
            summary="The page's style, modules and icon",
        ),
    )


def _for_collectors(metrics: Metrics, federation: Federation) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            path="/metrics",
            answer_with=metrics.answer,
            scopes=COLLECTORS,
            media="text/plain",
            summary="What this node counts about itself, in Prometheus' text format",
        ),
        Endpoint(
            path="/federate",
            answer_with=federation.federate,
            scopes=COLLECTORS,
            media="text/plain",
            refuses=(400,),
            summary="The whole fleet for Prometheus, a series per node and agent; match[] selects",
        ),
        Endpoint(
            path="/v1/sd",
            answer_with=federation.targets,
            scopes=COLLECTORS,
            answers=Target,
            many=True,
            summary="The fleet's nodes as targets, for Prometheus' HTTP service discovery",
        ),
    )


def _of_the_fleet(reading: Reading) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            path="/health", answer_with=reading.health, scopes=PUBLIC, answers=Health, summary="Whether this node runs"
        ),
        Endpoint(
            path="/state",
            answer_with=reading.state,
            scopes=READERS,
            answers=OwnAgents,
            summary="The agents this node carries",
        ),
        Endpoint(
            path="/v1/fleet",
            answer_with=reading.fleet,
            scopes=READERS,
            answers=FleetView,
            refuses=(304,),
            summary="The whole fleet as this node sees it; ETag and If-None-Match",
        ),
        Endpoint(
            path="/v1/fleet/events",
            answer_with=reading.events,
            scopes=READERS,
            media="text/event-stream",
            refuses=(429, 503),
            summary="The same as server-sent events: `snapshot` with the whole view, then `update`s with what changed",
        ),
        Endpoint(
            path="/v1/nodes/{name}",
            answer_with=reading.node,
            scopes=READERS,
            answers=NodeView,
            refuses=(404,),
            summary="One node",
        ),
        Endpoint(
            path="/v1/zones/{zone}",
            answer_with=reading.zone,
            scopes=READERS,
            answers=FleetView,
            refuses=(404, 503),
            summary="Another zone of a fleet on two levels in full, as a node that speaks for it sees it",
        ),
        Endpoint(
            path="/v1/cost",
            answer_with=reading.cost,
            scopes=READERS,
            answers=CostReport,
            summary="What the fleet has used in the billing period that runs, and this node's agents in detail",
        ),
        Endpoint(
            path="/v1/cost/{period}",
            answer_with=reading.cost,
            scopes=READERS,
            answers=CostReport,
            refuses=(400,),
            summary="The same of another period: a month, or the day that it begins with",
        ),
        Endpoint(
            path="/v1/why/{name}",
            answer_with=reading.why,
            scopes=READERS,
            answers=Story,
            refuses=(404,),
            slashes=True,
            summary="The evidence behind the verdict on a node or an agent, oldest first",
        ),
    )


def _of_agents(reading: Reading, pushing: Pushing, past: Past) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            method="POST",
            path="/v1/agents/{id}/state",
            answer_with=pushing.publish,
            scopes=AGENTS,
            loopback_without=True,
            takes=AgentState,
            answers=Accepted,
            status=202,
            refuses=(400, 409, 415),
            slashes=True,
            summary="An agent's state, pushed by itself; from this machine also without a token",
        ),
        Endpoint(
            path="/v1/agents/{id}/history",
            answer_with=past.answer,
            scopes=READERS,
            answers=AgentPast,
            refuses=(404,),
            slashes=True,
            summary="The last three hours of an agent, a point each 30 s, as this node saw them",
        ),
        Endpoint(
            path="/v1/agents/{id}",
            answer_with=reading.agent,
            scopes=READERS,
            answers=AgentView,
            refuses=(404,),
            slashes=True,
            summary="One agent; its id may contain '/'",
        ),
        Endpoint(
            method="DELETE",
            path="/v1/agents/{id}",
            answer_with=pushing.withdraw,
            scopes=AGENTS,
            loopback_without=True,
            media=None,
            status=204,
            refuses=(400, 404),
            slashes=True,
            summary="An agent that this node carries is no longer there; from this machine also without a token",
        ),
    )


def _of_telemetry(exports: Exports) -> tuple[Endpoint, ...]:
    ways = {"metrics": exports.metrics, "logs": exports.logs, "traces": exports.traces}
    return tuple(
        Endpoint(
            method="POST",
            path=f"/otlp/v1/{signal}",
            answer_with=answer_with,
            scopes=AGENTS,
            loopback_without=True,
            answers=Exported,
            refuses=(400, 404, 415, 503),
            refuses_with=RpcStatus,
            also_takes=PROTOBUF,
            summary=f"OpenTelemetry {signal}, as OTLP/HTTP has it; from this machine also without a token",
        )
        for signal, answer_with in ways.items()
    )


def _of_hooks(hooks: Hooks) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            method="POST",
            path="/hooks/claude/statusline",
            answer_with=hooks.statusline,
            scopes=AGENTS,
            loopback_without=True,
            summary="What Claude Code gives its status line, as JSON; answered with {} whatever it holds",
        ),
        Endpoint(
            method="POST",
            path="/hooks/{runtime}",
            answer_with=hooks.hook,
            scopes=AGENTS,
            loopback_without=True,
            summary="A hook of `claude`, `codex` or `gemini`, as JSON; answered with {} whatever it holds",
        ),
    )


def _of_sessions(sessions: Sessions) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            path="/auth/challenge",
            answer_with=sessions.challenge,
            scopes=PUBLIC,
            answers=Challenge,
            summary="A nonce to prove possession of an API key with",
        ),
        Endpoint(
            method="POST",
            path="/auth/session",
            answer_with=sessions.exchange,
            scopes=PUBLIC,
            takes=SessionRequest,
            answers=Session,
            refuses=(400, 401, 415, 429),
            summary="A session token, for an API key in the Authorization header, a proof of one, or a link's code",
        ),
    )
