"""Members with good certificates that lie in their own names, all about one that answers. Over real sockets."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Event, Judged
from meshfleet.gossip.messages import Left, Message, Obituary, Row, Suspect
from meshfleet.node.opening import open_node
from tests.node.meshing import config, counted, see, sees

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip.member import Member
    from meshfleet.node.node import Node

PATIENCE = 90.0
HEARTBEATS = 4
"""Of the subject, for which they lie: longer than the silence after which a death is presumed, three of them."""


def about(member: Member) -> tuple[str, int, int]:
    """Name, life and incarnation of the subject, as the liar knows them."""
    record = member.roster.get("n2")
    assert record is not None
    return record.name, record.epoch, record.alive.incarnation


def suspicion(member: Member, number: int) -> Message:
    return member.vouching.sign(Suspect(*about(member), member.name))


def obituary(member: Member, number: int) -> Message:
    return member.vouching.sign(Obituary(*about(member), member.name, "its process ended, seen on the same machine"))


def unreached(member: Member, number: int) -> Message:
    return member.vouching.sign(Row(member.name, member.epoch, 1_000_000 + number, ("n2",)))


def forgotten(member: Member, number: int) -> Message:
    name, epoch, _ = about(member)
    return member.vouching.sign(Left(name, epoch, member.name, "forgotten"))


def forgotten_for_ever(member: Member, number: int) -> Message:
    name, epoch, _ = about(member)
    return member.vouching.sign(Left(name, epoch + 10**9, member.name, "forgotten"))


async def lied_about(*lies: Callable[[Member, int], Message]) -> tuple[set[Presence], Node]:
    """What two honest nodes ever say of n2 while four liars, one of which claims to be of its very machine, say all
    of `lies` to everybody, by datagram and stream, and answer nothing that n2 sends."""
    said: set[Presence] = set()

    def listens(event: Event) -> None:
        if isinstance(event, Judged) and event.name == "n2":
            said.add(event.verdict.presence)

    async with AsyncExitStack() as stack:
        n1 = await stack.enter_async_context(open_node(config("n1")))
        n2, n3, *liars = [
            await stack.enter_async_context(open_node(msgspec.structs.replace(config(name, n1.address), host=host)))
            for name, host in (("n2", "h2"), ("n3", "h3"), ("x1", "h2"), ("x2", "y2"), ("x3", "y3"), ("x4", "y4"))
        ]
        with trio.fail_after(PATIENCE):
            for node in (n1, n2, n3, *liars):
                await see(node, 7)
            for honest in (n1, n3):
                await sees(honest, "n2", Presence.FRESH)
                honest.watch(listens)
            for liar in liars:
                liar.block([NodeName("n2")])
            number, until = 0, n2.health().heartbeat + HEARTBEATS
            while n2.health().heartbeat < until:
                number += 1
                for liar in liars:
                    for honest in (n1, n3):
                        _tell(liar, honest, number, lies)
                await counted(n1, "datagrams_in", n1.counters()["datagrams_in"] + 10)
            for liar in liars:
                liar.unblock()
            for honest in (n1, n3):
                await sees(honest, "n2", Presence.FRESH)
                assert honest.counters().get("fault", 0) == 0
        return said, n2


def _tell(liar: Node, to: Node, number: int, lies: tuple[Callable[[Member, int], Message], ...]) -> None:
    def tell(member: Member, now: float) -> None:
        told = [lie(member, number) for lie in lies]
        for message in told:
            member.outbox.datagram_to(to.address, to.name, message)
        member.outbox.stream_to(to.address, to.name, *told)

    liar._driver.tell(tell)


async def test_suspicions_of_a_member_that_answers_are_refuted_and_never_make_it_down() -> None:
    said, subject = await lied_about(suspicion, unreached)
    assert said <= {Presence.FRESH, Presence.STALE}
    assert subject.counters()["refuted"] > 0


async def test_obituaries_of_a_member_that_answers_are_not_believed_by_who_hears_it() -> None:
    said, subject = await lied_about(obituary, suspicion)
    assert said <= {Presence.FRESH, Presence.STALE}
    assert subject.counters()["refuted"] > 0


@pytest.mark.parametrize("lie", [forgotten, forgotten_for_ever])
async def test_who_says_that_a_member_that_answers_was_forgotten_is_not_believed(
    lie: Callable[[Member, int], Message],
) -> None:
    said, _ = await lied_about(lie)
    assert said <= {Presence.FRESH, Presence.STALE}


async def test_an_address_that_is_none_is_not_shown_to_readers() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            for told, shown in [("http://n2:7879", "http://n2:7879"), ("http://[", None)]:
                n2.advertise(told)
                while {node.base_url for node in n1.fleet().nodes if node.name == "n2"} != {shown}:
                    await n1.changed(n1.version())
