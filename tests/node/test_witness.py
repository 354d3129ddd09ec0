"""Who runs on the same machine sees a process end, and is not fooled by its pid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import msgspec
import pytest
import trio
import trio.testing

from meshfleet.node import process, witness
from meshfleet.node.clocks import SuspendWatch
from meshfleet.node.machine import Machine
from meshfleet.node.opening import open_node
from meshfleet.node.process import Process, parse, started, this_process
from meshfleet.node.witness import watch
from tests.node.meshing import config


async def test_the_end_of_a_process_is_seen() -> None:
    me = this_process()
    assert me is not None
    child = await trio.lowlevel.open_process([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen: list[bool] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_note, _process(child.pid, me), seen)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            child.kill()
        await child.wait()
    assert seen == [True]
    assert child.stdin is not None
    await child.stdin.aclose()


async def test_a_reused_pid_is_not_taken_for_the_old_process() -> None:
    me = this_process()
    assert me is not None
    with trio.fail_after(20):
        assert not await watch(msgspec.structs.replace(me, started="1"))


def test_on_macos_the_system_is_asked_once_who_this_process_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    for name in ("ps", "sysctl"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> {asked}\necho told\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(process, "_mine", None)
    monkeypatch.setattr(process, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setenv("PATH", str(tmp_path))
    told = {str(this_process()) for _ in range(3)}
    assert len(told) == 1
    assert asked.read_text().split() == ["sysctl", "ps"]


def test_a_forked_child_is_another_process() -> None:
    story = (
        "import os, sys\n"
        "from meshfleet.node.process import this_process\n"
        "mine = this_process()\n"
        "if os.fork() == 0:\n"
        "    os._exit(0 if this_process().pid == os.getpid() != mine.pid else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", story], check=False).returncode == 0


def test_on_macos_time_zone_and_language_say_nothing_of_when_a_process_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ps = tmp_path / "ps"
    ps.write_text('#!/bin/sh\necho "$TZ $LC_ALL $*"\n')
    ps.chmod(0o755)
    monkeypatch.setattr(process, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setenv("PATH", str(tmp_path))
    told = set()
    for zone, language in (("UTC", "C"), ("Asia/Tokyo", "C"), ("UTC", "de_DE.UTF-8")):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("LC_ALL", language)
        told.add(started(1))
    assert len(told) == 1
    assert None not in told


class _Queue:
    """Stands for kqueue, which Linux lacks: becomes readable when that process ends."""

    def __init__(self) -> None:
        self.watched = False
        self._ends = socket.socketpair()

    def control(self, *_: object) -> None:
        self.watched = True
        self._ends[1].send(b"it ended")

    def fileno(self) -> int:
        return self._ends[0].fileno()

    def close(self) -> None:
        for end in self._ends:
            end.close()


@pytest.mark.parametrize("began", ["then", "later"])
async def test_on_macos_the_process_that_is_asked_for_its_start_is_watched_already_and_the_loop_does_not_wait(
    began: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, asked_in = _Queue(), list[threading.Thread]()

    def when(_pid: int) -> str:
        assert queue.watched
        asked_in.append(threading.current_thread())
        return began

    kqueue = SimpleNamespace(kqueue=lambda: queue, kevent=lambda *_: None)
    kqueue.KQ_FILTER_PROC = kqueue.KQ_EV_ADD = kqueue.KQ_NOTE_EXIT = 0
    monkeypatch.setattr(witness, "select", kqueue)
    monkeypatch.setattr(witness, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(witness, "started", when)
    with trio.fail_after(20):
        assert await watch(Process("machine", 1, "then")) == (began == "then")
    assert asked_in != [threading.current_thread()]


async def test_a_process_that_is_gone_already_gives_no_testimony() -> None:
    child = await trio.lowlevel.open_process([sys.executable, "-c", ""])
    await child.wait()
    with trio.fail_after(20):
        assert not await watch(Process("machine", child.pid, "1"))


def test_what_a_node_says_of_its_process_can_be_read_back() -> None:
    me = this_process()
    assert me is not None
    assert me.pid == os.getpid()
    assert parse(str(me)) == me


@pytest.mark.parametrize(
    "text", [None, "", "m", "m:", "m:1", "m:1:", ":1:2", "m:x:2", "m:-1:2", "m:99999999999:2", "m:²:2"]
)
def test_nonsense_about_a_process_is_no_process(text: str | None) -> None:
    assert parse(text) is None


def test_a_suspend_is_seen_once_and_for_its_length() -> None:
    asleep = 100.0
    clock = SuspendWatch(lambda: asleep)
    assert clock.slept() is None
    asleep += 600.0
    assert clock.slept() == 600.0
    assert clock.slept() is None
    asleep += 0.5
    assert clock.slept() is None


class Beside(Machine):
    """One machine for all nodes of a test, each in a process of its own that never ends."""

    watched: ClassVar[set[int]] = set()

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def process(self) -> Process:
        """Of that pid."""
        return Process("m", self._pid, "1")

    async def watch(self, process: Process) -> bool:
        """For ever."""
        self.watched.add(process.pid)
        try:
            await trio.sleep_forever()
        finally:
            self.watched.discard(process.pid)


async def test_of_a_node_that_begins_anew_the_process_of_its_life_before_is_no_longer_watched() -> None:
    with trio.fail_after(60):
        async with open_node(config("n1"), machine=Beside(1)) as n1:
            for pid in (2, 3, 4):
                async with open_node(config("n2", n1.address), machine=Beside(pid)) as n2:
                    while pid not in Beside.watched or (known := n1.member.roster.get("n2")) is None:
                        await n1.changed(n1.version())
                    assert known.epoch == n2.epoch
                    await trio.testing.wait_all_tasks_blocked()
                    assert Beside.watched & {2, 3, 4} == {pid}


async def _note(process: Process, seen: list[bool]) -> None:
    seen.append(await watch(process))


def _process(pid: int, me: Process) -> Process:
    began = started(pid)
    assert began is not None
    return Process(me.machine, pid, began)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process write its name to a file")
def test_a_process_whose_name_is_no_text_has_a_start_time_all_the_same() -> None:
    comm = Path("/proc/self/comm")
    before, began = comm.read_bytes(), started(os.getpid())
    try:
        comm.write_bytes(b"\xff) \xc3")
        assert started(os.getpid()) == began
    finally:
        comm.write_bytes(before)
