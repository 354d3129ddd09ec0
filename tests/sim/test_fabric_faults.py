"""What goes wrong on the virtual network, in virtual time: silence, cuts, refusals, a host without power."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.names import Address
from meshfleet.gossip.messages import Connect, StreamEnd
from meshfleet.node.network import Stream
from meshfleet.sim.network import Barrier, Quality
from tests.sim.test_fabric import Machine, fabric_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from meshfleet.sim.attachment import Attachment
    from meshfleet.sim.connection import End
    from meshfleet.sim.fabric import Fabric

TEN_MS = Quality(0.010, 0.0, 0.0, 0.0, 0.0)
PORT = 7


class Pair:
    """A program on n0 that listens, and one on n1."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.fabric: Fabric
        self.machines: list[Machine]
        self.here: Attachment
        self.there: Attachment
        self.fabric, self.machines, (self.here, self.there) = fabric_of(2, TEN_MS)
        self.nursery = nursery
        self.send, self.streams = trio.open_memory_channel[Stream](8)

    async def open(self) -> None:
        self.nursery.start_soon(self.fabric.run)
        await self.nursery.start(self.here.listen, Address("10.0.0.0", PORT), self._take)

    async def _take(self, stream: Stream, source: Address) -> None:
        await self.send.send(stream)

    async def dial(self, port: int = PORT) -> End:
        return await self.there.dial(Address("10.0.0.0", port))

    async def connected(self) -> tuple[Stream, End]:
        dialled = await self.dial()
        return await self.streams.receive(), dialled

    def wall(self, left: int, right: int, *, reject: bool = False) -> Barrier:
        barrier = Barrier(frozenset({left}), frozenset({right}), reject=reject)
        self.fabric.wires.raise_barrier(barrier)
        return barrier


@pytest.fixture
async def pair(nursery: trio.Nursery) -> AsyncIterator[Pair]:
    pair = Pair(nursery)
    await pair.open()
    yield pair
    nursery.cancel_scope.cancel()


async def outcome(pair: Pair, port: int = PORT) -> tuple[int | None, float]:
    """With which error a connection attempt ends, and when; None: it succeeds."""
    began = trio.current_time()
    try:
        await pair.dial(port)
    except OSError as error:
        return error.errno, round(trio.current_time() - began, 6)
    return None, round(trio.current_time() - began, 6)


async def test_each_way_takes_its_time(pair: Pair, autojump_clock: MockClock) -> None:
    one, other = await pair.connected()
    assert trio.current_time() == pytest.approx(0.020)
    await other.send_all(b"x")
    await one.receive_some()
    assert trio.current_time() == pytest.approx(0.030)


async def test_a_connection_attempt_is_told_what_a_kernel_would_tell(pair: Pair, autojump_clock: MockClock) -> None:
    assert await outcome(pair) == (None, 0.02)
    assert await outcome(pair, 8) == (errno.ECONNREFUSED, 0.02)
    pair.machines[1].nic_down = True
    assert await outcome(pair) == (errno.ENETUNREACH, 0.0001)
    pair.machines[1].nic_down = False
    pair.wall(1, 0, reject=True)
    assert await outcome(pair) == (errno.ECONNREFUSED, 0.01)


@pytest.mark.parametrize("how", ["cut there", "cut back", "no power", "behind a translator", "nobody has the address"])
async def test_into_silence_it_lasts_two_minutes(pair: Pair, autojump_clock: MockClock, how: str) -> None:
    if how.startswith("cut"):
        pair.wall(*((1, 0) if how == "cut there" else (0, 1)))
    pair.machines[0].powered = how != "no power"
    pair.machines[0].outbound_only = how == "behind a translator"
    if how == "nobody has the address":
        with pytest.raises(OSError, match="timed out"):
            await pair.there.dial(Address("10.9.9.9", PORT))
        return
    assert await outcome(pair) == (errno.ETIMEDOUT, 127)


async def test_an_attempt_that_begins_in_a_cut_succeeds_a_retry_after_it(pair: Pair, autojump_clock: MockClock) -> None:
    barrier = pair.wall(1, 0)
    pair.fabric.after(2_000_000, pair.fabric.wires.lift, barrier)
    assert await outcome(pair) == (None, 3.02)


async def test_a_process_that_accepts_nothing_is_connected_to_until_its_backlog_is_full(
    pair: Pair, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshfleet.sim.attachment.BACKLOG", 3)
    door = pair.here._listeners[PORT]

    async def stopped() -> tuple[End, Address]:
        await trio.sleep_forever()
        raise AssertionError

    door.next = stopped  # type: ignore[method-assign]  # as a stopped process, which never comes round to accept
    await pair.dial()  # this one the loop had been waiting for
    assert [await outcome(pair) for _ in range(3)] == [(None, 0.02)] * 3
    assert (await outcome(pair))[0] == errno.ETIMEDOUT


async def test_a_short_cut_delays_a_stream_and_a_long_one_ends_it_on_both_sides(
    pair: Pair, autojump_clock: MockClock
) -> None:
    one, other = await pair.connected()
    barrier = pair.wall(1, 0)
    await other.send_all(b"x")
    pair.fabric.after(4_500_000, pair.fabric.wires.lift, barrier)
    assert await one.receive_some() == b"x"
    assert trio.current_time() == pytest.approx(5.03)
    pair.wall(0, 1)
    for stream in (one, other):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        assert stream.saw is StreamEnd.RESET
    assert trio.current_time() == pytest.approx(15, abs=1.1)


async def test_a_machine_that_lost_its_power_says_nothing_and_after_its_boot_resets(
    pair: Pair, autojump_clock: MockClock
) -> None:
    one, other = await pair.connected()
    pair.machines[1].powered = False
    pair.there.power_lost()
    with pytest.raises(trio.ClosedResourceError):
        await other.send_all(b"x")
    pair.machines[1].powered = True
    with pytest.raises(trio.BrokenResourceError):
        await one.receive_some()
    assert trio.current_time() == pytest.approx(5.02, abs=0.05)  # the first keepalive


async def test_idle_kernels_acknowledge_and_a_sleeper_keeps_its_stream_if_it_wakes_in_time(
    pair: Pair, autojump_clock: MockClock
) -> None:
    one, other = await pair.connected()
    with trio.move_on_after(60):
        await one.receive_some()
    for stream in (one, other):
        ago = stream.acknowledged_ago()
        assert ago is not None
        assert ago <= 6
    pair.machines[1].powered = False
    with trio.move_on_after(8):
        await one.receive_some()
    pair.machines[1].powered = True
    await other.send_all(b"x")
    assert await one.receive_some() == b"x"


async def test_half_of_a_stream_can_be_closed(pair: Pair, autojump_clock: MockClock) -> None:
    one, other = await pair.connected()
    await other.send_eof()
    assert await one.receive_some() == b""
    await one.send_all(b"still")
    assert await other.receive_some() == b"still"
    with pytest.raises(trio.ClosedResourceError):
        await other.send_all(b"x")


async def test_what_is_sent_to_an_end_that_was_closed_is_answered_by_a_reset(
    pair: Pair, autojump_clock: MockClock
) -> None:
    one, other = await pair.connected()
    other.farewell = True
    await other.aclose()
    await one.receive_some()
    await one.send_all(b"x")
    with trio.move_on_after(1):
        await trio.sleep_forever()
    with pytest.raises(trio.BrokenResourceError):
        await one.send_all(b"x")


async def test_a_dial_that_is_given_up_leaves_no_connection_behind(pair: Pair, autojump_clock: MockClock) -> None:
    with trio.move_on_after(0.015):  # the answer is on its way
        await pair.dial()
    assert not pair.there.ends
    stream = await pair.streams.receive()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()


async def test_datagrams_are_held_for_who_does_not_read_up_to_a_limit(pair: Pair, autojump_clock: MockClock) -> None:
    one = await pair.here.datagrams(Address("10.0.0.0", 9))
    other = await pair.there.datagrams(Address("10.0.0.1", 9))
    for i in range(700):
        other.send(b"%d" % i, one.address)
    first = await one.receive()
    got = first + [datagram for _ in range(9) for datagram in await one.receive()]
    assert [len(first), len(got)] == [64, 600]
    assert pair.here.counts["datagrams_not_held"] == 100


async def test_a_network_of_ones_own_that_is_down_is_told_at_once_and_everybody_elses_is_not(
    pair: Pair, autojump_clock: MockClock
) -> None:
    one = await pair.here.datagrams(Address("10.0.0.0", 9))
    other = await pair.there.datagrams(Address("10.0.0.1", 9))
    pair.machines[1].nic_down = True
    assert other.send(b"x", one.address) is Connect.OWN_ERROR
    assert one.send(b"x", other.address) is None


async def test_behind_a_translator_only_answers_get_in(pair: Pair, autojump_clock: MockClock) -> None:
    one = await pair.here.datagrams(Address("10.0.0.0", 9))
    other = await pair.there.datagrams(Address("10.0.0.1", 9))
    pair.machines[0].outbound_only = True
    other.send(b"unasked", one.address)
    with trio.move_on_after(1):
        await one.receive()
    one.send(b"question", other.address)
    assert (await other.receive())[0][0] == b"question"
    other.send(b"answer", one.address)
    assert [data for data, _ in await one.receive()] == [b"answer"]
