"""A driver that is handed packets: what it takes out of them before the member hears the rest. Relays, opened or passed
on; revocations that nobody made; tests of paths, while one is under way, and what doctor makes of the reports.

Time is virtual, and whoever is dialled refuses. What is in a Relay for the node itself is sealed on its way in, unless
it begins with a zero byte: no engine guesses a seal.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

import msgspec
import trio
from trio.testing import MockClock

from meshfleet.gossip.messages import Packet, Relay, Via
from meshfleet.node.diagnosis import diagnose
from meshfleet.node.driver import Driver
from meshfleet.node.examining import Inside, examine
from meshfleet.node.machine import Machine
from meshfleet.node.network import Datagrams
from meshfleet.node.paths import PATIENCE
from meshfleet.node.trust import Trust
from meshfleet.wire.codec import decode_packet
from tests.fuzz.members import BEGAN, HERE, member_of, split
from tests.fuzz.oaths import IDENTITIES, NOTARIES, NOW, sworn

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.gossip.messages import Connect, Message
    from meshfleet.node.network import Network, Stream
    from meshfleet.node.process import Process

_TRUST = Trust(IDENTITIES["n0"], lambda: NOW)
_OTHER = Trust(IDENTITIES["n9"], lambda: NOW).sealer()


class _Port(Datagrams):
    """Nothing comes, and whatever is sent is gone."""

    address = HERE

    async def receive(self) -> list[tuple[bytes, Address]]:
        await trio.sleep_forever()

    def send(self, data: bytes, to: Address) -> Connect | None:
        return None

    def close(self) -> None:
        pass


class Nowhere:
    """Whoever is dialled refuses."""

    async def dial(self, address: Address) -> Stream:
        raise ConnectionRefusedError(111, "refused")


class Virtual(Machine):
    """Its clock is Trio's, from BEGAN on."""

    def now(self) -> float:
        return BEGAN + trio.current_time()

    def moment(self, at: float) -> float:
        return at - BEGAN

    def asleep(self) -> float:
        return 0.0

    async def watch(self, process: Process) -> bool:
        return False


def drive(data: bytes) -> None:
    """Packets as the member's target has them."""
    packets = [(how, sworn(decode_packet(encoded))) for how, encoded in split(data)]
    random.seed(0)  # in which order paths are tested
    trio.run(_drive, packets, clock=MockClock(autojump_threshold=0))


async def _drive(packets: list[tuple[int, Packet]]) -> None:
    member = member_of(NOTARIES["n0"])
    driver = Driver(
        member, cast("Network", Nowhere()), _Port(), _TRUST, enter=_nobody, machine=Virtual(),
        wall_ms=lambda: int(NOW * 1000), on_events=lambda events: None,
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        await nursery.start(driver.run)
        driver.paths._run = 0  # else no report would be of a run that is under way
        nursery.start_soon(_examine, driver)
        for how, packet in packets:
            await _pass((how >> 2) / 32)
            driver.receive(_sealed(packet), HERE, Via(1 + how % 3))
        await _pass(PATIENCE + 1.0)  # then what was tested is looked at
        nursery.cancel_scope.cancel()
    assert driver.counts["fault"] == 0, "an input could not be handled"


async def _pass(seconds: float) -> None:
    """Virtual ones."""
    with trio.move_on_after(seconds):
        await trio.sleep_forever()


async def _examine(driver: Driver) -> None:
    while True:
        diagnosis = diagnose(driver.member, driver.member.counts, BEGAN + trio.current_time())
        msgspec.json.encode(await examine(driver.member, driver.paths, diagnosis, Inside(), tries=True))


async def _nobody(*_: object) -> None:
    """Nobody comes to the entrance."""


def _sealed(packet: Packet) -> Packet:
    messages: list[Message] = []
    for message in packet.messages:
        if isinstance(message, Relay) and message.sealed[:1] != b"\0":
            message = msgspec.structs.replace(message, sealed=_OTHER.seal(message.sealed, most=60_000))
        messages.append(message)
    return msgspec.structs.replace(packet, messages=tuple(messages))
