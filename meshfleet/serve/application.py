"""The table of endpoints as an ASGI application, all behind the gate; all refusals are JSON with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Match, Route, WebSocketRoute

from meshfleet.serve.answers import Refusal, quoted
from meshfleet.serve.near import near

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from meshfleet.fleet.access import Scope
    from meshfleet.serve.gate import Gate
    from meshfleet.serve.routes import Endpoint


def _behind(gate: Gate, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        request.state.client = gate.admit(endpoint, request)
        return await endpoint.answer_with(request)

    return answer


def _socket_behind(gate: Gate, endpoint: Endpoint) -> Callable[[WebSocket], Awaitable[None]]:
    async def answer(socket: WebSocket) -> None:
        assert endpoint.socket is not None
        try:
            await endpoint.socket(socket, gate.admit(endpoint, socket))
        except Refusal as refusal:
            await socket.send_denial_response(refusal.answer())

    return answer


def application(endpoints: Sequence[Endpoint], gate: Gate) -> Starlette:
    """The endpoints as an ASGI application, all behind the gate, all of whose refusals are JSON with a sentence."""
    routes = [Route(e.pattern, _behind(gate, e), methods=[e.method]) for e in endpoints]
    sockets = [WebSocketRoute(e.pattern, _socket_behind(gate, e)) for e in endpoints if e.socket is not None]
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
        scopes = tuple({scope: None for e in endpoints if e.pattern == fitting[0].path for scope in e.scopes})
        if scopes and (refusal := _turned_away(gate, request, scopes)) is not None:
            return refusal.answer()  # what is public no token could ever change, so there the method is what is wrong
        allowed = tuple(sorted({method for route in fitting for method in route.methods or ()}))
        problem = f"{request.method} is not possible on {quoted(request.url.path)}. Possible: {', '.join(allowed)}."
        return Refusal(405, problem, allow=allowed).answer()

    async def failed(_request: Request, _error: Exception) -> Response:
        problem = "This node failed to answer; its log says why. The fleet is not affected: ask again, or another node."
        return Refusal(500, problem).answer()

    app = Starlette(
        routes=[*routes, *sockets],
        exception_handlers={
            Refusal: refused,
            404: unknown,
            405: not_allowed,
            Exception: failed,
        },
    )
    app.router.redirect_slashes = False  # a redirect would hide the mistake that the 404 explains
    return app


def _turned_away(gate: Gate, request: Request, scopes: Collection[Scope] = ()) -> Refusal | None:
    try:
        gate.turn_away(request, scopes)
    except Refusal as refusal:
        return refusal
    return None
