"""The virtual network does what sockets do: each case is played on loopback and on the fabric."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Protocol

import msgspec
import pytest
import trio

from meshfleet.fleet.names import Address
from meshfleet.gossip.messages import Connect, StreamEnd
from meshfleet.node.network import Network, Stream, whose_error
from meshfleet.node.sockets import RealNetwork
from meshfleet.sim.fabric import Fabric
from meshfleet.sim.network import Network as Wires
from meshfleet.sim.network import Quality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshfleet.sim.attachment import Attachment

QUICK = Quality(0.001, 0.3, 0.0, 0.0, 0.0)


class Machine(msgspec.Struct):
    number: int
    powered: bool = True
    nic_down: bool = False
    outbound_only: bool = False
    translated: bool = False


def fabric_of(count: int, quality: Quality = QUICK) -> tuple[Fabric, list[Machine], list[Attachment]]:
    fabric = Fabric(Wires(quality, Random("wires")))
    machines = [Machine(i) for i in range(count)]
    return fabric, machines, [fabric.attach(m, f"10.0.0.{m.number}") for m in machines]


class Arm(Protocol):
    """Two programs on one network. The second can be killed."""

    here: Network
    there: Network
    host: str
    open: list[Stream]
    """Streams to be closed after the case."""

    async def visit(self, address: Address) -> None:
        """The second program dials, reads one byte, sends it back, and then reads no more."""
        ...

    async def kill(self) -> None:
        """The second program is killed, if it still runs."""
        ...


class Sockets:
    host = "127.0.0.1"

    def __init__(self) -> None:
        self.here: Network = RealNetwork()
        self.there: Network = RealNetwork()
        self.open: list[Stream] = []
        self.process: trio.Process | None = None

    async def visit(self, address: Address) -> None:
        program = (
            "import socket, time\n"
            f"s = socket.create_connection(({address.host!r}, {address.port}))\n"
            "s.sendall(s.recv(1))\n"
            "time.sleep(60)"
        )
        self.process = await trio.lowlevel.open_process([sys.executable, "-c", program])

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.wait()


class Virtual:
    def __init__(self, nursery: trio.Nursery) -> None:
        fabric, _, (first, self.attached) = fabric_of(2)
        self.here: Network = first
        self.there: Network = self.attached
        self.host = "10.0.0.0"
        self.open: list[Stream] = []
        self.nursery = nursery
        nursery.start_soon(fabric.run)

    async def visit(self, address: Address) -> None:
        async def program() -> None:
            stream = await self.there.dial(address)
            await stream.send_all(await stream.receive_some(1))

        self.nursery.start_soon(program)

    async def kill(self) -> None:
        self.attached.process_died()


@pytest.fixture(params=["sockets", "fabric"])
async def arm(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Arm]:
    arm: Arm = Sockets()
    if request.param == "fabric":
        arm = Virtual(nursery)
    with trio.fail_after(20):
        yield arm
    for stream in arm.open:
        await trio.aclose_forcefully(stream)
    await arm.kill()


class Door:
    """A listener, and whoever came through it."""

    def __init__(self, arm: Arm, nursery: trio.Nursery) -> None:
        self.arm = arm
        self.nursery = nursery
        self.scope = trio.CancelScope()
        self.send, self.streams = trio.open_memory_channel[Stream](8)

    async def open(self) -> Address:
        address: Address = await self.nursery.start(self._listen)
        return address

    async def dial(self, address: Address) -> Stream:
        stream = await self.arm.there.dial(address)
        self.arm.open.append(stream)
        return stream

    async def _listen(self, *, task_status: trio.TaskStatus[Address]) -> None:
        with self.scope:
            await self.arm.here.listen(Address(self.arm.host, 0), self._take, task_status=task_status)

    async def _take(self, stream: Stream, source: Address) -> None:
        self.arm.open.append(stream)
        await self.send.send(stream)
        await trio.sleep_forever()


async def read(stream: Stream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (more := await stream.receive_some(1 << 20)):
        data += more
    return bytes(data)


async def connected(arm: Arm, nursery: trio.Nursery) -> tuple[Stream, Stream, Door]:
    door = Door(arm, nursery)
    dialled = await door.dial(await door.open())
    return await door.streams.receive(), dialled, door


async def test_bytes_arrive_in_order_both_ways(arm: Arm, nursery: trio.Nursery) -> None:
    one, other, _ = await connected(arm, nursery)
    told = bytes(range(256)) * 4_000
    nursery.start_soon(other.send_all, told)
    assert await read(one, len(told)) == told
    await one.send_all(b"heard")
    assert await read(other, 5) == b"heard"
    nursery.cancel_scope.cancel()


async def test_a_writer_waits_for_a_reader_that_does_not_read(arm: Arm, nursery: trio.Nursery) -> None:
    one, other, _ = await connected(arm, nursery)
    sent = trio.Event()
    told = b"x" * 16_000_000

    async def write() -> None:
        await other.send_all(told)
        sent.set()

    nursery.start_soon(write)
    await trio.testing.wait_all_tasks_blocked(0.1)
    assert not sent.is_set()
    assert len(await read(one, len(told))) == len(told)
    await sent.wait()
    nursery.cancel_scope.cancel()


async def test_after_a_goodbye_comes_an_end(arm: Arm, nursery: trio.Nursery) -> None:
    one, other, _ = await connected(arm, nursery)
    other.farewell = True
    await other.aclose()
    assert await one.receive_some() == b""
    assert one.saw is StreamEnd.EOF
    nursery.cancel_scope.cancel()


async def test_after_a_hurried_close_comes_a_reset(arm: Arm, nursery: trio.Nursery) -> None:
    one, other, _ = await connected(arm, nursery)
    await other.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await one.receive_some()
    assert one.saw is StreamEnd.RESET
    with pytest.raises(trio.BrokenResourceError):
        await one.send_all(b"too late")
    nursery.cancel_scope.cancel()


async def test_a_stream_that_was_closed_here_says_so(arm: Arm, nursery: trio.Nursery) -> None:
    one, other, _ = await connected(arm, nursery)
    await one.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await one.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await one.send_all(b"x")
    await other.aclose()
    nursery.cancel_scope.cancel()


async def test_a_killed_process_leaves_a_bare_end(arm: Arm, nursery: trio.Nursery) -> None:
    door = Door(arm, nursery)
    await arm.visit(await door.open())
    stream = await door.streams.receive()
    await stream.send_all(b"a")
    assert await read(stream, 1) == b"a"
    await arm.kill()
    assert await stream.receive_some() == b""
    assert stream.saw is StreamEnd.EOF
    nursery.cancel_scope.cancel()


async def test_one_killed_with_unread_bytes_leaves_a_reset(arm: Arm, nursery: trio.Nursery) -> None:
    door = Door(arm, nursery)
    await arm.visit(await door.open())
    stream = await door.streams.receive()
    await stream.send_all(b"ab")
    assert await read(stream, 1) == b"a"  # so both bytes have arrived
    await arm.kill()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    assert stream.saw is StreamEnd.RESET
    nursery.cancel_scope.cancel()


async def test_where_nobody_listens_any_more_a_connection_is_refused(arm: Arm, nursery: trio.Nursery) -> None:
    door = Door(arm, nursery)
    address = await door.open()
    await door.dial(address)
    door.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(OSError, match="refused") as error:
        await arm.there.dial(address)
    assert whose_error(error.value) is Connect.REFUSED
    nursery.cancel_scope.cancel()


async def test_a_datagram_arrives_with_its_source_and_one_to_nobody_is_lost_without_a_word(arm: Arm) -> None:
    here = await arm.here.datagrams(Address(arm.host, 0))
    there = await arm.there.datagrams(Address("127.0.0.1" if arm.host == "127.0.0.1" else "10.0.0.1", 0))
    gone = await arm.here.datagrams(Address(arm.host, 0))
    gone.close()
    assert there.send(b"to nobody", gone.address) is None
    assert there.send(b"to you", here.address) is None
    assert await here.receive() == [(b"to you", there.address)]
    assert here.send(b"and back", there.address) is None
    assert await there.receive() == [(b"and back", here.address)]
    assert arm.there.counts == Counter(udp_bytes_out=15, datagrams_out=2, udp_bytes_in=8, datagrams_in=1)
    for socket in (here, there):
        socket.close()


async def test_a_port_is_given_once_and_an_address_of_somebody_else_not_at_all(arm: Arm, nursery: trio.Nursery) -> None:
    udp = await arm.here.datagrams(Address(arm.host, 0))
    tcp = await Door(arm, nursery).open()

    async def nobody(stream: Stream, source: Address) -> None: ...

    for address, number in ((udp.address, errno.EADDRINUSE), (Address("192.0.2.7", 0), errno.EADDRNOTAVAIL)):
        with pytest.raises(OSError, match=r"address|use") as error:
            await arm.here.datagrams(address)
        assert error.value.errno == number
    for address, number in ((tcp, errno.EADDRINUSE), (Address("192.0.2.7", 0), errno.EADDRNOTAVAIL)):
        with pytest.raises(OSError, match=r"address|use") as error:
            await arm.here.listen(address, nobody, task_status=trio.TASK_STATUS_IGNORED)
        assert error.value.errno == number
    udp.close()
    nursery.cancel_scope.cancel()
