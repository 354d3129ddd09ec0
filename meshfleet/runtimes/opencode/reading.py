"""Follows the opencode servers of this machine: `await watch_opencode(desk, urls, …)`, one task per server.

The stream tells at once; every POLL seconds all is asked for besides, because a version is known whose stream said
nothing, and because a session may have begun before we listened. A server that is not there costs one refused
connection each half minute.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.asking import Place, Unanswered, ask, listen
from meshfleet.logs import get_logger
from meshfleet.runtimes.opencode import RUNTIME, telling
from meshfleet.runtimes.opencode.server import Listed, Server
from meshfleet.runtimes.record import Channel
from meshfleet.runtimes.sessions import Key

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from meshfleet.runtimes.desk import Desk

POLL = 10.0
"""Seconds between two looks at everything."""

ABSENT = 30.0
"""Seconds between two looks for a server that has not been there yet."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts to find one again that was there."""

AT_ONCE = 8
"""Sessions whose newest messages are asked for after one look."""

MESSAGES = 4
"""Newest messages asked for: the last answer, and what came before it."""

HISTORY = 3600.0
"""A session that changed longer ago is history when we meet it; as for those that are read from files."""

LISTS = 1024 * 1024
"""Bytes of a list: 200 sessions have some 150 KB. Objects take many times the bytes that they are written in."""

OWNERS_LIMIT = 2048
"""Sessions for which it is kept which server speaks for them."""

log = get_logger("meshfleet.runtimes")


class _Health(msgspec.Struct, frozen=True):
    healthy: bool


async def watch_opencode(
    desk: Desk,
    urls: Sequence[str],
    *,
    password: str | None,
    counts: Counter[str],
    user: str = "opencode",
    wall: Callable[[], float] = time.time,
) -> None:
    """Tell `desk` of the sessions of the servers at `urls`, until cancelled. `password` is OPENCODE_SERVER_PASSWORD.

    Servers may come and go; none makes it raise.
    """
    owners: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        for url in dict.fromkeys(urls):
            place = Place(url.rstrip("/"), user, password or None)
            nursery.start_soon(_Watched(desk, place, counts, wall, owners).run)


class _Watched:
    """One server, there or not."""

    def __init__(
        self,
        desk: Desk,
        place: Place,
        counts: Counter[str],
        wall: Callable[[], float],
        owners: dict[str, str],
    ) -> None:
        self._desk = desk
        self._place = place
        self._counts = counts
        self._wall = wall
        self._owners = owners
        self._server = Server(counts)
        self._look_now = trio.Event()
        self._complained = False
        self._there = False

    async def run(self) -> None:
        """Until cancelled."""
        pause = ABSENT
        while True:
            try:
                await self._recognize()
            except Unanswered as error:
                self._complain(error)
                if error.refused and self._there:
                    self._there = False
                    self._gone()
            else:
                self._there = True
                await self._follow()
                pause = FIRST_PAUSE / 2
            pause = pause if pause == ABSENT else min(LONGEST_PAUSE, 2 * pause)
            await trio.sleep(pause)

    async def _recognize(self) -> None:
        """Whether it is an opencode server. Unanswered where it is not, or none is there."""
        try:
            health = msgspec.json.decode(await ask(self._place, "/global/health", limit=65_536), type=_Health)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unanswered("something else serves there") from None
        if not health.healthy:
            raise Unanswered("it says that it is not well")

    async def _follow(self) -> None:
        """Until it is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            await self._ask_for_windows()  # some 2 MB, and slow while a server starts: events don't wait for it
            error = await self._look_until_it_fails()
            nursery.cancel_scope.cancel()
        log.info("an opencode server no longer answers", url=self._place.url, why=str(error))

    def _gone(self) -> None:
        """Nobody listens there any more: what it ran, runs no longer."""
        self._server.gone(self._wall())
        self._tell(streamed=False)
        for session in [each for each, owner in self._owners.items() if owner == self._place.url]:
            del self._owners[session]

    async def _listen(self) -> None:
        """Follow the stream, of all its folders if it has that; again when it ends."""
        path, pause = "/global/event", FIRST_PAUSE
        while True:
            began = trio.current_time()
            try:
                await listen(self._place, path, self._hear, self._counts)
            except Unanswered as error:
                if error.status == 404 and path != "/event":
                    path = "/event"
                    continue
            self._look_now.set()  # what was missed meanwhile; and whether it is there at all
            pause = FIRST_PAUSE if trio.current_time() - began > LONGEST_PAUSE else min(LONGEST_PAUSE, 2 * pause)
            await trio.sleep(pause)

    def _hear(self, data: bytes) -> None:
        self._server.event(data, self._wall())
        self._tell(streamed=True)

    async def _look_until_it_fails(self) -> Unanswered:
        while True:
            self._look_now = trio.Event()
            try:
                await self._look()
            except Unanswered as error:
                return error
            with trio.move_on_after(POLL):
                await self._look_now.wait()

    async def _look(self) -> None:
        asked_at = self._wall()
        sessions = telling.sessions, await ask(self._place, "/session?limit=200", limit=LISTS)
        doing = telling.doing, await ask(self._place, "/session/status", limit=LISTS // 8)
        try:
            listed = Listed(sessions[0](sessions[1]), doing[0](doing[1]), await self._waiting())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._counts["runtimes_bad_answers"] += 1
            return
        unclear = self._server.listed(listed, asked_at, self._wall(), asked_at - HISTORY)
        for session in unclear[:AT_ONCE]:
            await self._read(session)
        if self._server.lacks_a_window:
            await self._ask_for_windows()
        self._tell(streamed=False)

    async def _waiting(self) -> list[telling.Request]:
        """What waits for a person; older versions have no such list."""
        try:
            return [
                *telling.requests(await ask(self._place, "/permission", limit=LISTS)),
                *telling.requests(await ask(self._place, "/question", limit=LISTS)),
            ]
        except Unanswered as error:
            if error.status is None:
                raise
            return []

    async def _read(self, session: str) -> None:
        try:
            data = await ask(self._place, f"/session/{session}/message?limit={MESSAGES}")
            self._server.read(session, telling.messages(data), self._wall())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._counts["runtimes_bad_answers"] += 1
        except Unanswered as error:
            if error.status is None:
                raise

    async def _ask_for_windows(self) -> None:
        try:
            self._server.windows_are(telling.windows(await ask(self._place, "/config/providers")))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._counts["runtimes_bad_answers"] += 1
        except Unanswered:
            return  # too slow, or not there: asked again with the next look that lacks one

    def _tell(self, *, streamed: bool) -> None:
        """What changed. Two servers may list one session, of which one runs it: that is the one whose stream tells."""
        for record in self._server.take_changed():
            if streamed:
                self._owners[record.session] = self._place.url
                while len(self._owners) > OWNERS_LIMIT:
                    del self._owners[next(iter(self._owners))]
            if self._owners.setdefault(record.session, self._place.url) == self._place.url:
                self._desk.hear(Key(RUNTIME, record.session), Channel.SERVER, record)

    def _complain(self, error: Unanswered) -> None:
        if error.status == 401 and not self._complained:
            self._complained = True
            log.warning(
                "an opencode server wants a password; give the node the one of OPENCODE_SERVER_PASSWORD",
                url=self._place.url,
            )
