"""A member that sends Relays as it likes: by who passes on for nobody, to who chose no relay, and beyond measure."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Event, Judged
from meshfleet.gossip.limits import RELAY_BURST
from meshfleet.gossip.messages import Packet, Relay, Suspect
from meshfleet.wire.codec import encode_packet
from tests.node.meshing import counted, sees
from tests.node.rogue import Rogue, three, word

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Message
    from meshfleet.node.node import Node

PATIENCE = 60.0
JUNK = bytes(range(256)) * 4


def sealed(rogue: Rogue, source: str, *messages: Message) -> bytes:
    return rogue.sealer.seal(encode_packet(Packet(source, 1, 0, 0.0, 1, messages)))


async def hide(hidden: Node, relay: Node) -> None:
    """It finds that nobody can reach it, and has relays; nobody tells it otherwise."""

    def finds(member: Member, now: float) -> None:
        member.relays._asked_at = inf
        member.relays.hidden = True
        member.relays.review(now)

    hidden._driver.tell(finds)
    while (at := relay.member.roster.get(hidden.name)) is None or relay.name not in at.info.relays or not at.has_stream:
        await trio.lowlevel.checkpoint()


async def test_what_is_passed_on_to_who_chose_no_relay_is_not_opened() -> None:
    said: list[Event] = []
    with trio.fail_after(PATIENCE), Rogue() as rogue:
        async with three() as (n1, _, _):
            n1.watch(said.append)
            of_n3 = word(n1, "n3")
            lie = rogue.trust.notary.sign(Suspect("n3", of_n3.epoch, of_n3.incarnation, "n9"))
            told = n1.counters().get("suspected", 0)
            async with rogue.stream(n1) as frames:
                await frames.send(rogue.packet(Relay("n1", sealed(rogue, "n9", lie))))
                await counted(n1, "stray_relay", 1)
            rogue.say_as(rogue.alive, n1, Relay("n1", sealed(rogue, "n2", lie)))
            await counted(n1, "stray_relay", 2)
            assert n1.counters().get("suspected", 0) == told
            assert not [event for event in said if isinstance(event, Judged) and event.name == "n3"]


async def test_nobody_passes_on_to_who_did_not_name_it() -> None:
    with trio.fail_after(PATIENCE), Rogue() as rogue:
        async with three() as (n1, n2, _):
            async with rogue.stream(n1) as frames:
                for _ in range(100):
                    await frames.send(rogue.packet(*[Relay("n2", JUNK)] * 3, Relay("nobody", JUNK)))
                await counted(n1, "refused_relay_on", 400)
            assert n1.counters().get("relayed", 0) == 0
            assert n2.counters().get("stray_relay", 0) == 0


async def test_a_flood_through_a_relay_is_bounded_and_harms_neither_it_nor_its_client() -> None:
    downs: set[str] = set()

    def listens(event: Event) -> None:
        if isinstance(event, Judged) and event.verdict.presence in (Presence.UNREACHABLE, Presence.DOWN):
            downs.add(event.name)

    with trio.fail_after(PATIENCE), Rogue() as rogue:
        async with three() as (n1, n2, n3):
            await hide(n3, n1)
            for node in (n1, n2, n3):
                node.watch(listens)
            beat = n1.health().heartbeat
            async with rogue.stream(n1) as frames:
                for _ in range(600):
                    await frames.send(rogue.packet(Relay("n3", JUNK)))
                await counted(n1, "dropped_relay_on", 1)
            assert n1.counters()["relayed"] * len(JUNK) < 2 * RELAY_BURST
            await counted(n3, "drop_unsealed", 1)
            while n1.health().heartbeat < beat + 3:
                await trio.lowlevel.checkpoint()
            for node, others in ((n1, ("n2", "n3")), (n2, ("n1", "n3")), (n3, ("n1", "n2"))):
                for name in others:
                    await sees(node, name, Presence.FRESH)
            assert downs & {"n1", "n2", "n3"} == set()


async def test_a_relay_within_a_relay_and_one_under_another_name_are_dropped() -> None:
    with trio.fail_after(PATIENCE), Rogue() as rogue:
        async with three() as (n1, _, n3):
            await hide(n3, n1)
            async with rogue.stream(n1) as frames:
                await frames.send(rogue.packet(Relay("n3", sealed(rogue, "n9", Relay("n1", JUNK)))))
                await counted(n3, "stray_relay", 1)
                await frames.send(rogue.packet(Relay("n3", sealed(rogue, "n2"))))  # one that seals has one name
                await counted(n3, "drop_untrusted", 1)
            assert n3.counters().get("fault", 0) == n1.counters().get("fault", 0) == 0
