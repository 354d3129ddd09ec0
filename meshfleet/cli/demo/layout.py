"""Where a demo's nodes listen and keep their things, and the files that tell other terminals about it."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.node.invites import Book
from meshfleet.node.settings import default_state_base
from meshfleet.node.store import StateDir
from meshfleet.node.trust import admit_to
from meshfleet.node.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
DEMO_FILE = "demo.json"
SOCKET = "demo.sock"
LOCK = "demo.lock"
LOG = "node.log"

NODES_LIMIT = 32
"""Nodes of a demo. Each is a Python process of some 50 MB."""

BLOCKS_TRIED = 50
"""Blocks of ports that are looked at before a demo gives up."""


class DemoNode(msgspec.Struct, frozen=True):
    """One node as `demo.json` tells of it."""

    name: str
    http: str
    gossip: str
    pid: int | None
    """None while it does not run."""
    state_dir: str


class DemoFile(msgspec.Struct, frozen=True):
    """`demo.json`: there while a demo runs."""

    pid: int
    """Of the demo itself."""
    nodes: tuple[DemoNode, ...]


class Play(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a second terminal asks of a running demo."""

    op: Literal["cut", "heal", "kill", "start", "pause", "resume", "status"]
    names: tuple[str, ...] = ()


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One node as the demo knows it, which is how it is and not how the mesh sees it."""

    name: str
    http: str
    gossip: str
    pid: int | None
    state_dir: str
    process: Literal["running", "paused", "ended"]
    cut_from: tuple[str, ...] = ()


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. Where `ok` is false, `said` is the reason."""

    ok: bool
    said: str
    nodes: tuple[NodeState, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """One node's name, addresses and folder, the same over its restarts."""

    name: str
    gossip: Address
    http: Address
    state_dir: Path


def demo_dir(given: str | None) -> Path:
    """The demo's state dir: the given one, or `demo` in the platform's folder for state."""
    return Path(given).expanduser().absolute() if given else default_state_base() / "demo"


def places(folder: Path, count: int, base_port: int) -> tuple[Place, ...]:
    """n1 to nCOUNT from `base_port` on: gossip of n1, HTTP of n1, gossip of n2, …"""
    return tuple(
        Place(f"n{i + 1}", Address(HOST, base_port + 2 * i), Address(HOST, base_port + 2 * i + 1), folder / f"n{i + 1}")
        for i in range(count)
    )


def free_base(count: int, wanted: int) -> int:
    """The first port from `wanted` on, in steps of a block, whose block of 2 × count ports is free."""
    for block in range(BLOCKS_TRIED):
        base = wanted + 2 * count * block
        if base + 2 * count > 65_536:
            break
        if all(_is_free(port) for port in range(base, base + 2 * count)):
            return base
    raise ConfigError(f"--base-port {wanted}: no {2 * count} free ports in a row from there on. Choose another one.")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with closing(socket.socket(socket.AF_INET, kind)) as trial:
            if kind == socket.SOCK_STREAM:  # else a port whose last connection ended a minute ago counts as taken
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except OSError:
                return False
    return True


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Make the demo's folder and hold it; False where another demo does. The kernel lets go when the process ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateDirError(f"{folder} can't be used: {error.strerror}. Give --state-dir another folder.") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def clear(folder: Path) -> None:
    """Remove what the nodes of an earlier demo kept, so that this one begins with a fleet that knows nothing."""
    for log in folder.glob(f"n*/{LOG}"):
        if log.parent.name[1:].isdigit() and not log.parent.is_symlink():
            shutil.rmtree(log.parent, ignore_errors=True)


def make_fleet(nodes: tuple[Place, ...], now: float) -> None:
    """Begin a fleet at the first node, which holds its authority, and let the others in."""
    first, *others = nodes
    with StateDir.open(first.state_dir) as store:
        identity = Vault(store).identity(NodeName(first.name), now)
        book = Book(store)
        assert identity.authority is not None, "whoever begins a fleet holds its authority"
        for place in others:
            admitted = admit_to(identity.authority, identity.ring, NodeName(place.name), now)
            with StateDir.open(place.state_dir) as other:
                Vault(other).install(admitted)
            book.record(admitted.certificate)


def log_tail(place: Place, lines: int = 3) -> str:
    """The last lines of a node's log, as one line."""
    try:
        text = (place.state_dir / LOG).read_bytes()[-4096:].decode(errors="replace")
    except OSError:
        return "there is no log"
    return " / ".join(text.strip().splitlines()[-lines:]) or "its log is empty"
