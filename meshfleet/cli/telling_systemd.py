"""What a service manager is told: that the node serves, that its loop still turns, and that it ends.

systemd starts a service of Type=notify with NOTIFY_SOCKET, a datagram socket that takes lines of NAME=VALUE, and with
WATCHDOG_USEC where it restarts what stops telling (sd_notify(3), sd_watchdog_enabled(3)). Nothing of it is there
elsewhere, launchd included, and then nothing is told.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import trio

from meshfleet.logs import get_logger
from meshfleet.plain import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = get_logger("meshfleet.up")


class Systemd:
    """Who waits at NOTIFY_SOCKET, or nobody."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._where = environ.get("NOTIFY_SOCKET", "")
        meant = environ.get("WATCHDOG_PID", str(os.getpid()))
        usec = environ.get("WATCHDOG_USEC", "")
        self._pause = int(usec) / 2e6 if usec.isdecimal() and meant == str(os.getpid()) else None
        """Seconds between two signs of life: half of what systemd waits, as its manual asks for."""

    def tell(self, *lines: str) -> None:
        """Say it, if somebody listens, a line each: a break in one would begin another, such as MAINPID=. Never waits
        and never fails: a node does not end of its manager."""
        if not self._where:
            return
        where = "\0" + self._where[1:] if self._where.startswith("@") else self._where
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
                speaking.setblocking(False)
                speaking.sendto("\n".join(map(one_line, lines)).encode(), where)
        except (OSError, ValueError) as error:
            log.warning("the service manager can't be told", socket=self._where, error=str(error))
            self._where = ""

    async def signs_of_life(self, status: Callable[[], str]) -> None:
        """Say for ever, from inside the node's loop, that it turns, and how the node stands."""
        while self._where and self._pause is not None:
            self.tell("WATCHDOG=1", f"STATUS={status()}")
            await trio.sleep(self._pause)
