"""Administration of a node from its own machine: a Unix socket in the state dir, one JSON object per line each way.

    {"op": "join", "address": "10.0.0.7:7878"}   ->  {"ok": true, "name": "n2"}
    {"op": "forget", "name": "n9"}               ->  {"ok": false, "error": "..."}

Who may open the socket may command the node, so its owner alone can, and there is no way to it over the network. The
file's mode says so, and the kernel is asked besides who connected: a mode can be wrong, in a folder that somebody
opened to all, and some systems ignored the modes of sockets. Whatever comes in is answered or the connection is ended;
nothing that comes in ends the node.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, assert_never

import msgspec
import trio

from meshfleet.errors import MeshfleetError, StateDirError
from meshfleet.fleet.names import Address, NodeName, node_name, parse_address
from meshfleet.fleet.view import Health
from meshfleet.logs import get_logger
from meshfleet.node.diagnosis import Diagnosis
from meshfleet.node.office import KeysTold, Office
from meshfleet.node.peercred import may_command, peer_uid

SOCKET = "admin.sock"

LINE_LIMIT = 64 * 1024
"""Bytes of one request. The longest real one, a cut with hundreds of names, has a few thousand."""

CONNECTIONS_LIMIT = 8
"""Connections that are answered at once. Further ones wait for their turn in the kernel's backlog."""

IDLE_SECONDS = 30.0
"""How long a connection may say nothing before it is ended, so that eight forgotten ones can't lock the owner out."""

FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of a process, or a machine, that has no room for one more connection. They pass."""

FULL_PAUSE = 0.1
"""Seconds until the next try, as in `trio.serve_listeners`. Who connected waits in the kernel's backlog meanwhile."""

_log = get_logger("meshfleet.node.admin")


class Join(msgspec.Struct, frozen=True, tag_field="op", tag="join", forbid_unknown_fields=True):
    """Join the fleet through the node at `address`."""

    address: str


class Leave(msgspec.Struct, frozen=True, tag_field="op", tag="leave", forbid_unknown_fields=True):
    """Say goodbye to all, then end."""


class Forget(msgspec.Struct, frozen=True, tag_field="op", tag="forget", forbid_unknown_fields=True):
    """Have the fleet count a node that is gone for good as left."""

    name: str


class Block(msgspec.Struct, frozen=True, tag_field="op", tag="block", forbid_unknown_fields=True):
    """Lose whatever comes from or goes to these nodes. In demonstrations only."""

    names: tuple[str, ...]


class Unblock(msgspec.Struct, frozen=True, tag_field="op", tag="unblock", forbid_unknown_fields=True):
    """Lose nothing any more."""


class Invite(msgspec.Struct, frozen=True, tag_field="op", tag="invite", forbid_unknown_fields=True):
    """Make an invitation for `uses` machines, good for so many seconds."""

    role: str
    seconds: float
    uses: int
    at: tuple[str, ...] = ()
    """Where the newcomer dials; () means where the node listens."""


class Keys(msgspec.Struct, frozen=True, tag_field="op", tag="keys", forbid_unknown_fields=True):
    """Tell how the node stands with its fleet's keys."""


class Rotate(msgspec.Struct, frozen=True, tag_field="op", tag="rotate", forbid_unknown_fields=True):
    """Give the fleet a new datagram key."""


class Revoke(msgspec.Struct, frozen=True, tag_field="op", tag="revoke", forbid_unknown_fields=True):
    """Throw a node out, for good."""

    name: str


class Doctor(msgspec.Struct, frozen=True, tag_field="op", tag="doctor", forbid_unknown_fields=True):
    """Tell how the node is: what it dropped, who sent it forgeries, and what is wrong around it."""

    tries: bool = True
    """Whether it tests the paths to some peers first, which takes some seconds."""


class Link(msgspec.Struct, frozen=True, tag_field="op", tag="link", forbid_unknown_fields=True):
    """Make a link that opens the page once."""


class Status(msgspec.Struct, frozen=True, tag_field="op", tag="status", forbid_unknown_fields=True):
    """Tell what GET /health tells."""


Request = Join | Leave | Forget | Block | Unblock | Invite | Keys | Rotate | Revoke | Doctor | Link | Status


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request. Where `ok` is false, nothing was changed and `error` says why."""

    ok: bool
    error: str | None = None
    name: str | None = None
    """After `join`: who answered. After `status`: the node's own."""
    health: Health | None = None
    invite: str | None = None
    keys: KeysTold | None = None
    diagnosis: Diagnosis | None = None
    link: str | None = None
    """After `link`: to be opened in a browser within five minutes."""


class Administered(Protocol):
    """What of a node can be administered. `meshfleet.node.node.Node` satisfies it."""

    @property
    def name(self) -> NodeName:
        """The node's own name."""
        ...

    @property
    def office(self) -> Office:
        """Where the fleet's owner is served."""
        ...

    def health(self) -> Health:
        """What is said to anyone who asks whether it runs."""
        ...

    async def examine(self, *, tries: bool = True) -> Diagnosis:
        """How it is, for its owner."""
        ...

    async def join(self, address: Address) -> NodeName:
        """Join through `address`. JoinError where that fails."""
        ...

    async def leave(self) -> None:
        """Say goodbye to all."""
        ...

    def forget(self, name: NodeName) -> None:
        """Have the fleet count `name` as left. ConfigError where it is fresh or unknown."""
        ...

    def block(self, names: Sequence[NodeName]) -> None:
        """Lose all traffic with `names`. ConfigError where the node was not made for that."""
        ...

    def unblock(self) -> None:
        """Lose nothing any more."""
        ...


class Answered(NamedTuple):
    """What goes back, without its newline, and what is to be done once it went."""

    line: bytes
    then: Callable[[], None] | None = None


Answer = Callable[[bytes], Awaitable[Answered]]
"""From one line, without its newline, to what is answered."""


async def serve_admin(
    node: Administered,
    state_dir: Path,
    left: trio.Event,
    *,
    new_link: Callable[[], str] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer on `admin.sock` in `state_dir` until cancelled; set `left` once a `leave` was carried out and answered.

    `new_link` makes a link to the page, where the node serves one.
    """

    async def answer(line: bytes) -> Answered:
        reply, ends = await _carry_out(node, new_link, line)
        return Answered(msgspec.json.encode(reply), left.set if ends else None)

    await serve_lines(state_dir / SOCKET, answer, task_status=task_status)


async def _carry_out(node: Administered, new_link: Callable[[], str] | None, line: bytes) -> tuple[Reply, bool]:
    """The reply, and whether the node is to end after it."""
    try:
        request = msgspec.json.decode(line, type=Request)
        if isinstance(request, Link):
            return _link(new_link), False
        return await _do(node, request), isinstance(request, Leave)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Reply(ok=False, error=f"not a request: {error}"), False
    except MeshfleetError as error:
        return Reply(ok=False, error=str(error)), False


def _link(new_link: Callable[[], str] | None) -> Reply:
    if new_link is None:
        return Reply(ok=False, error="this node serves no page.")
    return Reply(ok=True, link=new_link())


async def _do(node: Administered, request: Join | Leave | Forget | Block | Unblock | Status) -> Reply:
    match request:
        case Join(address):
            return Reply(ok=True, name=await node.join(parse_address(address)))
        case Leave():
            await node.leave()
        case Forget(name):
            node.forget(node_name(name))
        case Block(names):
            node.block([node_name(name) for name in names])
        case Unblock():
            node.unblock()
        case Invite(role, seconds, uses, at):
            where = [parse_address(text) for text in at]
            return Reply(ok=True, invite=await node.office.invite(role, seconds, uses, where))
        case Keys():
            return Reply(ok=True, keys=node.office.keys())
        case Rotate():
            await node.office.rotate()
        case Revoke(name):
            await node.office.revoke(node_name(name))
        case Doctor(tries):
            return Reply(ok=True, diagnosis=await node.examine(tries=tries))
        case Status():
            return Reply(ok=True, name=node.name, health=node.health())
        case _:
            assert_never(request)
    return Reply(ok=True)


async def serve_lines(
    path: Path, answer: Answer, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer each line that comes in on the Unix socket `path`, until cancelled. The socket is removed at the end.

    Whoever calls holds the state dir, so a socket that is already there was left by a killed process.
    """
    limit = trio.CapacityLimiter(CONNECTIONS_LIMIT)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(_listen(path)))
    try:
        async with trio.open_nursery() as connections:
            task_status.started()
            while True:
                await limit.acquire_on_behalf_of(token := object())
                stream = await _accept(listener)
                connections.start_soon(_converse, stream, answer, limit, token)
    finally:
        listener.socket.close()
        _remove(path)


async def _accept(listener: trio.SocketListener) -> trio.SocketStream:
    """The next connection. While there is no room for one it waits: nothing else of the node needs this one to end."""
    told = False
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in FULL:
                raise
            if not told:
                _log.warning("nobody can be let in at the local socket for now", why=error.strerror)
                told = True
        await trio.sleep(FULL_PAUSE)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


async def _converse(stream: trio.SocketStream, answer: Answer, limit: trio.CapacityLimiter, token: object) -> None:
    try:
        async with stream:
            uid = peer_uid(stream.socket)
            if may_command(uid):
                await _answer_all(stream, answer)
            else:
                _log.warning("a stranger on the local socket was turned away", uid=uid)
    except trio.BrokenResourceError:
        pass  # the other side went away, which it may at any time
    except Exception:
        _log.exception("a request on the local socket failed")
    finally:
        limit.release_on_behalf_of(token)


async def _answer_all(stream: trio.SocketStream, answer: Answer) -> None:
    buffer = bytearray()
    while True:
        line, newline, rest = buffer.partition(b"\n")
        if newline:
            buffer = rest
            answered = await answer(bytes(line))
            try:
                await stream.send_all(answered.line + b"\n")
            finally:
                if answered.then is not None:
                    answered.then()
            continue
        if len(buffer) > LINE_LIMIT:
            reply = Reply(ok=False, error=f"a request has at most {LINE_LIMIT} bytes")
            await stream.send_all(msgspec.json.encode(reply) + b"\n")
            return
        with trio.move_on_after(IDLE_SECONDS):
            if received := await stream.receive_some(LINE_LIMIT):
                buffer += received
                continue
        return


def _listen(path: Path) -> socket.socket:
    """A listening Unix socket at `path` that its owner alone can open. StateDirError where that fails."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as short:
            listening.bind(short)
        # Until now whoever can enter the folder could have connected; nobody was answered, and StateDir makes it 0700.
        path.chmod(0o600)
        listening.listen(CONNECTIONS_LIMIT)
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise StateDirError(f"{path} can't be made: {why}. Give --state-dir another folder.") from error
    return listening


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for the socket `path` that is short enough for a socket address: 107 bytes on Linux, 103 on macOS.

    State dirs can be longer. The kernel follows links, so a link to the folder makes any path short.
    """
    if len(os.fsencode(path)) <= 100:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="mf-", dir="/tmp") as folder:
        link = Path(folder) / "d"
        link.symlink_to(path.parent.absolute())
        yield str(link / path.name)
