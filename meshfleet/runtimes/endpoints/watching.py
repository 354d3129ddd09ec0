"""Asks the endpoints whose turn it is, and shows them: `await watch_endpoints(sink, duties, …)`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import PublishError
from meshfleet.runtimes.endpoints.following import Following
from meshfleet.runtimes.record import rfc3339

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from meshfleet.fleet.endpoint import Endpoint
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState
    from meshfleet.runtimes.endpoints.duties import Duties
    from meshfleet.runtimes.sink import Sink

LOOK = 1.0
"""Seconds between two looks at whose turn it is."""

LEAST = 0.25
"""Seconds between two looks when there is news all the time: of an endpoint at most four states a second are shown."""

HANDOVER = 3.0
"""Seconds for which another node must have taken over before this one lets go: what the other shows has come everywhere
by then, and no view lacks the agent in between. That both show it for so long is no harm: a view believes one."""


async def watch_endpoints(
    sink: Sink, duties: Duties, counts: Counter[str], wall: Callable[[], float] = time.time
) -> None:
    """Until cancelled. Endpoints come and go as `duties` knows them."""
    async with trio.open_nursery() as nursery:
        await _Watching(sink, duties, counts, wall, nursery).run()


class _Lasting:
    """Something that counts once it has been so for a while."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_it(self, now_so: bool, now: float) -> bool:
        """Whether it is so, and has been for HANDOVER."""
        if not now_so:
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= HANDOVER


class _Asked:
    """One endpoint that is asked."""

    def __init__(self, following: Following, state: AgentState | None) -> None:
        self.following = following
        self.scope = trio.CancelScope()
        self.state = state
        self.over = _Lasting()
        """Whether it is another's turn to ask it."""
        self.not_shown = _Lasting()
        """Whether another shows it."""


class _Watching:
    def __init__(
        self, sink: Sink, duties: Duties, counts: Counter[str], wall: Callable[[], float], nursery: trio.Nursery
    ) -> None:
        self._sink = sink
        self._duties = duties
        self._counts = counts
        self._wall = wall
        self._nursery = nursery
        self._asked: dict[AgentId, _Asked] = {}
        self._shown: dict[AgentId, AgentState] = {}
        self._news = trio.Event()

    async def run(self) -> None:
        while True:
            self._news = trio.Event()
            self.look()
            await trio.sleep(LEAST)
            with trio.move_on_after(LOOK - LEAST):
                await self._news.wait()

    def look(self) -> None:
        known, now = self._duties.known(), trio.current_time()
        for name, asked in list(self._asked.items()):
            endpoint = known.get(name)
            if endpoint is None or asked.over.is_it(not self._duties.is_mine_to_ask(name), now):
                self._stop(name, asked)
            elif endpoint != asked.following.endpoint:  # another token, or it moved: it is the same agent
                asked.scope.cancel()
                self._start(endpoint, asked.state)
        for name, endpoint in known.items():
            if name not in self._asked and self._duties.is_mine_to_ask(name):
                self._start(endpoint)
        for name, asked in self._asked.items():
            asked.state = asked.following.take() or asked.state
            mine = self._duties.is_mine_to_carry(name)
            if mine and asked.state is not None:
                self._show(name, asked.state)
            if asked.not_shown.is_it(not mine, now):
                self._withdraw(name)

    def _start(self, endpoint: Endpoint, state: AgentState | None = None) -> None:
        wall = partial(_rfc3339, self._wall)
        following = Following(endpoint, self._duties, self._counts, wall, lambda: self._news.set())
        asked = self._asked[endpoint.name] = _Asked(following, state)
        self._duties.begin(endpoint.name)
        self._nursery.start_soon(_until_stopped, asked)

    def _stop(self, name: AgentId, asked: _Asked) -> None:
        asked.scope.cancel()
        del self._asked[name]
        self._duties.let_go(name)
        self._withdraw(name)

    def _show(self, name: AgentId, state: AgentState) -> None:
        before = self._shown.get(name)
        if before is not None and msgspec.structs.replace(state, timestamp=before.timestamp) == before:
            return
        self._shown[name] = state
        try:
            self._sink.publish(state)
        except PublishError:
            self._counts["endpoint_refused"] += 1

    def _withdraw(self, name: AgentId) -> None:
        if self._shown.pop(name, None) is not None:
            self._sink.withdraw(name)


def _rfc3339(wall: Callable[[], float]) -> str:
    return rfc3339(wall())


async def _until_stopped(asked: _Asked) -> None:
    with asked.scope:
        await asked.following.run()
