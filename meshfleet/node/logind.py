"""logind tells before a suspend, and holds it back for as long as a file is held open (systemd.io/INHIBITOR_LOCKS).

    Inhibit("sleep", ..., "delay")      gives the file; while it is open a suspend waits, 5 s by default
    PrepareForSleep(true)               is about to be suspended: say goodbye, close the file
    PrepareForSleep(false)              is awake again: take another one

By D-Bus, with jeepney (`pip install 'meshfleet[sleep]'`). Where it is missing, or no logind is there, as in containers
and on Linux without systemd, nothing is told.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from meshfleet.node.sleeping import NotTold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jeepney import Message
    from jeepney.fds import FileDescriptor
    from jeepney.io.trio import DBusConnection

NAME, PATH, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"

PATIENCE = 10.0
"""Seconds for an answer of the bus or of logind."""

SIGNALS = 16
"""Signals that came while an answer was waited for. There are two for each night."""


class Logind:
    """A `Dozing`: one connection to the system's bus."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._came: deque[Message] = deque(maxlen=SIGNALS)
        self._lock: FileDescriptor | None = None
        self._owner: str | None = None
        """Who logind is on this bus: others can say what they like."""

    async def take_lock(self) -> None:
        """Hold back what comes next."""
        from jeepney import DBusAddress, HeaderFields, new_method_call

        self.let_go()
        asked = ("sleep", "meshfleet", "to say goodbye to its fleet", "delay")
        reply = await self.call(new_method_call(DBusAddress(PATH, NAME, MANAGER), "Inhibit", "ssss", asked))
        (self._lock,) = reply.body
        self._owner = reply.header.fields[HeaderFields.sender]

    def let_go(self) -> None:
        """Hold back nothing any more."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def going(self) -> None:
        """Return at PrepareForSleep(true)."""
        if self._lock is None:
            await self.take_lock()
        await self._until(begins=True)

    async def woke(self) -> None:
        """Return at PrepareForSleep(false)."""
        await self._until(begins=False)

    async def _until(self, *, begins: bool) -> None:
        from jeepney import HeaderFields

        wanted = (MANAGER, "PrepareForSleep", self._owner)
        while True:
            message = self._came.popleft() if self._came else await self._connection.receive()
            fields = message.header.fields
            said = (fields.get(field) for field in (HeaderFields.interface, HeaderFields.member, HeaderFields.sender))
            if (*said,) == wanted and message.body == (begins,):
                return

    async def call(self, message: Message) -> Message:
        """Ask, and wait for the answer to that. NotTold where it is an error, or none comes."""
        from jeepney import HeaderFields, MessageType

        serial = next(self._connection.outgoing_serial)
        with trio.move_on_after(PATIENCE):
            await self._connection.send(message, serial=serial)
            while True:
                reply = await self._connection.receive()
                if reply.header.fields.get(HeaderFields.reply_serial) == serial:
                    break
                self._came.append(reply)
            if reply.header.message_type is MessageType.error:
                raise NotTold(f"logind does not answer: {reply.body[0] if reply.body else 'no reason given'}")
            return reply
        raise NotTold(f"no answer on the system's bus within {PATIENCE:.0f} s")


@asynccontextmanager
async def listening() -> AsyncIterator[Logind]:
    """Connected to logind, with its lock taken. NotTold where that can't be."""
    try:
        from jeepney import MatchRule
        from jeepney.bus_messages import message_bus
        from jeepney.io.trio import open_dbus_connection
    except ImportError:
        raise NotTold("jeepney is not installed; pip install 'meshfleet[sleep]'") from None
    rule = MatchRule(type="signal", sender=NAME, interface=MANAGER, member="PrepareForSleep", path=PATH)
    try:
        async with await open_dbus_connection("SYSTEM", enable_fds=True) as connection:
            logind = Logind(connection)
            try:
                await logind.call(message_bus.AddMatch(rule))
                await logind.take_lock()
                yield logind
            finally:
                logind.let_go()
    except NotTold:
        raise
    except Exception as error:  # whatever is wrong with that bus: the node goes on without it
        raise NotTold(f"the system's bus can't be used: {_first(error)!r}") from error


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
