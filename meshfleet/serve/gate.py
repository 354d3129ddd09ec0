"""Lets each request through to its endpoint, or not, as the table of endpoints says: there is no other way to one.

`application` wraps every endpoint of the table in `Gate.admit`, and an Endpoint can't be made without saying whom it is
for. So a path that was forgotten here can't exist; a test goes through all of them anyway.
"""

from __future__ import annotations

import math
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import AccessDenied
from meshfleet.fleet.access import Scope
from meshfleet.serve.answers import Refusal, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.requests import HTTPConnection, Request

    from meshfleet.fleet.access import Grant
    from meshfleet.serve.access import Access
    from meshfleet.serve.limits import Counts
    from meshfleet.serve.routes import Endpoint

REALM = 'Bearer realm="meshfleet"'
PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers by which a proxy says that it speaks for somebody else, who need not be on its machine."""

BEARER_PROTOCOL = "bearer."
"""What a token follows where it is offered as a WebSocket's subprotocol."""

READING = ("GET", "HEAD")

HOW_TO_READ = (
    "Get a session token from POST /auth/session and send it as 'Authorization: Bearer mfs_…'. On the node's machine "
    "`meshfleet status` does so by itself, `meshfleet keys api token` prints one, and `meshfleet link` opens the page."
)


def _always() -> bool:
    return True


class Client(NamedTuple):
    """Who was let in."""

    name: str
    """The id of an API key or of a page; where none was needed, an address."""
    seconds: float = math.inf
    """How long its session lasts yet. A stream ends with it, or a session would have no end."""
    holds: Callable[[], bool] = _always
    """Whether what it was let in by is still good: a token ends before its time where the fleet's key is changed. Who
    goes on answering asks again, every few seconds."""


class Gate:
    """Checks who asks against what is asked for."""

    def __init__(self, access: Access, counts: Counts) -> None:
        self._access = access
        self._counts = counts

    def admit(self, endpoint: Endpoint, request: HTTPConnection) -> Client:
        """Let the request through, and say whose it is. Else a Refusal."""
        if not endpoint.scopes:
            return Client(address_of(request))
        token = bearer(request) if request.scope["type"] == "http" else offered(request)
        if token is None and endpoint.loopback_without and is_this_machine(request):
            return Client(address_of(request))
        grant = self._grant(token, endpoint.scopes)
        if grant.scope not in endpoint.scopes:
            raise self._lacks(grant, endpoint.scopes, f"{endpoint.method} {quoted(request.url.path)}")
        assert token is not None  # who shows none was refused
        return Client(grant.holder, self._access.seconds_left(grant), partial(self._holds, token))

    def may_send(self, request: HTTPConnection) -> bool:
        """Whether who is elsewhere shows a token with which states and telemetry are sent. Counts nothing: `admit`, or
        `turn_away`, says what is wrong."""
        try:
            token = bearer(request)
            return token is not None and self._access.check(token).scope is Scope.AGENT
        except (AccessDenied, Refusal):
            return False

    def turn_away(self, request: Request, scopes: Collection[Scope] = ()) -> None:
        """Who would do more than read, where that can't be done, with a token that is for reading alone; or asks in any
        way for what is there for other `scopes` alone: 403, as wherever a token is not enough. All others are told what
        is there instead."""
        token = bearer(request)
        needed = scopes if request.method in READING else (Scope.AGENT,)
        if token is None or not needed:
            return
        grant = self._grant(token, needed)
        if grant.scope not in needed:
            raise self._lacks(grant, needed, f"{request.method} of anything")

    def _holds(self, token: str) -> bool:
        try:
            self._access.check(token)
        except AccessDenied:
            return False
        return True

    def _grant(self, token: str | None, scopes: Collection[Scope]) -> Grant:
        wanted = " or ".join(scopes)
        if token is None:
            self._counts.tokens_missing += 1
            raise Refusal(401, f"This is for readers with scope {wanted}. {HOW_TO_READ}", headers=_asked(REALM))
        try:
            return self._access.check(token)
        except AccessDenied as error:
            self._counts.tokens_refused += 1
            hint = "An API key is first exchanged. " if token.startswith("mf_") else ""
            raise Refusal(
                401,
                f"The token is not good: {error}. {hint}{HOW_TO_READ}",
                headers=_asked(f'{REALM}, error="invalid_token"'),
            ) from error

    def _lacks(self, grant: Grant, scopes: Collection[Scope], what: str) -> Refusal:
        self._counts.scopes_refused += 1
        wanted = " or ".join(scopes)
        return Refusal(
            403,
            f"The scope {wanted} is missing: {what} needs it, and the token of {quoted(grant.name)} has the scope "
            f"{grant.scope}. Use a key made with `meshfleet keys api create --scope {next(iter(scopes))}`.",
            headers=_asked(f'{REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"'),
        )


def offered(socket: HTTPConnection) -> str | None:
    """The token of who asks for a WebSocket: in the header, or among the subprotocols, where a browser can put it."""
    protocols = socket.scope["subprotocols"]
    found = [protocol for protocol in protocols if protocol.startswith(BEARER_PROTOCOL)]
    return found[0].removeprefix(BEARER_PROTOCOL) if len(found) == 1 else bearer(socket)


def bearer(request: HTTPConnection) -> str | None:
    """The token of the Authorization header; None where there is no such header. Tokens are read nowhere else: a URL
    ends up in histories and logs."""
    given = request.headers.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme[:7].lower() != "bearer":
        raise Refusal(401, f"The Authorization header is none that is known here. {HOW_TO_READ}", headers=_asked(REALM))
    return token.strip(" ")


def address_of(request: HTTPConnection) -> str:
    """The IP address that the request came from."""
    return request.client.host if request.client is not None else ""


def is_this_machine(request: HTTPConnection) -> bool:
    """Whether the request comes from this machine, and no proxy says that it does so for somebody else."""
    try:
        near = ip_address(address_of(request)).is_loopback
    except ValueError:
        return False
    return near and not any(name in request.headers for name in PASSED_ON)


def _asked(challenge: str) -> dict[str, str]:
    return {"WWW-Authenticate": challenge}
