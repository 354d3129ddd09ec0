"""`POST /auth/session`: a key, a proof of one, a link's code or a page's own token, exchanged for a session token."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import AccessDenied
from meshfleet.logs import get_logger
from meshfleet.serve.access import Challenge, Session, SessionRequest
from meshfleet.serve.answers import Refusal, json_answer
from meshfleet.serve.bodies import read, require_json
from meshfleet.serve.gate import REALM, address_of, bearer
from meshfleet.serve.limits import EXCHANGE_LIMIT
from meshfleet.serve.rate import Buckets

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from meshfleet.fleet.access import Grant
    from meshfleet.serve.access import Access
    from meshfleet.serve.limits import Counts

_log = get_logger("meshfleet.serve")

WAYS = (
    "Send one of: an Authorization header with an API key, or with the token of a page; "
    '{"key_id", "nonce", "proof"} for a nonce of GET /auth/challenge; {"code"} of a link'
)


class Sessions:
    """Exchanges whatever is good for a session, so often and no oftener."""

    def __init__(self, access: Access, counts: Counts) -> None:
        self._access = access
        self._counts = counts
        self._buckets = Buckets()

    async def challenge(self, _request: Request) -> Response:
        """`GET /auth/challenge`. Nothing is kept for it, so it can be asked for as often as anything."""
        return json_answer(Challenge(nonce=self._access.challenge()))

    async def exchange(self, request: Request) -> Response:
        """`POST /auth/session`"""
        self._not_too_often(request)
        wanted = await _wanted(request)
        shown = bearer(request)
        try:
            token, grant = await self._begin(wanted, shown, request.headers.get("host", ""))
        except AccessDenied as error:
            self._counts.sessions_refused += 1
            _log.info("no session", address=address_of(request), why=error)
            headers = {"WWW-Authenticate": REALM}
            raise Refusal(401, f"No session: {error}.", headers=headers) from error
        self._counts.sessions_begun += 1
        _log.info("session", address=address_of(request), key=grant.name, holder=grant.holder, scope=grant.scope)
        return json_answer(_session(token, grant))

    async def _begin(self, wanted: SessionRequest, shown: str | None, host: str) -> tuple[str, Grant]:
        proof = (wanted.key_id, wanted.nonce, wanted.proof)
        ways = (shown is not None) + (wanted.code is not None) + any(part is not None for part in proof)
        if ways == 0:
            raise _lets_nobody_in("Nothing was shown")
        if ways > 1:
            raise _lets_nobody_in("More than one thing was shown")
        if shown is not None:
            if shown.startswith("mf_"):
                return await self._access.by_key(shown, wanted.lifetime_s)
            return self._access.by_token(shown)
        if wanted.code is not None:
            return self._access.by_code(wanted.code)
        key_id, nonce, signature = proof
        if key_id is None or nonce is None or signature is None:
            raise _lets_nobody_in("A proof has key_id, nonce and proof; one of the three is missing")
        return await self._access.by_proof(key_id, nonce, signature, host, wanted.lifetime_s)

    def _not_too_often(self, request: Request) -> None:
        wait = self._buckets.wait(address_of(request), trio.current_time())
        if wait:
            self._counts.exchanges_limited += 1
            seconds = math.ceil(wait)
            raise Refusal(
                429,
                f"Too many tries from this address: the next is in {seconds} s. A session lasts at least 15 minutes; "
                "keep it, and fetch the next one at 80 % of that.",
                headers={"Retry-After": str(seconds)},
            )


async def _wanted(request: Request) -> SessionRequest:
    body = await request.body()
    if not body.strip():
        return SessionRequest()
    require_json(request)
    if len(body) > EXCHANGE_LIMIT:
        raise Refusal(413, f"The body has more than {EXCHANGE_LIMIT} bytes, and nothing that is exchanged has. {WAYS}.")
    try:
        return read(body, SessionRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The error names the field, never what was in it.
        raise Refusal(400, f"The body can't be exchanged: {error}. {WAYS}.") from error


def _lets_nobody_in(why: str) -> Refusal:
    return Refusal(401, f"{why}. {WAYS}.", headers={"WWW-Authenticate": REALM})


def _session(token: str, grant: Grant) -> Session:
    expires = datetime.fromtimestamp(grant.expires, UTC).isoformat().replace("+00:00", "Z")
    return Session(token=token, scope=grant.scope, expires_at=expires, expires_in_s=grant.expires - grant.issued)
