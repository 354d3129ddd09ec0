"""Asking a node on the Unix socket in its state dir: one line of JSON out, one back."""

from __future__ import annotations

import socket
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.errors import NoAnswer, Refused
from meshfleet.node.admin import SOCKET, Reply, Request, short_path

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0
"""Seconds for an answer: to join takes a connection to another machine, and to leave a farewell."""

BUSY = 0.05
"""Seconds between two tries where a node has its hands full and the kernel queues nobody more for it."""

REPLY_LIMIT = 1024 * 1024

_T = TypeVar("_T")


def administer(state_dir: Path, request: Request, nobody: str, *, patience: float = PATIENCE) -> Reply:
    """What the node of `state_dir` replies. NoAnswer, with the sentence `nobody`, where none runs there; Refused, with
    the node's reason, where it won't."""
    reply = converse(state_dir / SOCKET, request, Reply, nobody, patience=patience)
    if not reply.ok:
        raise Refused(reply.error or "the node refused without a reason; its log may have one.")
    return reply


def converse(path: Path, request: msgspec.Struct, kind: type[_T], nobody: str, *, patience: float = PATIENCE) -> _T:
    """Send `request` to the socket `path` and read one reply. NoAnswer where nobody listens there or no reply comes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with short_path(path) as short:
                _connect(connection, short, monotonic() + patience)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            line = connection.makefile("rb").readline(REPLY_LIMIT)
        except TimeoutError as error:
            raise NoAnswer(f"no answer on {path} within {patience:.0f} s. Its process may be stopped.") from error
        except OSError as error:
            raise NoAnswer(nobody) from error
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoAnswer(f"{path} ended the conversation without a reply. The node's log may say why.") from error


def _connect(connection: socket.socket, path: str, until: float) -> None:
    """Connect as soon as there is room. Linux says EAGAIN where the queue is full, whatever the socket's timeout."""
    while True:
        try:
            return connection.connect(path)
        except BlockingIOError:
            if monotonic() >= until:
                raise TimeoutError from None
        sleep(BUSY)
