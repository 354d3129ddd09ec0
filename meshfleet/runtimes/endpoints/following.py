"""One endpoint, asked for as long as it is this node's turn: its stream of events where it has one, else `/state` each
5 to 10 s, and less and less often where it does not answer."""

from __future__ import annotations

import random
import ssl
from typing import TYPE_CHECKING

import trio

from meshfleet.asking import Place, Unanswered, asked, listen
from meshfleet.fleet.endpoint import LONGEST_POLL, Transport, Trouble
from meshfleet.logs import get_logger
from meshfleet.runtimes.endpoints.credentials import NOT_THERE, Credentials
from meshfleet.runtimes.endpoints.reading import STATE_LIMIT, Nonsense, read_state

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from meshfleet.fleet.endpoint import Endpoint
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.runtimes.endpoints.duties import Duties

LEAST_POLL = LONGEST_POLL / 2
"""Seconds between two questions at least; at random up to LONGEST_POLL, so that many are not asked at once."""

LONGEST_PAUSE = 60.0
"""Seconds between two questions to one that does not answer, doubling from LEAST_POLL on."""

STREAM_AGAIN = 300.0
"""Seconds until one without a stream of events is asked for one again: it may have been updated."""

HEALTH_LIMIT = 16 * 1024
"""Bytes of an answer to a question for health. Nobody reads them."""

log = get_logger("meshfleet.runtimes")


class Following:
    """See the module. `news` is called when there is something to take."""

    def __init__(
        self,
        endpoint: Endpoint,
        duties: Duties,
        counts: Counter[str],
        wall: Callable[[], str],
        news: Callable[[], None],
    ) -> None:
        self.endpoint = endpoint
        self._duties = duties
        self._counts = counts
        self._wall = wall
        self._news = news
        self._newest: bytes | AgentState | None = None
        """What was told last. Of a stream it is read when it is taken: it may tell more than any reader wants to know,
        and only the newest counts."""
        self._is_nonsense = False
        """Whether what was taken last of the stream was none."""
        self._stream_at = 0.0
        self._failures = 0
        self._said: str | None = None

    @property
    def _name(self) -> AgentId:
        return self.endpoint.name

    def take(self) -> AgentState | None:
        """The newest state since the last call; None where there is none."""
        newest, self._newest = self._newest, None
        if not isinstance(newest, bytes):
            return newest
        try:
            state = read_state(self.endpoint, newest, self._wall())
        except Nonsense as error:
            self._is_nonsense = True
            self._counts["endpoint_bad_answers"] += 1
            self._duties.failed(self._name, Trouble.NONSENSE)
            self._tell_once(str(error))
            return None
        self._duties.answered(self._name, Transport.STREAM)
        return state

    async def run(self) -> None:
        """Until cancelled. Nothing that the endpoint does makes it raise."""
        credentials = await self._credentials()
        while credentials is None:
            await trio.sleep(LONGEST_PAUSE)
            credentials = await self._credentials()
        while True:
            if await self._ask(credentials) and self.endpoint.events and trio.current_time() >= self._stream_at:
                await self._follow(credentials)
            if self._failures:
                pause = min(LONGEST_PAUSE, LEAST_POLL * 2 ** (self._failures - 1)) * random.uniform(0.75, 1.0)
            else:
                pause = random.uniform(LEAST_POLL, LONGEST_POLL)
            await trio.sleep(pause)

    async def _credentials(self) -> Credentials | None:
        endpoint, trust = self.endpoint, None
        if endpoint.base_url.startswith("https:"):
            try:
                trust = await trio.to_thread.run_sync(_trust, endpoint.ca)
            except OSError as error:  # SSLError is one, too
                self._fail(Unanswered(f"its ca can't be used: {error.strerror or error}", untrusted=True))
                return None
        return Credentials(Place(endpoint.base_url, trust=trust), endpoint.token)

    async def _ask(self, credentials: Credentials) -> bool:
        """For the state, once; whether there was one."""
        self._counts["endpoint_polls"] += 1
        try:
            try:
                answer = await asked(await credentials.place(), "/state", limit=STATE_LIMIT)
            except Unanswered as error:
                if error.status not in (401, 403) or not credentials.refused():
                    raise
                answer = await asked(await credentials.place(), "/state", limit=STATE_LIMIT)
        except Unanswered as error:
            self._fail(error)
            return False
        try:
            self._newest = read_state(self.endpoint, answer.body, self._wall())
        except Nonsense as error:
            self._counts["endpoint_bad_answers"] += 1
            self._fail(Unanswered(str(error), useless=True))
            return False
        self._failures, self._said = 0, None
        self._duties.answered(self._name, Transport.POLL)
        self._news()
        return True

    async def _follow(self, credentials: Credentials) -> None:
        """Its stream, for as long as there is one."""
        self._stream_at = trio.current_time() + STREAM_AGAIN
        self._is_nonsense = streaming = False

        def alive() -> None:
            nonlocal streaming
            if self._is_nonsense:
                raise Unanswered("its events are no states", useless=True)
            streaming = True
            self._duties.answered(self._name, Transport.STREAM)

        def hear(data: bytes) -> None:
            self._counts["endpoint_events"] += 1
            self._newest = data
            self._news()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_after, credentials, lambda: streaming and not self._is_nonsense)
            try:
                await listen(await credentials.place(), self.endpoint.events, hear, self._counts, alive=alive)
            except Unanswered as error:
                if streaming and not error.useless:
                    self._counts["endpoint_streams_ended"] += 1
                    self._stream_at = trio.current_time() + random.uniform(LEAST_POLL, LONGEST_POLL)
                    self._tell_once(f"its stream ended: {error}")
            nursery.cancel_scope.cancel()

    async def _look_after(self, credentials: Credentials, streaming: Callable[[], bool]) -> None:
        """While a stream says nothing, whether its agent is there: an agent that is idle has nothing to tell."""
        while True:
            await trio.sleep(random.uniform(LEAST_POLL, LONGEST_POLL))
            try:
                await asked(await credentials.place(), "/health", limit=HEALTH_LIMIT)
            except Unanswered as error:
                if error.status not in NOT_THERE:  # no such path: who says so is there
                    self._counts["endpoint_unhealthy"] += 1
                    continue
            if streaming():
                self._duties.answered(self._name, Transport.STREAM)

    def _fail(self, error: Unanswered) -> None:
        self._failures = min(self._failures + 1, 16)
        self._counts["endpoint_unanswered"] += 1
        self._duties.failed(self._name, _trouble(error), error.status or 0)
        self._tell_once(str(error))

    def _tell_once(self, why: str) -> None:
        """In the log, once for each reason: an operator who looks there wants to know more than the view says."""
        if why != self._said:
            self._said = why
            log.info("an endpoint gives no answer of use", agent=self._name, url=self.endpoint.base_url, why=why)


def _trust(ca: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


def _trouble(error: Unanswered) -> Trouble:
    if error.untrusted:
        return Trouble.UNTRUSTED
    if error.refused:
        return Trouble.REFUSED
    if error.status is not None:
        return Trouble.STATUS
    if error.useless:
        return Trouble.NONSENSE
    return Trouble.HANGS if error.met else Trouble.UNREACHED
