"""Which sessions have a living process: Claude Code's `sessions/<pid>.json`, checked against the process table.

The file is written when a process starts, names the session it shows now (`/clear` begins another), follows what it
does in the terminal interface, and goes when the process ends well. A process that crashed leaves it behind, and its
pid may be somebody else's by now: `procStart` tells. It is the start time in clock ticks as /proc has it on Linux, and
the UTC output of `ps -o lstart` on macOS. None of this is documented; versions from 2.1.139 on are known to write it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import msgspec

from meshfleet.logs import get_logger
from meshfleet.runtimes.record import name, project_of, version_of

SINCE = (2, 1, 139)
"""First version of Claude Code that is known to write these files."""

FILE_LIMIT = 64 * 1024
"""Bytes of such a file that are read. Real ones have some 400."""

FILES_LIMIT = 1024
"""Files looked at in one folder."""

log = get_logger("meshfleet.runtimes")


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a runtime that lives, and the session it shows."""

    session: str
    pid: int
    status: str | None = None
    """`idle`, `busy`, `waiting` or `shell` (idle, with a command in the background); None where it doesn't say."""
    status_at: float = 0.0
    """When it began, in seconds since 1970."""
    project: str | None = None
    version: tuple[int, ...] = ()


class _File(msgspec.Struct, frozen=True):
    sessionId: str
    pid: int
    procStart: str | None = None
    cwd: str | None = None
    version: str | None = None
    status: str | None = None
    statusUpdatedAt: float | None = None
    startedAt: float | None = None


class ProcessTable(Protocol):
    """Which processes live."""

    def lives(self, pid: int, started: str | None) -> bool:
        """Whether `pid` lives and began at `started`, in this system's notation; None is not checked."""


class LinuxProcesses:
    """Reads /proc: some 20 µs for each question."""

    def lives(self, pid: int, started: str | None) -> bool:
        """Whether this process lives. A zombie doesn't."""
        try:
            text = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return False
        fields = text.rpartition(b")")[2].split()  # the name before it may hold spaces and parentheses
        if len(fields) < 20 or fields[0] in (b"Z", b"X"):
            return False
        return started is None or fields[19].decode() == started


class PsProcesses:
    """Asks the kernel whether a pid lives, and `ps` once for each pid when it began."""

    def __init__(self) -> None:
        self._began: dict[int, str | None] = {}

    def lives(self, pid: int, started: str | None) -> bool:
        """Whether this process lives."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            self._began.pop(pid, None)
            return False
        except (PermissionError, OverflowError):
            pass  # it lives, as somebody else's
        if started is None:
            return True
        if pid not in self._began:
            if len(self._began) >= FILES_LIMIT:
                self._began.clear()
            self._began[pid] = _began(pid)
        began = self._began[pid]
        return began is None or began.split() == started.split()


def process_table() -> ProcessTable:
    """The one of this system."""
    return LinuxProcesses() if sys.platform == "linux" else PsProcesses()


def presences(folder: Path, table: ProcessTable) -> list[Presence]:
    """The living processes of one Claude Code folder's `sessions`. Reads files: not for the Trio thread."""
    try:
        with os.scandir(folder) as entries:
            paths = [entry.path for entry in entries if entry.name.endswith(".json") and entry.name[:-5].isdecimal()]
    except OSError:
        return []
    found = [presence for path in sorted(paths)[:FILES_LIMIT] if (presence := _read(Path(path), table)) is not None]
    # Two processes that show one session: the one that spoke last.
    return sorted(found, key=lambda presence: presence.status_at)


def _read(path: Path, table: ProcessTable) -> Presence | None:
    try:
        with path.open("rb") as file:
            said = msgspec.json.decode(file.read(FILE_LIMIT), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # gone meanwhile, half written, or of another shape: the next look decides
    session = name(said.sessionId)
    if session is None or not 0 < said.pid < 2**31 or not table.lives(said.pid, said.procStart):
        return None
    return Presence(
        session=session,
        pid=said.pid,
        status=name(said.status),
        status_at=(said.statusUpdatedAt or said.startedAt or 0.0) / 1000,
        project=project_of(said.cwd),
        version=version_of(said.version),
    )


def _began(pid: int) -> str | None:
    try:
        done = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
            env={"LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("ps could not be asked when a process began", error=str(error))
        return None
    return done.stdout.strip() or None
