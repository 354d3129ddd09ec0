"""One machine's place on the fabric: its ports, and what its kernel does with what arrives."""

from __future__ import annotations

import errno
import os
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import trio

from meshfleet.fleet.names import Address
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import Connect
from meshfleet.node.network import Accept, Datagrams, Network, whose_error
from meshfleet.sim.connection import End

if TYPE_CHECKING:
    from meshfleet.sim.fabric import Fabric, Machine

HELD = 600
"""Datagrams that a kernel holds for a process that does not read: some 200 KiB of small ones, Linux's default."""

DRAIN = 64
"""Datagrams handed over in one go, as the real socket does."""

LARGEST = DATAGRAM_BYTES + 1
"""Bytes of a datagram that are handed over; the rest is cut off, as the real socket does."""

BACKLOG = 4_096
"""Connections that a kernel accepts for a process that does not come round to it."""

SYN_AGAIN_US = (1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 32_000_000, 64_000_000)
"""When a connection attempt into silence is made again, each after the one before; then it has timed out (Linux)."""

UNREACHABLE_US = 100
"""Until a connection attempt without a network of one's own has failed."""

TRANSLATED = "translated-"
"""What the address of a translator begins with; then come the address behind it, a slash, and whom it is good for."""

ASKED_US = 30_000_000
"""For how long whoever hides behind an address translator gets answers from where it sent a datagram (Linux)."""

FIRST_FREE_PORT = 49_152


class Socket(Datagrams):
    """A bound UDP socket. Sends never wait."""

    def __init__(self, owner: Attachment, address: Address) -> None:
        self.address = address
        self._owner = owner
        self._arrived: deque[tuple[bytes, Address]] = deque()
        self._wake = trio.Event()
        self._closed = False

    async def receive(self) -> list[tuple[bytes, Address]]:
        """All datagrams that have arrived, at least one and at most 64."""
        if self._arrived or self._closed:  # else the waiting is the checkpoint
            await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self._closed:
                raise trio.ClosedResourceError
            await self._wake.wait()
        counts, taken = self._owner.counts, min(DRAIN, len(self._arrived))
        arrived = [self._arrived.popleft() for _ in range(taken)]
        self._wake = self._wake if self._arrived else trio.Event()
        for data, _ in arrived:
            counts["udp_bytes_in"] += len(data)
            counts["datagrams_in"] += 1
        return arrived

    def send(self, data: bytes, to: Address) -> Connect | None:
        """Send at once. A datagram to nobody is lost without a word, as one from an unconnected socket is."""
        if self._closed:
            return None
        counts = self._owner.counts
        error = self._owner.send(data, self.address, to)
        if error is None:
            counts["udp_bytes_out"] += len(data)
            counts["datagrams_out"] += 1
            return None
        counts["udp_send_error"] += 1
        whose = whose_error(error)
        return whose if whose is Connect.OWN_ERROR else None

    def arrives(self, data: bytes, source: Address) -> None:
        """The kernel holds it until it is read. At the limit the newest is lost."""
        if len(self._arrived) >= HELD:
            self._owner.counts["datagrams_not_held"] += 1
            return
        self._arrived.append((data[:LARGEST], source))
        self._wake.set()

    def close(self) -> None:
        """Give the port back."""
        self._closed = True
        self._wake.set()
        self._owner.unbind(self)


class Listener:
    """A listening TCP socket: what its kernel has accepted, and its process has not come round to."""

    def __init__(self) -> None:
        self._accepted: deque[tuple[End, Address]] = deque()
        self._wake = trio.Event()

    @property
    def has_room(self) -> bool:
        """Whether the kernel accepts one more."""
        return len(self._accepted) < BACKLOG

    def accepted(self, end: End, source: Address) -> None:
        """The kernel accepted a connection."""
        self._accepted.append((end, source))
        self._wake.set()

    def close(self) -> None:
        """Nobody comes round any more: what waits is reset."""
        while self._accepted:
            self._accepted.popleft()[0].reset()

    async def next(self) -> tuple[End, Address]:
        """The connection that waits longest."""
        while not self._accepted:
            self._wake = trio.Event()
            await self._wake.wait()
        return self._accepted.popleft()


class Attachment(Network):
    """One machine's place on the fabric: the network that a program on it is given."""

    def __init__(self, fabric: Fabric, machine: Machine, host: str) -> None:
        self.counts: Counter[str] = Counter()
        self.machine = machine
        self.fabric = fabric
        self.host = host
        self.ends: dict[End, None] = {}
        """Ends of connections that its kernel knows of."""
        self._sockets: dict[int, Socket] = {}
        self._listeners: dict[int, Listener] = {}
        self._next_port = FIRST_FREE_PORT
        self._asked_us: dict[str, int] = {}

    async def resolve(self, address: Address) -> Address:
        """Addresses stay as they are: there are no names here."""
        await trio.lowlevel.checkpoint()
        return address

    def advertised(self, bound: Address) -> Address:
        """Where others can reach what is bound here."""
        return Address(self.host, bound.port)

    async def datagrams(self, address: Address) -> Socket:
        """Bind UDP."""
        await trio.lowlevel.checkpoint()
        port = self._port(address, self._sockets)
        socket = self._sockets[port] = Socket(self, Address(self.host, port))
        return socket

    async def listen(
        self, address: Address, accept: Accept, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept streams until cancelled; each in a task of its own."""
        await trio.lowlevel.checkpoint()
        port = self._port(address, self._listeners)
        listener = self._listeners[port] = Listener()
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(Address(self.host, port))
                while True:
                    end, source = await listener.next()
                    nursery.start_soon(accept, end, source)
        finally:
            listener.close()
            if self._listeners.get(port) is listener:
                del self._listeners[port]

    async def dial(self, address: Address) -> End:
        """Open a stream. Into silence it lasts until it is cancelled, or two minutes (ETIMEDOUT)."""
        attempt = Attempt(self, address)
        attempt.knock(0)
        try:
            await attempt.over.wait()
        except BaseException:
            attempt.given_up = True
            if attempt.end is not None:
                attempt.end.reset()
            raise
        if attempt.end is None:
            raise OSError(attempt.error, os.strerror(attempt.error))
        return attempt.end

    # What the kernel does

    def send(self, data: bytes, source: Address, to: Address) -> OSError | None:
        """A datagram leaves."""
        if self.machine.nic_down:
            return OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        there, fabric = self._meant(to), self.fabric
        if self.machine.outbound_only:
            self._asked_us[to.host] = fabric.now_us
        if self.machine.translated and there is not None:
            source = Address(f"{TRANSLATED}{self.host}/{there.host}", source.port)
        if there is not None:
            for way in fabric.wires.arrivals_us(self.machine.number, there.machine.number):
                fabric.after(way, there.datagram_arrives, to.port, data, source)
        return None

    def _meant(self, to: Address) -> Attachment | None:
        """Whose that address is, for this machine: behind a translator nobody is at its own."""
        behind, _, asked = to.host.removeprefix(TRANSLATED).partition("/")
        there = self.fabric.attached(behind if asked == self.host else to.host)
        return None if there is not None and there.machine.translated and asked != self.host else there

    def datagram_arrives(self, port: int, data: bytes, source: Address) -> None:
        """One reaches this machine."""
        machine = self.machine
        if not machine.powered or machine.nic_down or not self._lets_in(_behind(source.host)):
            return
        if (socket := self._sockets.get(port)) is not None:
            socket.arrives(data, source)

    def _lets_in(self, host: str) -> bool:
        if not self.machine.outbound_only:
            return True
        asked_us = self._asked_us.get(host)
        return asked_us is not None and self.fabric.now_us - asked_us < ASKED_US

    def answer(self, attempt: Attempt) -> int | None:
        """A connection attempt reaches this machine: 0, an error's number, or None for silence."""
        machine = self.machine
        if not machine.powered or machine.nic_down or machine.outbound_only:
            return None
        listener = self._listeners.get(attempt.address.port)
        if listener is None:
            return errno.ECONNREFUSED
        if not listener.has_room:
            return None
        near = Address(attempt.caller.host, attempt.caller.free_port())
        here = End(self.fabric, self, attempt.address, near)
        attempt.end = End(self.fabric, attempt.caller, near, attempt.address)
        here.connect(attempt.end)
        listener.accepted(here, near)
        return 0

    def unbind(self, socket: Socket) -> None:
        """A port is free again."""
        if self._sockets.get(socket.address.port) is socket:
            del self._sockets[socket.address.port]

    def process_died(self) -> None:
        """The process is gone: its kernel closes whatever it had open, and refuses from now on."""
        for socket in list(self._sockets.values()):
            socket.close()
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for end in list(self.ends):
            end.abandon()

    def power_lost(self) -> None:
        """The machine is off: nobody is told anything, and nothing is remembered when it is on again."""
        self._sockets.clear()
        self._listeners.clear()
        for end in list(self.ends):
            end.vanish()

    def free_port(self) -> int:
        """The next port that nothing was bound to."""
        self._next_port += 1
        return self._next_port - 1

    def _port(self, address: Address, taken: dict[int, Any]) -> int:
        if address.host not in (self.host, "0.0.0.0"):
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        if address.port in taken:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return address.port or self.free_port()


def _behind(host: str) -> str:
    """The address of the machine itself, where `host` is a translator's for it."""
    return host.partition("/")[0].removeprefix(TRANSLATED)


class Attempt:
    """A connection attempt under way."""

    def __init__(self, caller: Attachment, address: Address) -> None:
        self.caller = caller
        self.address = address
        self.over = trio.Event()
        self.end: End | None = None
        self.error = errno.ETIMEDOUT
        self.given_up = False

    def knock(self, tries: int) -> None:
        """A packet that asks for a connection leaves; again later, if nothing answers."""
        fabric, caller = self.caller.fabric, self.caller.machine
        if self.given_up or self.over.is_set() or self.end is not None:
            return
        if caller.nic_down:
            fabric.after(UNREACHABLE_US, self._failed, errno.ENETUNREACH)
            return
        if tries == len(SYN_AGAIN_US):
            self._failed(errno.ETIMEDOUT)
            return
        there = self.caller.fabric.attached(self.address.host)
        if there is not None and caller.powered:
            wall = fabric.barrier(caller, there.machine)
            if wall is not None and wall.reject:
                fabric.after(fabric.way_us(caller, there.machine), self._failed, errno.ECONNREFUSED)
                return
            if wall is None and fabric.barrier(there.machine, caller) is None:
                fabric.after(fabric.way_us(caller, there.machine), self._arrives, there)
        fabric.after(SYN_AGAIN_US[tries], self.knock, tries + 1)

    def _arrives(self, there: Attachment) -> None:
        if self.end is not None or self.over.is_set():
            return
        fabric, error = self.caller.fabric, there.answer(self)
        if error is None:
            return
        back = fabric.way_us(there.machine, self.caller.machine)
        if error:
            fabric.after(back, self._failed, error)
        else:
            fabric.after(back, self._accepted)

    def _failed(self, error: int) -> None:
        if self.end is None:
            self.error = error
            self.over.set()

    def _accepted(self) -> None:
        assert self.end is not None
        if self.given_up:
            self.end.reset()
        self.over.set()
