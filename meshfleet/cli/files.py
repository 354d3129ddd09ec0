"""Small JSON files that tell other processes what runs: written whole or not at all, and never believed blindly."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = "running.json"
SIZE_LIMIT = 1024 * 1024


class Running(msgspec.Struct, frozen=True):
    """What `up` tells about its node, in `running.json` of the state dir, while it runs."""

    name: str
    http: str
    """The base URL of its view."""
    gossip: str
    pid: int


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def write_json(path: Path, content: msgspec.Struct) -> None:
    """Replace `path`. A reader sees the old file or the new one. StateDirError where it can't be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(msgspec.json.encode(content) + b"\n")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise StateDirError(f"{path} can't be written: {error.strerror}. Give --state-dir another folder.") from error


def read_json(path: Path, kind: type[_Struct]) -> _Struct | None:
    """What `path` holds; None where it is not there, or is nothing of ours."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(SIZE_LIMIT), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def remove(path: Path) -> None:
    """Remove `path` if it is there."""
    with suppress(OSError):
        path.unlink()


def is_alive(pid: int) -> bool:
    """Whether a process has this pid. It may be another one than the one that was meant: pids are used again."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # not ours to signal, so it is there
        return True
    return True


def running_in(state_dir: Path) -> Running | None:
    """The node that runs in `state_dir`; None where none does, or the one that did was killed."""
    running = read_json(state_dir / RUNNING, Running)
    return running if running is not None and is_alive(running.pid) else None
