"""A machine that is about to be suspended says so, where its system tells in time: `left`, reason asleep.

Else its node falls silent, is presumed down at most, and back at once when it wakes. Which system tells, and how, is in
`logind` (Linux) and `iokit` (macOS). Neither is needed: without them a node only notices afterwards that it slept.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import trio

from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from meshfleet.node.driver import Driver

GOODBYE = 0.5
"""Seconds that goodbyes are given to leave the machine. logind waits for 5 s at most, by default."""

ASK_AGAIN = 300.0
"""Seconds until a system that does not tell is asked again: what tells may start later than this node."""

log = get_logger("meshfleet.node")


class NotTold(Exception):
    """This machine does not say when it goes to sleep; why, in a sentence."""


class Dozing(Protocol):
    """What the system tells, as long as it is listened to."""

    async def going(self) -> None:
        """Return when the machine is about to be suspended. It waits for `let_go`."""
        ...

    def let_go(self) -> None:
        """All is said."""
        ...

    async def woke(self) -> None:
        """Return when it is awake again, or was not suspended after all."""
        ...


class Sleeping:
    """Says goodbye before, and is back after."""

    def __init__(self, driver: Driver, listen: Callable[[], AbstractAsyncContextManager[Dozing]]) -> None:
        self._driver = driver
        self._listen = listen
        self._said_why = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with self._listen() as dozing:
                    await self._follow(dozing)
            except NotTold as why:
                if not self._said_why:
                    log.info("this machine does not tell when it goes to sleep", why=str(why))
                self._said_why = True
            finally:
                self.wake_up()  # nobody would tell, from here on
            await trio.sleep(ASK_AGAIN)

    async def _follow(self, dozing: Dozing) -> None:
        while True:
            await dozing.going()
            try:
                self.fall_asleep()
                await trio.sleep(GOODBYE)
            finally:
                dozing.let_go()
            await dozing.woke()
            self.wake_up()

    def fall_asleep(self) -> None:
        """Say goodbye to all, on streams too."""
        log.info("the machine goes to sleep")
        self._driver.tell(lambda member, now: member.fall_asleep(now))
        self._driver.links.close_all()

    def wake_up(self) -> None:
        """Be there again, if that was said."""
        self._driver.tell(lambda member, now: member.wake_up(now))


def listen() -> AbstractAsyncContextManager[Dozing]:
    """To this machine's system."""
    if sys.platform == "darwin":
        from meshfleet.node.iokit import listening

        return listening()
    from meshfleet.node.logind import listening as on_linux

    return on_linux()
