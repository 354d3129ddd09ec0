"""Which process this is, so that whoever runs on the same machine can tell it from every other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec

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


_mine: Process | None = None


def this_process() -> Process | None:
    """Who I am to a witness; None where the system doesn't tell. Asked once: on macOS that takes two processes."""
    global _mine
    mine = _mine
    if mine is None or mine.pid != os.getpid():  # a forked child is another
        _mine = mine = process_of(os.getpid())
    return mine


def process_of(pid: int) -> Process | None:
    """Who the process with that pid is to a witness; None where there is none, or the system doesn't tell."""
    machine = _machine()
    began = started(pid)
    return None if machine is None or began is None else Process(machine, pid, began)


def parse(text: str | None) -> Process | None:
    """What a peer says of its process; None if it says nothing that makes sense."""
    machine, _, rest = (text or "").partition(":")
    pid, _, began = rest.partition(":")
    if not machine or not began or not pid.isascii() or not pid.isdigit() or len(pid) > 9:
        return None
    return Process(machine, int(pid), began)


def _machine() -> str | None:
    try:
        if sys.platform == "darwin":
            boot = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True).stdout
        else:
            boot = Path("/proc/sys/kernel/random/boot_id").read_bytes() + os.readlink("/proc/self/ns/pid").encode()
    except (OSError, subprocess.SubprocessError):
        return None
    return hashlib.sha256(boot).hexdigest()[:12]


def started(pid: int) -> str | None:
    """When that process began, by a clock that only this machine has; None where there is no such process. Blocks: on
    macOS for as long as another process takes."""
    try:
        if sys.platform == "darwin":
            asked = ["ps", "-o", "lstart=", "-p", str(pid)]
            plain = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}  # it tells a date in words: one that all here agree on
            said = subprocess.run(asked, capture_output=True, check=True, env=plain).stdout
            return hashlib.sha256(said.strip()).hexdigest()[:12]
        stat = Path(f"/proc/{pid}/stat").read_bytes()  # a process may name itself as it likes, be it no text
        return stat.rpartition(b")")[2].split()[_STARTED].decode("latin-1")
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
