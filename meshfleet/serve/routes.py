"""Every path that is served, once: router, contract and the hints of a 404 are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.applications import Starlette
from starlette.routing import Match, Route

from meshfleet.fleet.access import Scope
from meshfleet.fleet.cost import CostReport
from meshfleet.fleet.state import AgentState
from meshfleet.fleet.view import AgentView, FleetView, Health, NodeView
from meshfleet.serve.access import Challenge, Session, SessionRequest
from meshfleet.serve.answers import JSON, Accepted, OwnAgents, Refusal, Story, quoted
from meshfleet.serve.near import near

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import msgspec
    from starlette.requests import Request
    from starlette.responses import Response

    from meshfleet.serve.files import Page
    from meshfleet.serve.gate import Gate
    from meshfleet.serve.metrics import Metrics
    from meshfleet.serve.openapi import Contract
    from meshfleet.serve.pushing import Pushing
    from meshfleet.serve.reading import Reading
    from meshfleet.serve.sessions import Sessions

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
    media: str | None = JSON
    status: int = 200
    takes: type[msgspec.Struct] | None = None
    refuses: tuple[int, ...] = ()
    """Statuses of its own, beside those that any request may meet."""
    slashes: bool = False
    """Whether its parameter may contain '/', as agents' ids do."""

    @property
    def pattern(self) -> str:
        """The path as the router writes it."""
        return self.path.replace("}", ":path}") if self.slashes else self.path


def table(
    reading: Reading, pushing: Pushing, sessions: Sessions, metrics: Metrics, page: Page, contract: Contract
) -> tuple[Endpoint, ...]:
    """All endpoints. The first that fits a request answers it."""
    return (
        *_of_sessions(sessions),
        *_of_the_fleet(reading),
        *_of_agents(reading, pushing),
        Endpoint(
            path="/metrics",
            answer_with=metrics.answer,
            scopes=COLLECTORS,
            media="text/plain",
            summary="What this node counts about itself, in Prometheus' text format",
        ),
        Endpoint(path="/openapi.json", answer_with=contract.answer, scopes=PUBLIC, summary="This contract"),
        Endpoint(
            path="/",
            answer_with=page.index,
            scopes=PUBLIC,
            media="text/html",
            refuses=(304,),
            summary="The page for people",
        ),
        Endpoint(
            path="/page/{file}",
            answer_with=page.file,
            scopes=PUBLIC,
            media="*/*",
            refuses=(304, 404),
            summary="The page's style, modules and icon",
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
            summary="The same as server-sent events: `snapshot`, then `update`s, each with the whole view",
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


def _of_agents(reading: Reading, pushing: Pushing) -> tuple[Endpoint, ...]:
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


def _behind(gate: Gate, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        request.state.client = gate.admit(endpoint, request)
        return await endpoint.answer_with(request)

    return answer


def application(endpoints: Sequence[Endpoint], gate: Gate) -> Starlette:
    """The endpoints as an ASGI application, all behind the gate, all of whose refusals are JSON with a sentence."""
    routes = [Route(e.pattern, _behind(gate, e), methods=[e.method]) for e in endpoints]
    paths = list(dict.fromkeys(e.path for e in endpoints))

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return error.answer()

    async def unknown(request: Request, _error: Exception) -> Response:
        if (refusal := _turned_away(gate, request)) is not None:
            return refusal.answer()
        found = near(request.url.path, paths)
        hint = f" Did you mean {found[0]}?" if found else ""
        problem = f"There is no {quoted(request.url.path)} here.{hint} /openapi.json lists all paths."
        return Refusal(404, problem, near=found or tuple(paths)).answer()

    async def not_allowed(request: Request, _error: Exception) -> Response:
        fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        # An agent's id may end in `/state`; but whoever asks for a path that ends so means the state.
        fitting = [route for route in fitting if route.path == fitting[0].path]
        public = all(not e.scopes for e in endpoints if e.pattern == fitting[0].path)
        if not public and (refusal := _turned_away(gate, request)) is not None:
            return refusal.answer()  # what is public no token could ever change, so there the method is what is wrong
        allowed = tuple(sorted({method for route in fitting for method in route.methods or ()}))
        problem = f"{request.method} is not possible on {quoted(request.url.path)}. Possible: {', '.join(allowed)}."
        return Refusal(405, problem, allow=allowed).answer()

    async def failed(_request: Request, _error: Exception) -> Response:
        problem = "This node failed to answer; its log says why. The fleet is not affected: ask again, or another node."
        return Refusal(500, problem).answer()

    app = Starlette(
        routes=routes,
        exception_handlers={
            Refusal: refused,
            404: unknown,
            405: not_allowed,
            Exception: failed,
        },
    )
    app.router.redirect_slashes = False  # a redirect would hide the mistake that the 404 explains
    return app


def _turned_away(gate: Gate, request: Request) -> Refusal | None:
    try:
        gate.turn_away(request)
    except Refusal as refusal:
        return refusal
    return None
