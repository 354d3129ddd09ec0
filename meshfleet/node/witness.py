"""A witness: a node that can see another's process end, because both run on one machine.

Each node tells its machine, pid and start time. Whoever runs on the same machine watches that process; when it ends,
that is proof of death, at once and without a doubt. The start time keeps a reused pid from being taken for the old
process.
"""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec
import trio

_STARTED = 19
"""Place of the start time in /proc/PID/stat, counted from the field after the command's closing bracket (proc(5))."""


class Process(msgspec.Struct, frozen=True):
    """One process on one machine, told apart from any other that ever had its pid."""

    machine: str
    """A digest of boot and pid namespace: equal only where pids mean the same."""
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.machine}:{self.pid}:{self.started}"


def this_process() -> Process | None:
    """Who I am to a witness; None where the system doesn't tell."""
    machine = _machine()
    started = _started(os.getpid())
    return None if machine is None or started is None else Process(machine, os.getpid(), started)


def parse(text: str | None) -> Process | None:
    """What a peer says of its process; None if it says nothing that makes sense."""
    machine, _, rest = (text or "").partition(":")
    pid, _, started = rest.partition(":")
    if not machine or not started or not pid.isascii() or not pid.isdigit() or len(pid) > 9:
        return None
    return Process(machine, int(pid), started)


async def watch(process: Process) -> bool:
    """Return when `process` ends: True. False at once where it can't be watched, or has another start time."""
    if sys.platform == "darwin":
        return await _watch_by_kqueue(process)
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:  # gone already, or not ours to see: no testimony
        return False
    try:
        if _started(process.pid) != process.started:
            return False
        await trio.lowlevel.wait_readable(pidfd)
        return True
    finally:
        os.close(pidfd)


async def _watch_by_kqueue(process: Process) -> bool:
    """macOS's twin of pidfd. It could not be tried where this was written."""
    if sys.platform == "darwin" and _started(process.pid) == process.started:
        queue = select.kqueue()
        try:
            event = select.kevent(process.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
            queue.control([event], 0)
            await trio.lowlevel.wait_readable(queue.fileno())
            return True
        except OSError:  # gone already, or not ours to see
            return False
        finally:
            queue.close()
    return False


def _machine() -> str | None:
    try:
        if sys.platform == "darwin":
            boot = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True).stdout
        else:
            boot = Path("/proc/sys/kernel/random/boot_id").read_bytes() + os.readlink("/proc/self/ns/pid").encode()
    except (OSError, subprocess.SubprocessError):
        return None
    return hashlib.sha256(boot).hexdigest()[:12]


def _started(pid: int) -> str | None:
    try:
        if sys.platform == "darwin":
            said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=True).stdout
            return hashlib.sha256(said.strip()).hexdigest()[:12]
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[_STARTED]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
