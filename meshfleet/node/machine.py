"""What a node asks of the machine it runs on. The simulator has virtual ones, whose clocks stop while they sleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from meshfleet.node.clocks import asleep_so_far
from meshfleet.node.process import Process, this_process
from meshfleet.node.roaming import kernel_words
from meshfleet.node.sleeping import listen
from meshfleet.node.witness import watch

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from meshfleet.node.sleeping import Dozing


class Machine:
    """This machine, and this process on it."""

    def now(self) -> float:
        """Monotonic seconds; the member's clock."""
        return trio.current_time()

    def moment(self, at: float) -> float:
        """The moment by Trio's clock at which `now` will be `at`, for deadlines. One of the past is due at once."""
        return at

    def asleep(self) -> float:
        """Seconds spent suspended so far. Only differences of it mean anything."""
        return asleep_so_far()

    def process(self) -> Process | None:
        """Who I am to a witness."""
        return this_process()

    def dozing(self) -> AbstractAsyncContextManager[Dozing]:
        """Where it tells before it is suspended. NotTold where it does not."""
        return listen()

    def network_words(self) -> AbstractContextManager[socket.socket | None]:
        """Where its kernel tells that addresses or routes changed."""
        return kernel_words()

    async def watch(self, process: Process) -> bool:
        """Return when `process`, one of this machine, ends: True. False at once where it can't be watched."""
        return await watch(process)
