"""The seam between a node and any network, real or simulated: datagrams, streams out, streams in, knocks.

Everything that can go wrong is said in one of two ways: a `Connect` for connection attempts, or the OSError that the
call raises; `whose_error` tells my own network's errors from everybody else's.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import trio

from meshfleet.fleet.names import Address
from meshfleet.gossip.messages import Connect, StreamEnd

if TYPE_CHECKING:
    from collections import Counter


class Datagrams(Protocol):
    """A bound UDP socket."""

    address: Address

    async def receive(self) -> list[tuple[bytes, Address]]:
        """All datagrams that have arrived, at least one."""
        ...

    def send(self, data: bytes, to: Address) -> Connect | None:
        """Send at once or not at all. None: handed to the kernel; OWN_ERROR: my own network refuses it."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


class Stream(trio.abc.Stream):
    """A byte stream that keeps the rule of ends: a FIN follows a goodbye, every other close is an RST.

    Peers take a bare FIN for a sign of death (fleet.presence, rule 2), so whoever gives up a stream in a hurry must
    not make one.
    """

    def __init__(self) -> None:
        self.farewell = False
        """Set once a goodbye went out; only then does closing make a FIN."""
        self.saw: StreamEnd | None = None
        """How the other side ended it, once it did: EOF or RESET."""

    def acknowledged_ago(self) -> float | None:
        """Seconds since the peer's kernel last acknowledged anything, keepalives included; None where that can't
        be known."""
        return None


Accept = Callable[[Stream, Address], Awaitable[None]]


class Network(Protocol):
    """Where a node lives."""

    counts: Counter[str]
    """Bytes at the sockets and errors of theirs, by name."""

    async def resolve(self, address: Address) -> Address:
        """`address` with its host as an IP address. OSError when there is none."""
        ...

    def advertised(self, bound: Address) -> Address:
        """Where others can reach what is bound there."""
        ...

    async def datagrams(self, address: Address) -> Datagrams:
        """Bind UDP. Port 0: any free one. OSError when it is taken."""
        ...

    async def listen(self, address: Address, accept: Accept, *, task_status: trio.TaskStatus[Address]) -> None:
        """Accept streams until cancelled; each in a task of its own."""
        ...

    async def dial(self, address: Address) -> Stream:
        """Open a stream. OSError says how that failed; cancel it to give up."""
        ...


OWN = frozenset(
    {
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EPERM,
        errno.EACCES,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
    }
)
"""Errors that say something about my own network only, or my own process: no file left for one more socket."""


def whose_error(error: OSError) -> Connect:
    """Whom an error of a connection attempt or a send speaks about. The table behind it is in docs/design.md."""
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return Connect.REFUSED
    if error.errno in OWN:
        return Connect.OWN_ERROR
    if error.errno == errno.EHOSTUNREACH:
        return Connect.NO_ROUTE
    return Connect.SILENT
