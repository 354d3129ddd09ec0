"""`apikeys.json` in the state dir: the API keys that a node exchanges, and `reader.key`, the one for its own machine.

    apikeys.json   {"keys": [{"id", "scope", "name", "verifier", "created"}, ...]}, 0600
    reader.key     the key with which commands on this machine read, as text, 0600

Nothing in `apikeys.json` is secret: entries can be copied to other nodes, which then exchange these keys too. It is
changed by `meshfleet keys api`, whether the node runs or not, and read again by the node whenever it is another file
than before.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.access import Scope
from meshfleet.logs import get_logger
from meshfleet.node.store import replace_file
from meshfleet.wire.apikeys import ID_BYTES, SECRET_BYTES, VERIFIER_BYTES, ApiKey, make, parse
from meshfleet.wire.tokens import NAME_LIMIT, is_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "apikeys.json"
LOCK = "apikeys.lock"
LOCAL_KEY = "reader.key"
LOCAL_NAME = "local"

KEYS_LIMIT = 256
"""API keys of one node. A dashboard each for everybody in a department."""

FILE_LIMIT = 256 * 1024

_log = get_logger(__name__)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of one API key."""

    id: Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * ID_BYTES}}}$")]
    scope: Scope
    name: str
    verifier: Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * VERIFIER_BYTES}}}$")]
    """Public half of the key pair made from the secret: hexadecimal."""
    created: str
    """RFC 3339 UTC."""


class _File(msgspec.Struct, frozen=True):
    keys: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=KEYS_LIMIT)] = ()


# Made here, before there are threads: two that have msgspec look at a type at once end the process (see client.http).
_file = msgspec.json.Decoder(_File)


class KeyFile:
    """The API keys of one state dir. Calls block for as long as the disk takes."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, Entry] = {}

    def entries(self) -> tuple[Entry, ...]:
        """All keys. StateDirError where the file is there and can't be read as what it should be."""
        return tuple(self._current().values())

    def find(self, key_id: str) -> Entry | None:
        """The key of that id. A file that became unreadable at run time is told in the log, and lets nobody in."""
        try:
            return self._current().get(key_id)
        except StateDirError as error:
            _log.error("no API key can be exchanged", why=error)
            return None

    def create(self, scope: Scope, name: str, created: str) -> ApiKey:
        """A new key. ConfigError where the name is none, or taken, or there are too many."""
        if not is_name(name):
            raise ConfigError(
                f"--name: {name[:80]!r} is no name for an API key. Use letters, digits, '.', '_' and '-', at most "
                f"{NAME_LIMIT}, beginning with a letter or digit."
            )
        key = make(scope, os.urandom(ID_BYTES + SECRET_BYTES))
        with self._changing() as entries:
            if any(entry.name == name for entry in entries):
                raise ConfigError(f"there is an API key named {name} already. Revoke it first, or choose another name.")
            if len(entries) >= KEYS_LIMIT:
                raise ConfigError(f"this node has {KEYS_LIMIT} API keys already. Revoke one that is not used any more.")
            entries.append(_entry(key, name, created))
        return key

    def revoke(self, name: str) -> Entry:
        """Exchange the key of that name or id no more. ConfigError where there is none."""
        with self._changing() as entries:
            found = next((entry for entry in entries if name in (entry.name, entry.id)), None)
            if found is None:
                known = ", ".join(entry.name for entry in entries) or "none"
                raise ConfigError(f"there is no API key {name[:80]!r} in {self.path}. There are: {known}.")
            entries.remove(found)
        return found

    def local_key(self, created: str) -> ApiKey:
        """The key for reading on this machine; made, with its entry, where one of the two is missing."""
        known = read_local_key(self.path.parent)
        entry = None if known is None else self._current().get(known.key_id)
        if known is not None and entry is not None and entry.verifier == known.verifier().hex():
            return known
        key = make(Scope.READ, os.urandom(ID_BYTES + SECRET_BYTES))
        with self._changing() as entries:
            entries[:] = [entry for entry in entries if entry.name != LOCAL_NAME]
            entries.insert(0, _entry(key, LOCAL_NAME, created))
            replace_file(self.path.with_name(LOCAL_KEY), f"{key.text()}\n".encode())
        return key

    def _current(self) -> dict[str, Entry]:
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen != self._seen:
                self._known = {entry.id: entry for entry in self._read()}
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._known = None, {}
        except OSError as error:
            raise StateDirError(f"{self.path} can't be read: {error.strerror}.") from error
        return self._known

    def _read(self) -> tuple[Entry, ...]:
        with self.path.open("rb") as file:
            data = file.read(FILE_LIMIT)
        try:
            entries = _file.decode(data).keys
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateDirError(
                f"{self.path} is damaged: {error}. Remove it, restart the node, and create its API keys anew."
            ) from error
        wrong = [entry.id for entry in entries if not is_name(entry.name)]
        if wrong:
            raise StateDirError(f"{self.path}: the name of key {wrong[0]} is none. Correct it: letters, digits, . _ -")
        return entries

    @contextmanager
    def _changing(self) -> Iterator[list[Entry]]:
        """The entries, to be altered; written at the end. Nobody else changes them meanwhile."""
        try:
            lock = os.open(self.path.with_name(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirError(
                f"{self.path.parent} can't be used: {error.strerror}. Give the node's --state-dir."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = list(self.entries())
            yield entries
            replace_file(self.path, msgspec.json.format(msgspec.json.encode(_File(tuple(entries)))) + b"\n")
        finally:
            os.close(lock)


def read_local_key(state_dir: Path) -> ApiKey | None:
    """The key for reading on this machine, if there is one that is ours to read."""
    try:
        with (state_dir / LOCAL_KEY).open("r", encoding="ascii", errors="replace") as file:
            return parse(file.read(1024).strip())
    except OSError:
        return None


def _entry(key: ApiKey, name: str, created: str) -> Entry:
    return Entry(id=key.key_id, scope=key.scope, name=name, verifier=key.verifier().hex(), created=created)
