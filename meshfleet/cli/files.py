"""Small JSON files that tell other processes what runs: written whole or not at all, and never believed blindly."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from meshfleet.errors import StateDirError

RUNNING = "running.json"
POINTERS = ".running"
"""Folder in the base of all state dirs. Its name is none that a node could have."""
POINTERS_LIMIT = 1024
SIZE_LIMIT = 1024 * 1024


class Running(msgspec.Struct, frozen=True):
    """What `up` tells about its node, in `running.json` of the state dir, while it runs."""

    name: str
    http: str
    """The base URL of its view."""
    gossip: str
    pid: int


class _Pointer(msgspec.Struct, frozen=True):
    state_dir: str


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def write_json(path: Path, content: msgspec.Struct) -> None:
    """Replace `path`. A reader sees the old file or the new one. StateDirError where it can't be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(msgspec.json.encode(content) + b"\n")
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


def pointer_to(base: Path, state_dir: Path) -> Path:
    """The file in which commands of this user are told of a node that runs in `state_dir`, wherever that is."""
    return base / POINTERS / f"{blake2b(os.fsencode(state_dir.absolute()), digest_size=8).hexdigest()}.json"


def point_to(base: Path, state_dir: Path) -> None:
    """Tell them. Where `base` can't be written they have to be told --state-dir."""
    pointer = pointer_to(base, state_dir)
    with suppress(OSError, StateDirError):
        pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(pointer, _Pointer(str(state_dir.absolute())))


def pointers_in(base: Path) -> list[Path]:
    """State dirs that were told. Pointers to where no node runs any more are removed."""
    found: list[Path] = []
    for path in sorted((base / POINTERS).glob("*.json"))[:POINTERS_LIMIT]:
        pointer = read_json(path, _Pointer)
        if pointer is not None and running_in(Path(pointer.state_dir)) is not None:
            found.append(Path(pointer.state_dir))
        else:
            remove(path)
    return found


def running_in(state_dir: Path) -> Running | None:
    """The node that runs in `state_dir`; None where none does, or the one that did was killed."""
    running = read_json(state_dir / RUNNING, Running)
    return running if running is not None and is_alive(running.pid) else None
