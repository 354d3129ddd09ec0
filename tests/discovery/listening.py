"""One source, asked as the node asks it, and ways to wait for what it tells."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from meshfleet.discovery.source import Found, Here, Hurry
from meshfleet.fleet.names import Address, NodeName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.discovery.source import Source

HERE = Here(name=NodeName("n1"), fleet="3f9a12cd0b7e4410", gossip=Address("127.0.0.1", 7878))

PATIENCE = 30.0
"""Seconds after which a test gives up: a guard, nothing waits for it."""


class Told:
    """What a source told, newest last."""

    def __init__(self) -> None:
        self.all: list[Found] = []
        self.hurry = Hurry()
        self._news = trio.Event()

    def hear(self, found: Found) -> None:
        self.all.append(found)
        self._news.set()
        self._news = trio.Event()

    async def until(self, fits: Callable[[Found], bool]) -> Found:
        """The newest word, once it fits."""
        with trio.fail_after(PATIENCE):
            while not self.all or not fits(self.all[-1]):
                await self._news.wait()
        return self.all[-1]

    async def nodes(self, *wanted: str) -> Found:
        """Once it gives just these addresses, in any order."""
        return await self.until(lambda found: sorted(map(str, found.nodes)) == sorted(wanted))


@asynccontextmanager
async def watched(source: Source, here: Here = HERE) -> AsyncIterator[Told]:
    """`source`, asked until the end of the block."""
    told = Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.watch, here, told.hear, told.hurry)
        yield told
        nursery.cancel_scope.cancel()
