"""What is shown to an endpoint: its token as bearer, or, where it exchanges tokens, the session that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.asking import Place, Unanswered, asked
from meshfleet.fleet.access import REFRESH_AT
from meshfleet.runtimes.endpoints.reading import SESSION_LIMIT, Nonsense, read_session

if TYPE_CHECKING:
    from meshfleet.runtimes.endpoints.reading import Session

EXCHANGE = "/auth/session"

NOT_THERE = (404, 405, 501)
"""Statuses that say: nothing is exchanged here."""


class Credentials:
    """Of one endpoint."""

    def __init__(self, place: Place, token: str | None) -> None:
        self._place = place
        self._token = token
        self._exchanges: bool | None = None
        """Whether it exchanges tokens; None while that is not known."""
        self._session: Session | None = None
        self._since = 0.0

    async def place(self) -> Place:
        """The endpoint, with what it wants to be shown. Unanswered where it should give a session, and does not."""
        if self._token is None:
            return self._place
        if self._exchanges is not False and self._is_due():
            try:
                await self._exchange(self._token)
            except Unanswered:
                if self._is_over():
                    raise  # the session that is held is good for a fifth of its life yet
        session = self._session
        return _with(self._place, self._token if session is None else session.token)

    def refused(self) -> bool:
        """What was shown was refused. Whether another try makes sense: with a new session."""
        was_session, self._session = self._session is not None, None
        self._exchanges = None if was_session else self._exchanges
        return was_session

    async def _exchange(self, token: str) -> None:
        began = trio.current_time()
        try:
            answer = await asked(_with(self._place, token), EXCHANGE, b"{}", method="POST", limit=SESSION_LIMIT)
            session = read_session(answer.body)
        except Unanswered as error:
            if error.status not in NOT_THERE:
                raise
            self._exchanges, self._session = False, None
            return
        except Nonsense as error:
            raise Unanswered(str(error), useless=True) from None
        self._exchanges, self._session, self._since = True, session, began

    def _is_due(self) -> bool:
        return self._session is None or trio.current_time() - self._since >= REFRESH_AT * self._session.lasts

    def _is_over(self) -> bool:
        return self._session is None or trio.current_time() - self._since >= self._session.lasts


def _with(place: Place, token: str) -> Place:
    return msgspec.structs.replace(place, headed=(("Authorization", f"Bearer {token}"),))
