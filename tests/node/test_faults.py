"""What a driver makes of its own mistakes: of a datagram too large a count, of many faults in an hour its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio

from meshfleet.errors import MeshfleetError
from meshfleet.fleet.names import Address
from meshfleet.gossip.messages import PathProbe
from meshfleet.node.driver import FAULTS, FAULTS_WITHIN, Driver
from meshfleet.node.network import Datagrams
from meshfleet.node.trust import Trust
from tests.fuzz.driven import Nowhere, Virtual
from tests.fuzz.members import BEGAN, HERE, member_of
from tests.fuzz.oaths import IDENTITIES, NOTARIES, NOW

if TYPE_CHECKING:
    from trio.testing import MockClock

    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Connect
    from meshfleet.node.network import Network


class Port(Datagrams):
    """Nothing comes; what is sent is kept."""

    address = HERE

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def receive(self) -> list[tuple[bytes, Address]]:
        await trio.sleep_forever()

    def send(self, data: bytes, to: Address) -> Connect | None:
        self.sent.append(data)
        return None

    def close(self) -> None:
        pass


async def nobody(*_: object) -> None:
    """Nobody enters."""


def driver(trust: Trust | None = None) -> tuple[Driver, Port]:
    port, trust = Port(), trust or Trust(IDENTITIES["n0"], lambda: NOW)
    return Driver(
        member_of(NOTARIES["n0"]), cast("Network", Nowhere()), port, trust, enter=nobody, machine=Virtual(),
        wall_ms=lambda: int(NOW * 1000), on_events=lambda events: None,
    ), port  # fmt: skip


def fail(member: Member, now: float) -> None:
    raise RuntimeError("a defect")


async def test_a_datagram_that_would_be_too_large_is_counted_and_no_fault() -> None:
    it, port = driver()
    there = Address("10.0.0.2", 7878)
    for _ in range(2 * FAULTS):
        it.send_datagram("n1", there, (PathProbe(1, 1, bytes(1_400)),))
    assert port.sent == []
    assert (it.counts["datagram_too_big"], it.counts["fault"]) == (2 * FAULTS, 0)
    it.send_datagram("n1", there, (PathProbe(1, 1, bytes(1_000)),))
    assert len(port.sent) == 1


async def test_faults_run_out_and_a_hundred_within_an_hour_end_the_node(autojump_clock: MockClock) -> None:
    it, _ = driver()
    for _ in range(2 * FAULTS):
        it.tell(fail)
        autojump_clock.jump(FAULTS_WITHIN / (FAULTS - 1) + 1.0)
    assert it.counts["fault"] == 2 * FAULTS
    assert BEGAN + trio.current_time() > FAULTS_WITHIN
    autojump_clock.jump(FAULTS_WITHIN)
    for _ in range(FAULTS - 1):
        it.tell(fail)
    with pytest.raises(MeshfleetError, match="100 inputs in an hour"):
        it.tell(fail)
