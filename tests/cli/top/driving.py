"""`meshfleet top` on a screen of its own, driven by keys and mouse."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meshfleet.cli.top.app import Top
from meshfleet.cli.top.following import Heard
from meshfleet.cli.top.grid import Grid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from textual.pilot import Pilot

    from meshfleet.cli.top.looks import Looks
    from tests.cli.top.site import Sites

    Driven = Callable[["Pilot[None]", Top], Coroutine[object, object, None]]

PATIENCE = 30.0


@asynccontextmanager
async def running(
    made: Sites, *urls: str, size: tuple[int, int] = (80, 24), looks: Looks | None = None
) -> AsyncIterator[tuple[Pilot[None], Top]]:
    """The program on a screen of that size, its first view there."""
    client = made.client(*urls)
    view = await asyncio.to_thread(client.fleet)
    now = time.monotonic()
    top = Top(client, Heard(view, now, now, client.url), made.client, looks)
    async with top.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield pilot, top


def drive(made: Sites, *urls: str, by: Driven, size: tuple[int, int] = (80, 24), looks: Looks | None = None) -> None:
    async def play() -> None:
        async with asyncio.timeout(60), running(made, *urls, size=size, looks=looks) as (pilot, top):
            await by(pilot, top)

    asyncio.run(play())


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, screen(pilot)
        await pilot.pause(0.05)


def screen(pilot: Pilot[None]) -> str:
    """What the terminal shows."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def keys_of(top: Top, page: str = "agents") -> list[str]:
    return top.query_one(f"#{page}", Grid).keys
