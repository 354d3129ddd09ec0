"""What was said and recorded on the way, said again: to nodes that run on, and to one that forgot what was here."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from meshfleet.fleet.names import Address
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Event, Judged
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.node.opening import open_node
from tests.node.meshing import config, counted, notes, said, see, sees, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshfleet.node.node import Node

PATIENCE = 60.0


def record(node: Node) -> list[bytes]:
    """Every datagram that `node` sends from now on, as somebody on the way sees it."""
    recorded: list[bytes] = []
    seal = node._driver._sealer.seal

    def records(plain: bytes, context: bytes = b"", *, most: int = DATAGRAM_BYTES) -> bytes:
        recorded.append(seal(plain, context, most=most))
        return recorded[-1]

    node._driver._sealer.seal = records  # type: ignore[method-assign]  # a tap on the wire
    return recorded


async def test_datagrams_of_a_dead_node_wake_it_nowhere_not_even_where_nobody_remembers_them() -> None:
    said_fresh: list[str] = []

    def listens(event: Event) -> None:
        if isinstance(event, Judged) and event.name == "n2" and event.verdict.presence is Presence.FRESH:
            said_fresh.append(event.name)

    with trio.fail_after(PATIENCE):
        async with open_node(config("n3")) as n3, AsyncExitStack() as stack:
            async with open_node(config("n1", n3.address)) as n1, open_node(config("n2", n3.address)) as n2:
                recorded = record(n2)
                for node in (n1, n2, n3):
                    await see(node, 3)
                for note in ("old", "newest"):
                    n2.publish(state("n2/a", note=note))
                    for node in (n1, n3):
                        await notes(node, "n2/a", note)
                await counted(n1, "datagrams_in", n1.counters()["datagrams_in"] + 30)
                kept, newest = recorded[-40:], n2._member.beats.counter
                while beat_of(n3, "n2") < newest:  # what nobody living has heard is news, however old it is
                    await trio.lowlevel.checkpoint()
            await sees(n3, "n2", Presence.DOWN, Presence.UNREACHABLE)
            n1 = await stack.enter_async_context(open_node(config("n1", n3.address)))  # its replay window is empty
            await see(n1, 3)
            await sees(n1, "n2", Presence.DOWN, Presence.UNREACHABLE)
            n1.watch(listens)
            before = n1.counters().get("datagrams_in", 0)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for each in kept:
                    for node in (n1, n3):
                        sock.sendto(each, node.address)
            await counted(n3, "drop_replayed", 5)
            await counted(n1, "datagrams_in", before + 40)
            assert n1.counters().get("drop_unsealed", 0) == 0, "they were opened, and listened to"
            await sees(n1, "n2", Presence.DOWN, Presence.UNREACHABLE)
            for node in (n1, n3):
                shown = next(agent for agent in node.fleet().agents if agent.agent_id == "n2/a")
                assert (shown.state.note, shown.presence is Presence.FRESH) == ("newest", False)
        assert said_fresh == []
        assert n1.counters().get("fault", 0) == 0


def beat_of(observer: Node, name: str) -> int:
    """The newest heartbeat of a member that `observer` knows."""
    record = observer._member.roster.get(name)
    return 0 if record is None else record.beat


@asynccontextmanager
async def tapped(to: Address) -> AsyncIterator[tuple[Address, bytearray]]:
    """A place that passes streams on to `to`; and what whoever dials it says."""
    heard = bytearray()

    async def pass_on(stream: trio.SocketStream) -> None:
        async with stream, await trio.open_tcp_stream(to.host, to.port) as beyond, trio.open_nursery() as nursery:
            nursery.start_soon(_carry, beyond, stream, None)
            await _carry(stream, beyond, heard)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, pass_on, [listener])
        yield Address(*listener.socket.getsockname()), heard
        nursery.cancel_scope.cancel()


async def _carry(source: trio.SocketStream, to: trio.SocketStream, heard: bytearray | None) -> None:
    try:
        async for data in source:
            if heard is not None:
                heard += data
            await to.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def test_a_recorded_stream_played_again_does_not_even_get_through_the_handshake() -> None:
    with trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, tapped(n1.address) as (tap, heard):
            async with open_node(config("n2")) as n2:
                assert await n2.join(tap) == "n1"
                n2.publish(state("n2/a", note="newest"))
                await notes(n1, "n2/a", "newest")
            await sees(n1, "n2", Presence.DOWN, Presence.UNREACHABLE)
            assert len(heard) > 1_000
            assert b"newest" not in heard
            before, verdict = dict(n1.counters()), said(n1, "n2")
            async with await trio.open_tcp_stream(n1.address.host, n1.address.port) as stream:
                await stream.send_all(bytes(heard))
                await counted(n1, "stream_unproven", before.get("stream_unproven", 0) + 1)
            assert n1.counters().get("snapshots_in") == before.get("snapshots_in")
            assert said(n1, "n2") is verdict
