"""The real network: UDP and TCP sockets of this machine, by Trio. Linux and macOS alike."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from weakref import WeakSet

import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import Connect, StreamEnd
from meshfleet.node.network import Accept, Datagrams, Network, Stream, whose_error

DRAIN = 64
"""Datagrams read in one go: enough to catch up after a pause, few enough to let timers run."""

RECEIVE_BUFFER = 1 << 20
"""Bytes that the kernel may hold for us while we are busy. Linux grants at most net.core.rmem_max."""

BACKLOG = 4096
"""Connections that the kernel accepts for a node that does not get round to it. More is capped by somaxconn."""

CONNECTIONS = 512
"""Inbound streams at once. Further ones are reset: `refused_stream`."""


LAST_ACK_RECEIVED = 56
"""Offset of tcpi_last_ack_recv in struct tcp_info: 32 bits, milliseconds (linux/tcp.h)."""

GIVEN_UP_S = 10
"""Seconds of silence after which the kernel gives a stream up. Keepalives alone do that only while nothing is under
way: what was written just before a cut is sent again for a quarter of an hour, and the stream stands for as long."""

RXT_CONNDROPTIME = 0x80
"""TCP_RXT_CONNDROPTIME (netinet/tcp.h of macOS), which Python does not name: seconds."""

MEMORY_INFO = 55
"""SO_MEMINFO (asm-generic/socket.h), which Python does not name: nine integers of 32 bits."""

LOST = slice(32, 36)
"""The last of them: datagrams that came while the buffer was full."""

_OPEN: WeakSet[socket.socket | trio.socket.SocketType] = WeakSet()


def _close_in_child() -> None:
    """A forked child would keep our sockets open, and its kernel accept in our name, after we are dead."""
    for sock in list(_OPEN):
        if (fd := sock.fileno()) != -1:
            os.close(fd)


os.register_at_fork(after_in_child=_close_in_child)


def _keep_alive(sock: trio.socket.SocketType) -> None:
    """Have the kernel ask every few seconds whether the peer's still answers: 5 s idle, then each second, five
    times. GIVEN_UP_S is as much. Of a stream that the peer reset already, reading says so."""
    try:
        _ask_for_keepalive(sock)
    except OSError as error:
        if error.errno != errno.EINVAL:  # XNU's word for a socket that is shut both ways, as after an RST
            raise


def _ask_for_keepalive(sock: trio.socket.SocketType) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the latter is macOS's name for it
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, idle, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)
    if sys.platform == "darwin":
        sock.setsockopt(socket.IPPROTO_TCP, RXT_CONNDROPTIME, GIVEN_UP_S)
    elif sys.platform.startswith("linux"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GIVEN_UP_S * 1000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class UdpSocket(Datagrams):
    """One UDP socket. Sends never wait: what the kernel can't take now is lost, as datagrams are."""

    def __init__(self, sock: socket.socket, counts: Counter[str]) -> None:
        self._sock = sock
        self._counts = counts
        _OPEN.add(sock)
        self.address = _address(sock.getsockname())

    async def receive(self) -> list[tuple[bytes, Address]]:
        """All datagrams that have arrived, at least one. One over the limit is cut, so that its seal fails."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            arrived: list[tuple[bytes, Address]] = []
            for _ in range(DRAIN):
                try:
                    data, source = self._sock.recvfrom(DATAGRAM_BYTES + 1)
                except BlockingIOError:
                    break
                except OSError:  # the answer to an earlier send, to whoever it went: streams say it better
                    self._counts["udp_error"] += 1
                    continue
                self._counts["udp_bytes_in"] += len(data)
                self._counts["datagrams_in"] += 1
                arrived.append((data, _address(source)))
            if len(arrived) == DRAIN:
                self._count_lost()
            if arrived:
                return arrived

    def _count_lost(self) -> None:
        """Take over the kernel's own count of what it dropped. macOS keeps none for each socket."""
        if sys.platform.startswith("linux"):
            with suppress(OSError):  # some sandboxes speak of no such thing
                info = self._sock.getsockopt(socket.SOL_SOCKET, MEMORY_INFO, LOST.stop)
                self._counts["udp_overflow"] = int.from_bytes(info[LOST], sys.byteorder)

    def send(self, data: bytes, to: Address) -> Connect | None:
        """Hand one datagram to the kernel."""
        try:
            self._counts["udp_bytes_out"] += self._sock.sendto(data, (to.host, to.port))
            self._counts["datagrams_out"] += 1
        except BlockingIOError:
            self._counts["udp_full"] += 1
        except OSError as error:
            self._counts["udp_send_error"] += 1
            whose = whose_error(error)
            return whose if whose is Connect.OWN_ERROR else None
        return None

    def close(self) -> None:
        """Give the port back."""
        self._sock.close()


class TcpStream(Stream):
    """A TCP connection that keeps the rule of ends."""

    def __init__(self, stream: trio.SocketStream, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts
        self._stream = stream
        _keep_alive(stream.socket)
        _OPEN.add(stream.socket)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data`, or an error."""
        self._counts["stream_bytes_out"] += len(data)
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Until there is room."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Some bytes, or none at the end; which end it was is noted."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self.saw = self.saw or StreamEnd.RESET
            raise
        self._counts["stream_bytes_in"] += len(data)
        if not data:
            self.saw = self.saw or StreamEnd.EOF
        return data

    def acknowledged_ago(self) -> float | None:
        """From the kernel's TCP_INFO (Linux). macOS has no such field that Python can read."""
        if not sys.platform.startswith("linux") or self._stream.socket.fileno() == -1:
            return None
        info = self._stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_ACK_RECEIVED + 4)
        return int.from_bytes(info[LAST_ACK_RECEIVED:], sys.byteorder) / 1000

    async def aclose(self) -> None:
        """FIN after a goodbye, else RST: SO_LINGER with zero seconds, then close."""
        if not self.farewell and self._stream.socket.fileno() != -1:
            with suppress(OSError):  # the peer reset it: XNU refuses every option then, and no RST is needed
                self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self._stream.aclose()


class RealNetwork(Network):
    """This machine's network."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def advertised(self, bound: Address) -> Address:
        """Where others can reach what is bound: for 0.0.0.0 and ::, the address that this machine sends from.

        Connecting a UDP socket sends nothing; it makes the kernel choose a route, and with it a source address.
        """
        somewhere = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}.get(bound.host)
        if somewhere is None:
            return bound
        family, beyond = somewhere
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((beyond, 9))
            except OSError:  # no route to anywhere: this machine is alone
                return Address("127.0.0.1" if family == socket.AF_INET else "::1", bound.port)
            return Address(str(sock.getsockname()[0]), bound.port)

    async def resolve(self, address: Address) -> Address:
        """The first IP address of a name; addresses stay as they are."""
        _, (host, _) = await _looked_up(address, socket.SOCK_DGRAM)
        return Address(host, address.port)

    async def datagrams(self, address: Address) -> UdpSocket:
        """Bind UDP."""
        family, where = await _where(address, socket.SOCK_DGRAM)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.bind(where)
        except OSError:
            sock.close()
            raise
        return UdpSocket(sock, self.counts)

    async def listen(
        self, address: Address, accept: Accept, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept TCP until cancelled."""
        family, where = await _where(address, socket.SOCK_STREAM)
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # a restart must not wait for the old life's connections to be forgotten
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await sock.bind(where)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
        _OPEN.add(sock)
        listener = trio.SocketListener(sock)
        open_now = 0

        async def take(stream: trio.SocketStream) -> None:
            nonlocal open_now
            open_now += 1
            try:
                wrapped = TcpStream(stream, self.counts)
                if open_now > CONNECTIONS:
                    self.counts["refused_stream"] += 1
                    await wrapped.aclose()
                else:
                    await accept(wrapped, _address(stream.socket.getpeername()))
            except OSError:
                pass  # gone between accept and getpeername
            finally:
                open_now -= 1

        task_status.started(_address(sock.getsockname()))
        await trio.serve_listeners(take, [listener])

    async def dial(self, address: Address) -> TcpStream:
        """Open a TCP connection."""
        family, where = await _where(address, socket.SOCK_STREAM)
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await sock.connect(where)
            return TcpStream(trio.SocketStream(sock), self.counts)
        except BaseException:
            sock.close()
            raise


async def bind_both(network: Network, address: Address, attempts: int = 20) -> tuple[Datagrams, Address]:
    """Bind UDP so that TCP can have the same port number; for port 0 one that is free for both."""
    for attempt in range(attempts):
        try:
            datagrams = await network.datagrams(address)
        except OSError as error:
            raise cannot_bind(address, "UDP", error) from error
        if address.port or _is_free_for_tcp(datagrams.address) or attempt == attempts - 1:
            return datagrams, datagrams.address
        datagrams.close()
    raise AssertionError("the loop returns at its last attempt")


def cannot_bind(address: Address, what: str, error: OSError) -> ConfigError:
    """Why a port could not be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{what} port {address.port} on {address.host} is in use. Is another node running? "
            "Choose another with --gossip HOST:PORT."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"{address.host} is not an address of this machine. Choose one that is, with --gossip HOST:PORT."
        )
    return ConfigError(f"can't listen on {what} {address}: {error.strerror or error}.")


def _is_free_for_tcp(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True


async def _where(address: Address, kind: int) -> tuple[int, tuple[str, int]]:
    """Family and socket address. Numeric addresses, which almost all are, don't go through the resolver's thread."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.host)
        except (OSError, ValueError):  # the latter where a zero byte is in it
            continue
        return family, (address.host, address.port)
    return await _looked_up(address, kind)


async def _looked_up(address: Address, kind: int) -> tuple[int, tuple[str, int]]:
    """The first family and socket address that the resolver tells; OSError where that is none, whatever the host."""
    try:
        found = await trio.socket.getaddrinfo(address.host, address.port, type=kind)
    except ValueError:  # it is not even asked for: a label too long, none between two dots, or a zero byte
        raise socket.gaierror(socket.EAI_NONAME, "no host can have that name") from None
    family, _, _, _, where = found[0]
    return family, (str(where[0]), address.port)


def _address(where: tuple[str, int] | tuple[str, int, int, int] | object) -> Address:
    assert isinstance(where, tuple)
    return Address(str(where[0]), int(where[1]))
