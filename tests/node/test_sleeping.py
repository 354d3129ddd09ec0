"""A machine that says before it sleeps: a real bus, on it somebody who speaks as logind does, and real nodes."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.presence import Presence
from meshfleet.node.logind import MANAGER, NAME, PATH, listening
from meshfleet.node.machine import Machine
from meshfleet.node.opening import open_node
from meshfleet.node.sleeping import NotTold
from tests.node.meshing import config, see, sees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from meshfleet.node.sleeping import Dozing

jeepney = pytest.importorskip("jeepney", reason="jeepney is what speaks D-Bus")
pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")

PATIENCE = 60.0

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/>{rules}</policy></busconfig>
"""


RULES = "".join(
    f'<allow {way}_type="{kind}"/>'
    for way in ("send", "receive")
    for kind in ("method_call", "method_return", "error", "signal")
)


@contextmanager
def bus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A bus of the test's own, in place of the system's."""
    where = folder / "bus"
    (folder / "bus.conf").write_text(BUS.format(path=where, rules=RULES))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={where}")
    command = ["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            assert daemon.stdout.readline()
            yield daemon
        finally:
            daemon.kill()


class Awake(Machine):
    """One that never sleeps, and is on no bus."""

    def dozing(self) -> AbstractAsyncContextManager[Dozing]:
        """Nobody tells."""
        raise NotTold("it never sleeps")


class Logind:
    """Gives out locks, and says what it is told to say."""

    def __init__(self, connection: object) -> None:
        self._connection = connection
        self._locks: list[int] = []
        self.asked: list[tuple[str, ...]] = []
        self.taken = trio.Event()

    async def run(self) -> None:
        """Answer each Inhibit with the end of a pipe."""
        from jeepney import FileDescriptor, MessageType, new_method_return

        while True:
            try:
                message = await self._connection.receive()  # type: ignore[attr-defined]  # jeepney has no types
            except (trio.EndOfChannel, trio.BrokenResourceError):
                return  # the bus ended
            if message.header.message_type is not MessageType.method_call:
                continue
            mine, theirs = os.pipe()
            self._locks.append(mine)
            self.asked.append(message.body)
            lock = FileDescriptor(theirs)
            await self._connection.send(new_method_return(message, "h", (lock,)))  # type: ignore[attr-defined]  # jeepney has no types
            lock.close()
            self.taken.set()

    async def say(self, *, sleeps: bool) -> None:
        """PrepareForSleep."""
        from jeepney import DBusAddress, new_signal

        self.taken = trio.Event()
        signal = new_signal(DBusAddress(PATH, NAME, MANAGER), "PrepareForSleep", "b", (sleeps,))
        await self._connection.send(signal)  # type: ignore[attr-defined]  # jeepney has no types

    @property
    def held(self) -> bool:
        """Whether somebody holds a suspend back: a pipe whose other end is closed is readable, and empty."""
        return any(not select.select([lock], [], [], 0)[0] for lock in self._locks)

    async def let_go(self) -> None:
        """Until nobody does."""
        for lock in self._locks:
            await trio.lowlevel.wait_readable(lock)


@asynccontextmanager
async def logind() -> AsyncIterator[Logind]:
    """On the bus, under logind's name."""
    from jeepney.bus_messages import message_bus
    from jeepney.io.trio import open_dbus_connection

    async with await open_dbus_connection("SYSTEM", enable_fds=True) as connection:
        async with connection.router() as router:
            await router.send_and_get_reply(message_bus.RequestName(NAME))
        made = Logind(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()


async def test_a_node_is_left_while_its_machine_sleeps_and_back_when_it_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trio.fail_after(PATIENCE), bus(tmp_path, monkeypatch):
        async with (
            logind() as system,
            open_node(config("laptop")) as laptop,
            open_node(config("desk", laptop.address), machine=Awake()) as desk,
        ):
            await system.taken.wait()
            assert system.asked[0] == ("sleep", "meshfleet", "to say goodbye to its fleet", "delay")
            await see(desk, 2)
            epoch = laptop.epoch
            said: list[Presence] = []
            desk.watch(lambda event: said.append(event.verdict.presence) if hasattr(event, "verdict") else None)
            laptop.watch(lambda event: said.append(event.verdict.presence) if hasattr(event, "verdict") else None)
            await system.say(sleeps=True)
            await sees(desk, "laptop", Presence.LEFT)
            record = desk.member.roster.get("laptop")
            assert record is not None
            assert record.verdict.reasons == ("asleep",)
            await system.let_go()
            await system.say(sleeps=False)
            await sees(desk, "laptop", Presence.FRESH)
            assert laptop.epoch > epoch
            assert not {Presence.DOWN, Presence.UNREACHABLE} & set(said)
            await system.taken.wait()
            assert system.held, "what comes next is held back as well"


async def test_a_suspend_is_held_back_until_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trio.fail_after(PATIENCE), bus(tmp_path, monkeypatch):
        async with logind() as system, listening() as heard:
            await system.say(sleeps=True)
            await heard.going()
            assert system.held
            heard.let_go()
            await system.let_go()


async def test_where_nobody_tells_the_node_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with trio.fail_after(PATIENCE):
        with pytest.raises(NotTold, match="the system's bus can't be used"):
            async with listening():
                pass
        with bus(tmp_path, monkeypatch), pytest.raises(NotTold, match="logind does not answer"):
            async with listening():
                pass


async def test_a_bus_that_ends_ends_the_listening_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def listen(task_status: trio.TaskStatus[None]) -> None:
        async with listening() as heard:
            task_status.started()
            await heard.going()

    with trio.fail_after(PATIENCE), bus(tmp_path, monkeypatch) as daemon:
        async with logind():
            with pytest.RaisesGroup(NotTold):
                async with trio.open_nursery() as nursery:
                    await nursery.start(listen)
                    daemon.kill()
