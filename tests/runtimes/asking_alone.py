"""A node that is the only one that knows an endpoint, and what comes of its asking."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.endpoint import Endpoint, Transport, Trouble
from meshfleet.fleet.names import AgentId
from meshfleet.runtimes.endpoints import following, watching
from meshfleet.runtimes.endpoints.watching import watch_endpoints
from tests.runtimes.writing import T0, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    import pytest

NAME = AgentId("lab/one")
IDLE = {"status": "idle", "model": "qwen3:32b", "tokens_in": 12}


class Alone:
    """The duties of a node that is the only one that knows an endpoint."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self.endpoints = {each.name: each for each in endpoints}
        self.mine = True
        self.said: list[Transport | tuple[Trouble, int]] = []
        self._news = trio.Event()

    def known(self) -> Mapping[AgentId, Endpoint]:
        return self.endpoints

    def is_mine_to_ask(self, name: AgentId) -> bool:
        return self.mine

    def is_mine_to_carry(self, name: AgentId) -> bool:
        return self.mine

    def begin(self, name: AgentId) -> None:
        pass

    def let_go(self, name: AgentId) -> None:
        pass

    def answered(self, name: AgentId, transport: Transport) -> None:
        self._say(transport)

    def failed(self, name: AgentId, trouble: Trouble, status: int = 0) -> None:
        self._say((trouble, status))

    def _say(self, what: Transport | tuple[Trouble, int]) -> None:
        self.said.append(what)
        self._news.set()
        self._news = trio.Event()

    async def until(self, what: Transport | tuple[Trouble, int], times: int = 1) -> None:
        """Until that was said so often from now on."""
        began = len(self.said)
        with trio.fail_after(20):
            while self.said[began:].count(what) < times:
                await self._news.wait()


class Asked:
    """What came of asking."""

    def __init__(self, duties: Alone) -> None:
        self.duties = duties
        self.sink = Recorder()
        self.counts: Counter[str] = Counter()

    async def until_shown(self, fits: Callable[[dict[str, object]], bool]) -> None:
        """Until the agent's state fits."""
        await self.sink.until(lambda now: NAME in now and fits(msgspec.to_builtins(now[NAME])))

    async def counted(self, name: str, times: int = 1) -> None:
        with trio.fail_after(20):
            while self.counts[name] < times:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def asked(url: str, token: str | None = None, ca: Path | None = None) -> AsyncIterator[Asked]:
    """An endpoint at `url`, asked until the end of the block."""
    told = Asked(Alone(Endpoint(name=NAME, base_url=url, token=token, ca=None if ca is None else str(ca))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_endpoints, told.sink, told.duties, told.counts, lambda: T0)
        yield told
        nursery.cancel_scope.cancel()


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what takes seconds take milliseconds."""
    monkeypatch.setattr(following, "LEAST_POLL", 0.05)
    monkeypatch.setattr(following, "LONGEST_POLL", 0.1)
    monkeypatch.setattr(following, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(watching, "LOOK", 0.1)
    monkeypatch.setattr(watching, "LEAST", 0.05)
    monkeypatch.setattr(watching, "HANDOVER", 0.2)


async def served(handle: Callable[[trio.SocketStream], Awaitable[object]], *, nursery: trio.Nursery) -> str:
    """The URL of a server that does that with each connection."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, handle, listeners)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
