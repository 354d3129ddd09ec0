"""What strangers send: counted, dropped, and of no consequence."""

from __future__ import annotations

import random
import socket

import trio

from meshfleet.fleet.names import Address, NodeName
from meshfleet.node.node import Node, NodeConfig, open_node
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.seal import Sealer

KEY = b"k" * 32


def config(name: str, *seeds: Address, key: bytes = KEY) -> NodeConfig:
    return NodeConfig(
        name=NodeName(name), gossip=Address("127.0.0.1", 0), state_dir=None, fleet_key=key, seeds=seeds, host=f"h-{name}"
    )


async def see(node: Node, count: int) -> None:
    """Wait until `node` shows `count` nodes."""
    while len(node.fleet().nodes) != count:
        await node.changed(node.version())


async def counted(node: Node, name: str, at_least: int) -> None:
    while node.counters().get(name, 0) < at_least:
        await trio.lowlevel.checkpoint()


async def test_random_and_mutated_datagrams_are_counted_by_cause_and_change_nothing() -> None:
    rng = random.Random(7)
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(60):
            await see(n1, 2)
            before = [(node.name, node.presence) for node in n1.fleet().nodes]
            real = Sealer(Keyring(KEY)).seal(b"\x83" + rng.randbytes(60))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for burst in range(100):
                    for _ in range(50):
                        sock.sendto(_hostile(rng, real), n1.address)
                    await counted(n1, "datagrams_in", 50 * burst)
            counters = n1.counters()
        assert counters["drop_unsealed"] > 1_000
        assert counters.get("fault", 0) == 0
        assert [(node.name, node.presence) for node in n1.fleet().nodes] == before
        assert n2.counters().get("fault", 0) == 0


def _hostile(rng: random.Random, real: bytes) -> bytes:
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 1_450))
    damaged = bytearray(real)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged) if kind == 1 else bytes(damaged[: rng.randrange(1, len(damaged))])


async def test_authentic_nonsense_is_malformed_and_raises_nothing() -> None:
    rng = random.Random(8)
    sealer = Sealer(Keyring(KEY))
    async with open_node(config("n1")) as n1:
        with trio.fail_after(30), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(200):
                sock.sendto(sealer.seal(rng.randbytes(rng.randrange(0, 300))), n1.address)
            await counted(n1, "drop_malformed", 100)
        assert n1.counters().get("fault", 0) == 0


async def test_broken_streams_leave_no_trace_but_a_count() -> None:
    rng = random.Random(9)
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(60):
            await see(n1, 2)
            async with trio.open_nursery() as nursery:
                for i in range(200):
                    nursery.start_soon(_break_a_stream, n1.address, i % 4, rng.randbytes(200))
            assert await n2.join(n1.address) == "n1"
        assert n1.counters().get("fault", 0) == 0
        assert {node.name for node in n1.fleet().nodes} == {"n1", "n2"}


async def _break_a_stream(address: Address, kind: int, garbage: bytes) -> None:
    upgrade = (
        b"GET /mesh HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        try:
            match kind:
                case 0:
                    await stream.send_all(garbage)
                case 1:
                    await stream.send_all(upgrade + b"\x82\xff" + garbage)
                case 2:
                    await stream.send_all(upgrade.replace(b"/mesh", b"/other"))
                    await stream.receive_some()
                case _:
                    await stream.send_all(upgrade[:40])
                    await stream.send_eof()
        except trio.BrokenResourceError:
            pass  # thrown out already: so it should be


async def test_a_node_of_another_fleet_is_told_apart_and_not_let_in() -> None:
    async with open_node(config("n1")) as n1, open_node(config("x1", key=b"x" * 32)) as stranger:
        with trio.fail_after(30):
            try:
                await stranger.join(n1.address)
            except Exception as error:
                text = str(error)
        assert "fleet" in text
        assert [node.name for node in n1.fleet().nodes] == ["n1"]
