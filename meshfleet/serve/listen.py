"""Where HTTP listens, and streams that nobody can hold open by not reading."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.serve.limits import SEND_SECONDS

if TYPE_CHECKING:
    from meshfleet.serve.limits import Counts

BACKLOG = 128


async def listen(bind: Address, *, tls: bool, flag: str = "--http") -> trio.SocketListener:
    """Listen on `bind`, which `flag` told; port 0 takes a free one. ConfigError says what stands in the way: without
    TLS, all but loopback."""
    host = allowed_host(bind, tls=tls)
    try:
        return (await trio.open_tcp_listeners(bind.port, host=host, backlog=BACKLOG))[0]
    except OSError as error:
        raise ConfigError(_why_not(Address(host, bind.port), error, flag)) from error


def allowed_host(bind: Address, *, tls: bool) -> str:
    """The address of `bind` as a number. ConfigError where it is none, or is not loopback's and TLS is off."""
    if bind.host.lower() == "localhost":
        return "127.0.0.1"
    try:
        address = ip_address(bind.host)
    except ValueError as error:
        raise ConfigError(
            f"HTTP can't be bound to {bind}: give an IP address of this machine, or 0.0.0.0 for all. Names under which "
            "it is asked are given with --http-name."
        ) from error
    if address.is_loopback or tls:
        return str(address)
    raise ConfigError(
        f"HTTP can't be bound to {bind} in the clear: whoever is on the way could read the fleet, and take readers' "
        f"tokens. Add --tls own or --tls CERT,KEY; or use --http 127.0.0.1:{bind.port}, and `ssh -L` from elsewhere."
    )


def is_wildcard(host: str) -> bool:
    """Whether that is no address, but all of this machine's."""
    return ip_address(host).is_unspecified


def _why_not(address: Address, error: OSError, flag: str) -> str:
    # Trio reports several failed addresses as one error; the first of them tells what happened.
    cause: BaseException | None = error
    while isinstance(cause, OSError) and cause.errno is None and cause.__cause__ is not None:
        cause = cause.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    if number == errno.EADDRINUSE:
        return (
            f"HTTP port {address.port} of {address.host} is in use, perhaps by another node. Stop that program, or "
            f"choose another port: {flag} {Address(address.host, address.port + 1)}, or port 0 for any free one."
        )
    if number == errno.EACCES:
        return f"HTTP port {address.port} needs more rights than this process has. Choose one above 1023."
    return f"HTTP can't be bound to {address}: {error.strerror or error}. Choose another address with {flag}."


class BoundedStream(trio.abc.HalfCloseableStream):
    """A TCP stream whose writes end: Hypercorn shields them from cancellation, so one reader that stops reading would
    otherwise keep its task for ever, and the node from ending."""

    def __init__(self, stream: trio.SocketStream, counts: Counts) -> None:
        self._stream = stream
        self._counts = counts
        self._write: trio.CancelScope | None = None
        self._latest_end = float("inf")
        self.socket = stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send within SEND_SECONDS, or break the stream."""
        deadline = min(trio.current_time() + SEND_SECONDS, self._latest_end)
        with trio.CancelScope(deadline=deadline) as self._write:
            await self._stream.send_all(data)
        if self._write.cancelled_caught:
            self._counts.slow_readers_cut += 1
            self.abort()  # part of the data went out: what follows would not be understood
            raise trio.BrokenResourceError("the reader took nothing for too long")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream below."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """As the stream below."""
        await self._stream.send_eof()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the stream below."""
        await self._stream.aclose()

    def end_writes_by(self, deadline: float) -> None:
        """Break the stream if it still writes at `deadline`, on Trio's clock."""
        self._latest_end = deadline
        if self._write is not None:
            self._write.deadline = min(self._write.deadline, deadline)

    def abort(self) -> None:
        """Close at once, whatever anyone waits for."""
        self._stream.socket.close()
