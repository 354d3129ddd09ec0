"""What a node keeps on disk: its name and epoch, and the peers it knew. Keys are `vault`'s, in the same folder.

    node.lock      held (flock) while a node runs; the pid of the last holder
    node.json      {"name": ..., "epoch": ...}
    peers.json     {"peers": [{"name": ..., "address": ...}, ...]}
    apikeys.json   and reader.key: who may read (`node.keyfile`)

Every file is replaced whole: written beside its place, flushed to the disk, renamed, the folder flushed. So a crash or
a power cut leaves the old one or the new one. A file that can't be read as what it should be is set aside as
`NAME.damaged-N` with a warning, and the node goes on without it.

All of this blocks for as long as the disk takes: at run time call it from a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.names import Address, Epoch, NodeName, node_name, parse_address
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

LOCK = "node.lock"
NODE = "node.json"
PEERS = "peers.json"

TRIAL, TRIAL_BYTES = "trial", 16_384
"""Written and removed again to see whether there is room: as much as the largest file that a small fleet needs."""

PEERS_LIMIT = 256
"""Peers kept for rejoining. One that answers is enough; 256 outlast any outage that leaves somebody."""

FILE_LIMIT = 1024 * 1024
"""Bytes of a file that are read. Ours stay below 256 KiB, but for the book of invitations; what is larger was not
written by us."""

DAMAGED_LIMIT = 9
"""Damaged copies kept of one file. The ninth is overwritten."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigError)
"""What reading garbage as one of our files may raise."""

_log = get_logger(__name__)


class Peer(msgspec.Struct, frozen=True):
    """A peer as it is remembered over restarts."""

    name: NodeName
    address: Address


class _NodeFile(msgspec.Struct, frozen=True):
    name: str | None = None
    epoch: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0


class _PeerEntry(msgspec.Struct, frozen=True):
    name: str
    address: str


class _PeersFile(msgspec.Struct, frozen=True):
    peers: Annotated[list[_PeerEntry], msgspec.Meta(max_length=PEERS_LIMIT)]


class StateDir:
    """A state dir, held by this process until `close`. Also a context manager.

    What fails at start is a StateDirError with path and reason. `save_peers` and `save_epoch` are for the time after:
    they never raise; a failure is logged once and counted.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.unsaved = 0
        """How often something could not be saved at run time."""
        self._lock = lock
        self._writing = threading.Lock()
        self._saved: bytes | None = None
        self._complained = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder (0700) if it is not there, and hold it. StateDirError where another node does or it fails."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                _log.warning("others can write in the state dir, and so take over this node", path=str(path))
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            _hold(lock, path)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    def close(self) -> None:
        """Let the next node have it. Harmless when called twice."""
        if self._lock >= 0:
            os.close(self._lock)  # which ends the lock; the file stays, since to remove it would be a race
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def node_name(self, default: str) -> NodeName:
        """The name under which this node is known; at first `default`, and from then on the same."""
        known = self._node()
        if known.name is not None:
            return NodeName(known.name)
        return self.rename(default)

    def rename(self, name: str) -> NodeName:
        """Be known as `name` from now on. ConfigError where it is no name."""
        valid = node_name(name)
        known = self._node()
        if known.name != valid:
            self.write(NODE, _json(_NodeFile(valid, known.epoch)))
        return valid

    def next_epoch(self, wall_ms: int) -> Epoch:
        """The epoch of a new life: `wall_ms` (milliseconds since 1970), or more where the clock was set back.

        It is on the disk before it is returned, so that no two lives share one.
        """
        known = self._node()
        epoch = max(known.epoch + 1, wall_ms)
        self.write(NODE, _json(_NodeFile(known.name, epoch)))
        return Epoch(epoch)

    def save_epoch(self, epoch: Epoch) -> None:
        """The node took a higher epoch while it runs: the next life's is above that. Never raises."""
        self._save(NODE, lambda: _json(_NodeFile(self._node().name, max(epoch, self._node().epoch))))

    def peers(self) -> tuple[Peer, ...]:
        """The peers of the last life, in the order in which they were saved."""
        data = self.read(PEERS)
        if data is None:
            return ()
        try:
            entries = msgspec.json.decode(data, type=_PeersFile).peers
            peers = tuple(Peer(node_name(entry.name), parse_address(entry.address)) for entry in entries)
        except _UNREADABLE as error:
            self._set_aside(PEERS, error)
            return ()
        return peers

    def save_peers(self, peers: Iterable[Peer]) -> None:
        """Remember `peers`, best first: the first 256 whose addresses make sense are kept. Never raises."""
        kept = list(islice(filter(_can_be_read_back, peers), PEERS_LIMIT))
        data = _json(_PeersFile([_PeerEntry(peer.name, str(peer.address)) for peer in kept]))
        if data != self._saved and self._save(PEERS, lambda: data):  # a quiet fleet leaves the disk alone
            self._saved = data

    def _save(self, name: str, data: Callable[[], bytes]) -> bool:
        """Write a file at run time; whether that worked."""
        try:
            self.write(name, data())
        except StateDirError as error:
            self.unsaved += 1
            if not self._complained:
                _log.error("the state dir can't be written; what is new is lost with a restart", error=str(error))
            self._complained = True
            return False
        self._complained = False
        return True

    def _node(self) -> _NodeFile:
        data = self.read(NODE)
        if data is None:
            return _NodeFile()
        try:
            known = msgspec.json.decode(data, type=_NodeFile)
            if known.name is not None:
                node_name(known.name)
        except _UNREADABLE as error:
            self._set_aside(NODE, error)
            return _NodeFile()
        return known

    def read(self, name: str, limit: int = FILE_LIMIT) -> bytes | None:
        """The file's bytes, up to the limit and one more; None if it is not there."""
        try:
            with (self.path / name).open("rb") as file:
                return file.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path / name, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, whole and on the disk on return. StateDirError where that fails; then the old one stays."""
        with self._writing:  # one process has the folder, and one of its threads at a time
            replace_file(self.path / name, data)

    def why_unwritable(self) -> str | None:
        """Why nothing can be written now, by trying; None where it can. Blocks for a moment."""
        try:
            self.write(TRIAL, bytes(TRIAL_BYTES))
            (self.path / TRIAL).unlink()
        except StateDirError as error:
            return str(error)
        except OSError as error:
            return str(_unusable(self.path / TRIAL, error))
        return None

    def _set_aside(self, name: str, reason: Exception) -> None:
        damaged = next(
            (path for n in range(1, DAMAGED_LIMIT) if not (path := self.path / f"{name}.damaged-{n}").exists()),
            self.path / f"{name}.damaged-{DAMAGED_LIMIT}",
        )
        try:
            (self.path / name).replace(damaged)
        except OSError as error:
            raise _unusable(self.path / name, error) from error
        _log.warning(
            "damaged file set aside; the node goes on without it",
            path=str(self.path / name),
            now=str(damaged),
            reason=str(reason),
        )

    def close_to_others(self, name: str) -> None:
        """See to it that a file that holds a secret can be read by this user alone, and tell if it could by others."""
        path = self.path / name
        try:
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                path.chmod(0o600)
                _log.warning("a secret could be read by others; its file is 0600 again", path=str(path))
        except OSError as error:
            raise _unusable(path, error) from error


def _hold(lock: int, path: Path) -> None:
    """Take the lock on the open file `lock`, and write our pid into it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        holder = f"the process with pid {pid}" if pid.isdigit() else "another process"
        raise StateDirError(
            f"state dir {path} is held by {holder}. Each node needs a state dir of its own: stop that one, or give "
            "--state-dir another folder."
        ) from error
    except OSError as error:
        raise _unusable(path / LOCK, error) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise _unusable(path / LOCK, error) from error


def replace_file(target: Path, data: bytes) -> None:
    """Put `data` in the place of `target` (0600), whole or not at all. One process at a time; StateDirError says why
    not."""
    beside = target.with_name(f".{target.name}.new")
    try:
        with suppress(FileNotFoundError):
            beside.unlink()  # left by a crash
        _write_out(beside, data)
        beside.rename(target)
        _flush_folder(target.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise _unusable(target, error) from error


def _write_out(path: Path, data: bytes) -> None:
    """Make `path` (0600) with `data`, and have it on the disk on return."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        _flush(file)
    finally:
        os.close(file)


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems can't flush a folder
            raise
    finally:
        os.close(folder)


def _flush(file: int) -> None:
    """On macOS fsync leaves the data in the drive's own cache; F_FULLFSYNC does not, where the file system knows it."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):
            fcntl.fcntl(file, full)
            return
    os.fsync(file)


def _can_be_read_back(peer: Peer) -> bool:
    """A member says itself where it listens. One that says nonsense must not spoil the file for all others."""
    try:
        return parse_address(str(peer.address)) == peer.address and node_name(peer.name) == peer.name
    except ConfigError:
        return False


def _json(file: _NodeFile | _PeersFile) -> bytes:
    return msgspec.json.encode(file) + b"\n"


def _unusable(path: Path, error: OSError) -> StateDirError:
    why = "it is a file, not a folder" if isinstance(error, FileExistsError) else error.strerror or str(error)
    return StateDirError(
        f"{path} can't be used: {why}. A state dir must be writable for this user, with room on the disk."
    )
