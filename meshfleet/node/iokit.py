"""macOS tells before it sleeps, and waits for an answer (Apple, Technical Q&A QA1340): IOKit's power notifications.

    IORegisterForSystemPower    a callback on a run loop, which a thread of its own turns
    kIOMessageSystemWillSleep   it will sleep, in 30 s at most: say goodbye, then IOAllowPowerChange
    kIOMessageCanSystemSleep    may it, for being idle? Yes, always
    kIOMessageSystemHasPoweredOn  it is awake again

By ctypes, for PyObjC would be 10 MB for five calls. Written from Apple's documentation; it has not run anywhere yet.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import asynccontextmanager
from ctypes.util import find_library
from typing import TYPE_CHECKING

import trio

from meshfleet.node.sleeping import NotTold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CAN_SLEEP, WILL_SLEEP, HAS_POWERED_ON = 0xE0000270, 0xE0000280, 0xE0000300
"""iokit_common_msg(0x270), (0x280) and (0x300), of IOMessage.h."""

START = 5.0
"""Seconds in which the thread must have registered."""

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)


class Power:
    """A `Dozing`: what the thread hears."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._send, self._receive = trio.open_memory_channel[bool](16)
        self._gone = threading.Event()
        self._ready = threading.Event()
        self._why = ""
        self._loop: int | None = None

    async def going(self) -> None:
        """Return when it will sleep."""
        self._gone.clear()
        await self._until(begins=True)

    def let_go(self) -> None:
        """Let it."""
        self._gone.set()

    async def woke(self) -> None:
        """Return when it is on again."""
        await self._until(begins=False)

    async def _until(self, *, begins: bool) -> None:
        async for begun in self._receive:
            if begun is begins:
                return

    async def start(self) -> None:
        """Register. NotTold where that can't be."""
        threading.Thread(target=self._run, name="meshfleet sleep", daemon=True).start()
        await trio.to_thread.run_sync(self._ready.wait, START)
        if self._loop is None:
            raise NotTold(self._why or "IOKit did not answer")

    def stop(self) -> None:
        """End the thread."""
        self._gone.set()
        if self._loop is not None:
            _core().CFRunLoopStop(ctypes.c_void_p(self._loop))

    # In the thread

    def _run(self) -> None:
        try:
            iokit, core = _iokit(), _core()
            port, notifier = ctypes.c_void_p(), ctypes.c_uint32()

            def told(refcon: int, service: int, kind: int, argument: int) -> None:
                if kind == WILL_SLEEP:
                    self._tell(begins=True)
                    self._gone.wait(START)
                if kind in (WILL_SLEEP, CAN_SLEEP):
                    iokit.IOAllowPowerChange(root, ctypes.c_long(argument or 0))
                elif kind == HAS_POWERED_ON:
                    self._tell(begins=False)

            callback = _Callback(told)
            root = iokit.IORegisterForSystemPower(None, ctypes.byref(port), callback, ctypes.byref(notifier))
            if not root:
                self._why = "IOKit refused to tell of sleep"
                return
            source = iokit.IONotificationPortGetRunLoopSource(port)
            loop = core.CFRunLoopGetCurrent()
            core.CFRunLoopAddSource(loop, source, ctypes.c_void_p.in_dll(core, "kCFRunLoopCommonModes"))
            self._loop = loop
            self._ready.set()
            core.CFRunLoopRun()
            iokit.IODeregisterForSystemPower(ctypes.byref(notifier))
            iokit.IONotificationPortDestroy(port)
        except (OSError, AttributeError, ValueError) as error:
            self._why = f"IOKit can't be used: {error}"
        finally:
            self._ready.set()

    def _tell(self, *, begins: bool) -> None:
        def put() -> None:
            if self._send.statistics().current_buffer_used < 16:
                self._send.send_nowait(begins)

        try:
            self._token.run_sync_soon(put)
        except trio.RunFinishedError:
            self._gone.set()


@asynccontextmanager
async def listening() -> AsyncIterator[Power]:
    """Registered with IOKit."""
    power = Power()
    await power.start()
    try:
        yield power
    finally:
        power.stop()


def _iokit() -> ctypes.CDLL:
    iokit = ctypes.CDLL(find_library("IOKit") or "IOKit")
    iokit.IORegisterForSystemPower.restype = ctypes.c_uint32
    iokit.IORegisterForSystemPower.argtypes = [ctypes.c_void_p, ctypes.c_void_p, _Callback, ctypes.c_void_p]
    iokit.IOAllowPowerChange.argtypes = [ctypes.c_uint32, ctypes.c_long]
    iokit.IONotificationPortGetRunLoopSource.restype = ctypes.c_void_p
    iokit.IONotificationPortGetRunLoopSource.argtypes = [ctypes.c_void_p]
    iokit.IONotificationPortDestroy.argtypes = [ctypes.c_void_p]
    iokit.IODeregisterForSystemPower.argtypes = [ctypes.c_void_p]
    return iokit


def _core() -> ctypes.CDLL:
    core = ctypes.CDLL(find_library("CoreFoundation") or "CoreFoundation")
    core.CFRunLoopGetCurrent.restype = ctypes.c_void_p
    core.CFRunLoopAddSource.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    core.CFRunLoopStop.argtypes = [ctypes.c_void_p]
    return core
