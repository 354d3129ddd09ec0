"""Settings files, replaced whole or not at all; and what is remembered of each, so that undoing is exact."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from meshfleet.cli.files import read_json, remove, write_json
from meshfleet.errors import ConfigError, StateDirError

FOLDER = ".connect"
"""Beside the state dirs: the script that hooks run, and what was connected. Its name is none that a node could have."""

SIZE_LIMIT = 16 * 1024 * 1024


class Memory(msgspec.Struct, frozen=True):
    """What `connect` did to a settings file."""

    path: str
    before: bytes | None
    """As it was without anything of ours; None where it was not there."""
    after: str
    """Fingerprint of what was written. While the file is still that, undoing puts `before` back."""

    def is_untouched(self, path: Path, now: bytes | None) -> bool:
        """Whether the file is still as it was written."""
        return now is not None and self.path == str(path) and self.after == fingerprint(now)


def fingerprint(content: bytes) -> str:
    """Tells one content from another."""
    return blake2b(content, digest_size=16).hexdigest()


def read(path: Path) -> bytes | None:
    """What it holds; None where it is not there. ConfigError where it can't be read."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}. Nothing was changed.") from error
    if len(content) > SIZE_LIMIT:
        raise ConfigError(f"{path} has over {SIZE_LIMIT} bytes, so that it is no settings file. Nothing was changed.")
    return content


def text_of(content: bytes | None, path: Path) -> str:
    """As text. What is not there, or blank, is an empty object."""
    try:
        text = (content or b"").decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}). Nothing was changed; mend it first.") from error
    return text if text.strip(" \t\r\n\ufeff") else "{}\n"


def write(path: Path, content: bytes | None) -> None:
    """Replace it, or with None remove it. Mode and symbolic links stay; a reader sees the old file or the new one."""
    real = Path(os.path.realpath(path))
    if content is None:
        remove(real)
        return
    beside = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o600
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        beside.replace(real)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ConfigError(f"{path} can't be written: {error.strerror}. Nothing was changed.") from error


def recall(folder: Path, runtime: str) -> Memory | None:
    """What was done to a runtime's settings; None where nothing was."""
    return read_json(folder / f"{runtime}.json", Memory)


def remember(folder: Path, runtime: str, memory: Memory) -> Path | None:
    """Keep it, and beside it the file as it was: a copy for people. Returns where that is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateDirError(f"{folder} can't be written: {error.strerror}. Nothing was changed.") from error
    copy = folder / f"{runtime}.before"
    if memory.before is None:
        remove(copy)
    else:
        write(copy, memory.before)
    write_json(folder / f"{runtime}.json", memory)
    return None if memory.before is None else copy


def forget(folder: Path, runtime: str) -> None:
    """Nothing of ours is there any more."""
    remove(folder / f"{runtime}.json")
    remove(folder / f"{runtime}.before")
