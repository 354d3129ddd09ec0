"""How a program that runs in the foreground ends: the first signal asks, the second ends it at once."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from meshfleet.cli.outcome import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP too: a closed terminal is a way to end a program like any other."""


async def until_signalled(body: Callable[[trio.Event], Awaitable[None]], at_once: Callable[[], None]) -> None:
    """Run `body`, which is given the event that a first signal sets, and then ends when it has said its goodbyes.

    At the second signal `at_once` is called, and the process ends without further ado.
    """
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            asked = trio.Event()
            nursery.start_soon(_listen, signals, asked, at_once)
            await body(asked)
            nursery.cancel_scope.cancel()


async def _listen(signals: AsyncIterator[int], asked: trio.Event, at_once: Callable[[], None]) -> None:
    async for _ in signals:
        if asked.is_set():
            at_once()
            os._exit(INTERRUPTED)
        asked.set()


@asynccontextmanager
async def working_until(asked: trio.Event) -> AsyncIterator[trio.Nursery]:
    """A nursery that is cancelled, with what runs in the block, once `asked` is set; and when the block ends."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on, asked, nursery.cancel_scope)
        yield nursery
        nursery.cancel_scope.cancel()


async def _cancel_on(asked: trio.Event, scope: trio.CancelScope) -> None:
    await asked.wait()
    scope.cancel()
