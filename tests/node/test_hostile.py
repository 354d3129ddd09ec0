"""What strangers send: counted, dropped, and of no consequence."""

from __future__ import annotations

import logging
import os
import random
import resource
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.errors import JoinError
from meshfleet.fleet.presence import Presence
from meshfleet.node.links import STRANGERS
from meshfleet.node.opening import open_node
from meshfleet.node.trust import seeded
from meshfleet.wire.ring import keyring_of
from meshfleet.wire.seal import Sealer
from tests.node.meshing import FLEET, config, counted, see

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.node.node import Node

_IDENTITY = seeded(FLEET, "n1", 0.0)
RING = keyring_of(_IDENTITY.ring, _IDENTITY.fleet)


async def test_100_000_hostile_datagrams_are_counted_by_cause_and_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rng = random.Random(7)
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(120):
            await see(n1, 2)
            real = Sealer(RING).seal(b"\x83" + rng.randbytes(60))
            await _flood(n1, rng, real, 20_000)
            resident = _rss_bytes()
            await _flood(n1, rng, real, 80_000)
            grown = _rss_bytes() - resident
            assert await n2.join(n1.address) == "n1"
        counters = n1.counters()
        assert counters["drop_unsealed"] + counters["drop_too_big"] > 90_000
        assert counters.get("fault", 0) == n2.counters().get("fault", 0) == 0
        assert grown < 8_000_000
        assert {node.name: node.presence for node in n1.fleet().nodes} == {"n1": Presence.FRESH, "n2": Presence.FRESH}
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _flood(node: Node, rng: random.Random, real: bytes, count: int) -> None:
    """Throw `count` datagrams, in bursts that the kernel's buffer holds, so that each is really looked at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(0, count, 50):
            before = node.counters().get("datagrams_in", 0)
            for _ in range(50):
                sock.sendto(_hostile(rng, real), node.address)
            await counted(node, "datagrams_in", before + 45)


def _rss_bytes() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes, and the peak, which must not grow either


def _hostile(rng: random.Random, real: bytes) -> bytes:
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 1_450))
    damaged = bytearray(real)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged) if kind == 1 else bytes(damaged[: rng.randrange(1, len(damaged))])


async def test_authentic_nonsense_is_malformed_and_raises_nothing() -> None:
    rng = random.Random(8)
    sealer = Sealer(RING)
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
                limit = trio.CapacityLimiter(100)
                for i in range(1_000):
                    nursery.start_soon(_break_a_stream, n1.address, i % 4, rng.randbytes(200), limit)
            assert await n2.join(n1.address) == "n1"
            await counted(n1, "stream_unproven", 1_000)
        assert n1.counters().get("fault", 0) == 0
        assert {node.name for node in n1.fleet().nodes} == {"n1", "n2"}


async def test_a_crowd_that_says_nothing_keeps_no_newcomer_out() -> None:
    async with open_node(config("n1")) as n1, AsyncExitStack() as crowd:
        with trio.fail_after(60):
            for _ in range(STRANGERS + 40):
                await crowd.enter_async_context(await trio.open_tcp_stream(n1.address.host, n1.address.port))
            await counted(n1, "crowded_out", 1)
            async with open_node(config("n2", host="127.0.0.2")) as n2:
                assert await n2.join(n1.address) == "n1"
                await see(n1, 2)
        assert n1.counters().get("refused_stream", 0) == 0


async def _break_a_stream(address: Address, kind: int, garbage: bytes, limit: trio.CapacityLimiter) -> None:
    upgrade = (
        b"GET /mesh HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with limit, await trio.open_tcp_stream(address.host, address.port) as stream:
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
    async with open_node(config("n1")) as n1, open_node(config("x1", fleet=b"x" * 32)) as stranger:
        with trio.fail_after(30):
            with pytest.raises(JoinError, match="fleet"):
                await stranger.join(n1.address)
        assert [node.name for node in n1.fleet().nodes] == ["n1"]
