"""Streams that end: what is said meanwhile goes by another, and none stands that was thrown out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.errors import JoinError
from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Ping
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork, TcpStream
from tests.node.meshing import config, counted, see

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address
    from meshfleet.node.links import Links

PATIENCE = 20.0
N2, N3 = NodeName("n2"), NodeName("n3")
WORD = (Ping(1, "n1"),)


async def test_what_is_said_after_a_goodbye_goes_by_another_stream() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            await see(n1, 2)
            links = n1._driver.links
            await links.reach(n2.address)
            before = list(links._by_name[N2])
            links.close_all()
            links.send(N2, n2.address, WORD)
            links.keep(N2, n2.address)
            assert not any(WORD in link._queue for link in before)
            other = links._find(N2, n2.address)
            assert other not in (None, *before)
            assert other is not None
            assert other.kept
            await other.ready.wait()


async def test_what_waits_when_a_stream_is_over_is_counted() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
            await n1._driver.links.reach(n2.address)
            link = n1._driver.links._by_name[N2][-1]
            before = n1.counters().get("dropped_unsent", 0)
            link.close()
            link.send(WORD)
            await link.over.wait()
            await counted(n1, "dropped_unsent", before + 1)


async def test_a_stream_that_meets_another_by_its_certificate_tells_so() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            open_node(config("n1")) as n1,
            open_node(config("n2", n1.address)) as n2,
            open_node(config("n3", n1.address)),
        ):
            await see(n1, 3)
            n1._driver.links.throw_out(N3)
            while n1._driver.links._by_name.get(N3):
                await trio.lowlevel.checkpoint()
            n1._driver.links.send(N3, n2.address, WORD)
            record = n1._driver.member.roster.get(N3)
            assert record is not None
            while record.life.usurped is None:
                await trio.lowlevel.checkpoint()
            assert record.life.usurped[0] == n2.address
            assert not n1._driver.member.judging.addresses.are_anothers(record)  # it is elsewhere


async def test_a_neighbour_whose_stream_finds_no_room_gives_its_place_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)):
            await see(n1, 2)
            member, links = n1._driver.member, n1._driver.links
            links.throw_out(N2)
            while links._by_name.get(N2) or links._dialling or N2 in member.neighbours._chosen:
                await trio.lowlevel.checkpoint()
            monkeypatch.setattr("meshfleet.node.links.LINKS", 0)
            n1._driver.tell(lambda member, now: member.neighbours.review())
            assert n1.counters()["dropped_link"] >= 1
            assert N2 not in member.neighbours._chosen
            record = member.roster.get(N2)
            assert record is not None
            assert (record.unanswered_since, member.judging.refused_since) == (None, None)  # evidence of nothing


class Slow(RealNetwork):
    """Dials only when it may, and keeps what it dialled."""

    def __init__(self) -> None:
        super().__init__()
        self.dialled: list[TcpStream] = []
        self.asked = trio.Event()
        self.may = trio.Event()

    async def dial(self, address: Address) -> TcpStream:
        stream = await super().dial(address)
        self.asked.set()
        await self.may.wait()
        self.dialled.append(stream)
        return stream


@pytest.mark.parametrize("throw", ["throw_out", "give_up_all"])
async def test_a_stream_that_is_thrown_out_while_it_is_dialled_never_stands(throw: str) -> None:
    ends: dict[str, Callable[[Links], None]] = {
        "throw_out": lambda links: links.throw_out(N2),
        "give_up_all": lambda links: links.give_up_all(),
    }
    network = Slow()
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1"), network=network) as n1, open_node(config("n2")) as n2:
            links = n1._driver.links
            links.send(N2, n2.address, WORD)
            link = links._find(N2, n2.address)
            assert link is not None
            await network.asked.wait()
            ends[throw](links)
            assert links._find(N2, n2.address) is None
            network.may.set()
            await link.over.wait()
            assert N2 not in links._by_name
            assert network.dialled[0]._stream.socket.fileno() == -1
            assert n1.counters()["dropped_unsent"] == 1
            assert await links.reach(n2.address) == N2


async def test_who_waits_for_a_stream_that_is_thrown_out_is_told_why() -> None:
    network = Slow()
    with trio.fail_after(PATIENCE):
        async with (
            open_node(config("n1"), network=network) as n1,
            open_node(config("n2")) as n2,
            trio.open_nursery() as nursery,
        ):

            async def reach() -> None:
                with pytest.raises(JoinError, match="another address"):
                    await n1._driver.links.reach(n2.address)

            nursery.start_soon(reach)
            await network.asked.wait()
            n1._driver.links.give_up_all()
            network.may.set()
