"""Revocations that nobody made: so many are looked at and no more, and one that the owner made is believed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.limits import FORGERIES, FORGERIES_WITHIN
from meshfleet.gossip.messages import Beats, Digest, Message, Packet, Revoked, Sync, Via
from meshfleet.node.trust import Trust
from meshfleet.wire.identity import Authority, NodeKey
from meshfleet.wire.revocation import revoke
from tests.fuzz.oaths import IDENTITIES, NOW
from tests.node.meshing import FLEET
from tests.node.test_faults import driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from meshfleet.node.driver import Driver

THERE = Address("10.0.0.1", 7878)
NINE = 9
"""In one datagram."""


class Looking(Trust):
    """Counts how often it is asked."""

    looked_at = 0

    def is_genuine(self, revoked: Revoked) -> bool:
        self.looked_at += 1
        return super().is_genuine(revoked)


@asynccontextmanager
async def looking() -> AsyncIterator[tuple[Driver, Looking]]:
    """A driver that runs."""
    trust = Looking(IDENTITIES["n0"], lambda: NOW)
    it, _ = driver(trust)
    async with trio.open_nursery() as nursery:
        await nursery.start(it.run)
        yield it, trust
        nursery.cancel_scope.cancel()


def forged(number: int) -> Revoked:
    return Revoked(f"m{number}", number, bytes(64))


def hear(it: Driver, *messages: Message, by: str = "n1", via: Via = Via.DATAGRAM) -> None:
    it.receive(Packet(by, 1, 0, 0.0, 1, messages), THERE, via)


async def test_a_flood_of_forged_revocations_is_not_looked_at_for_long(autojump_clock: MockClock) -> None:
    async with looking() as (it, trust):
        for number in range(0, 900, NINE):
            hear(it, *[forged(number + i) for i in range(NINE)])
        assert (trust.looked_at, it.counts["drop_forged"]) == (FORGERIES, FORGERIES)
        assert it.member.counts["unexamined"] == 900 - FORGERIES
        hear(it, Sync((), Beats(()), Digest(()), False, (), tuple([forged(i) for i in range(200)])), via=Via.STREAM)
        assert trust.looked_at == 2 * FORGERIES, "over its own stream it is counted apart"
        hear(it, forged(1), by="n2")
        assert trust.looked_at == 2 * FORGERIES + 1, "and so is another peer"
        autojump_clock.jump(FORGERIES_WITHIN)
        hear(it, forged(2))
        assert trust.looked_at == 2 * FORGERIES + 2
        assert it.member.outcasts.by_name == {}
        (line,) = [f for f in it.member.vouching.forgeries() if f.in_name_of == "m2" and f.via is Via.DATAGRAM]
        assert (line.by, line.kind, line.times) == ("n1", "revoked", 2)


async def test_what_the_owner_said_is_looked_at_once_and_told_on(autojump_clock: MockClock) -> None:
    async with looking() as (it, trust):
        said = revoke(Authority.begin(NodeKey.of(FLEET), NOW), NodeName("n7"), 5)
        for _ in range(100):
            hear(it, said)
        assert trust.looked_at == 1
        assert it.member.outcasts.holds(said)
        for number in range(100):
            hear(it, forged(number), said)
        assert (it.member.counts["unexamined"], trust.looked_at) == (100 - FORGERIES, 1 + FORGERIES)
