"""One node of a benchmark: a real process that serves as `up` does, publishes at a given pace, and says what it saw.

Speaks JSON lines with `meshfleet bench mesh`: orders on standard input, answers on standard output.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.cli.bench_unsealed import Unsealed
from meshfleet.cli.memory import keep_what_is_loaded, rss_mb
from meshfleet.fleet.names import Address, NodeName, parse_address
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import AgentState, Status
from meshfleet.gossip.events import Arrived, Event, Judged
from meshfleet.node.config import NodeConfig
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.node.trust import Trust, seeded
from meshfleet.serve.server import serve
from meshfleet.wire.codec import decode_state, encode_state

if TYPE_CHECKING:
    from meshfleet.node.node import Node

SAMPLE_EVERY = 0.1
"""Seconds between two looks at how old the states are that this node would show."""


class Order(msgspec.Struct, frozen=True):
    """What the benchmark asks: `wait` for a number of nodes, `load` for some seconds, `look` at figures, `notice` the
    death of a node by its name."""

    do: str
    name: str = ""
    nodes: int = 0
    seconds: float = 0.0
    every: float = 2.0
    payload: int = 400
    drain: float = 0.0


class Look(msgspec.Struct, frozen=True):
    """One node's figures at one moment."""

    bytes_out: int
    datagrams_out: int
    cpu_s: float
    rss_mb: float
    not_fresh: int
    snapshots_in: int
    arrived: int


class Seen(msgspec.Struct, frozen=True):
    """What one node saw of a load phase. Delays and ages in seconds."""

    published: int
    delays: list[float]
    ages: list[float]
    bytes_under_load: int
    datagrams_under_load: int
    cpu_under_load_s: float


class Noticed(msgspec.Struct, frozen=True):
    """When a node said `down` of another, on the monotonic clock of the machine; and how often it called any but that
    one anything but fresh."""

    at: float
    not_fresh: int


class Bench:
    """Counts what arrives, and when."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.not_fresh = Counter[str]()
        """Of whom -> how often."""
        self.down_at: dict[str, float] = {}
        self.arrived = 0
        self.loading = False
        self.delays: list[float] = []
        self.ages: list[float] = []
        self.newest: dict[str, float] = {}
        self.published = 0
        node.watch(self._event)

    def _event(self, event: Event) -> None:
        if isinstance(event, Judged) and event.verdict.presence is not Presence.FRESH:
            self.not_fresh[event.name] += 1
            if event.verdict.presence is Presence.DOWN:
                self.down_at.setdefault(event.name, time.monotonic())
        if isinstance(event, Arrived) and event.snapshot.body:
            self.arrived += 1
            if self.loading and (said := decode_state(event.snapshot.body).note):
                self._saw(event.snapshot.agent, float(said))

    def _saw(self, agent: str, published_at: float) -> None:
        # CLOCK_MONOTONIC is one clock for all processes of a machine, on Linux and macOS alike.
        self.delays.append(time.monotonic() - published_at)
        self.newest[agent] = max(published_at, self.newest.get(agent, 0.0))

    def look(self) -> Look:
        """Figures so far."""
        counters = self.node.counters()
        return Look(
            bytes_out=counters.get("udp_bytes_out", 0) + counters.get("stream_bytes_out", 0),
            datagrams_out=counters.get("datagrams_out", 0),
            cpu_s=time.process_time(),
            rss_mb=rss_mb(),
            not_fresh=self.not_fresh.total(),
            snapshots_in=counters.get("snapshots_in", 0),
            arrived=self.arrived,
        )

    async def load(self, order: Order) -> Seen:
        """Publish for some seconds, drain, and tell what was seen."""
        self.delays, self.ages, self.newest, self.published, self.loading = [], [], {}, 0, True
        before = self.look()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sample)
            await self._publish(order)
            nursery.cancel_scope.cancel()
        after = self.look()
        await trio.sleep(order.drain)
        self.loading = False
        return Seen(
            self.published,
            self.delays,
            self.ages,
            after.bytes_out - before.bytes_out,
            after.datagrams_out - before.datagrams_out,
            after.cpu_s - before.cpu_s,
        )

    async def notice(self, name: str) -> Noticed:
        """Wait until this node says `down` of that one."""
        while name not in self.down_at:
            await self.node.changed(self.node.version())
        return Noticed(self.down_at[name], self.not_fresh.total() - self.not_fresh[name])

    async def _publish(self, order: Order) -> None:
        rng = random.Random(self.node.name)
        end = trio.current_time() + order.seconds
        state = _state(self.node.name, order.payload, rng)
        await trio.sleep(rng.uniform(0, order.every))
        while trio.current_time() < end:
            self.node.publish(msgspec.structs.replace(state, note=_stamp()))
            self.published += 1
            await trio.sleep(min(max(0.0, end - trio.current_time()), order.every * rng.uniform(0.9, 1.1)))

    async def _sample(self) -> None:
        while True:
            await trio.sleep(SAMPLE_EVERY)
            now = time.monotonic()
            self.ages += [now - published_at for published_at in self.newest.values()]


def _state(name: str, payload: int, rng: random.Random) -> AgentState:
    """A state of `payload` bytes encoded. Its note says when it was published."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    state = AgentState(agent_id=f"{name}/a0", timestamp=now, status=Status.WORKING, runtime="bench", note=_stamp())
    missing = max(0, payload - len(encode_state(state)))
    parts = [rng.randbytes(80).hex()[:150] for _ in range(missing // 150 + 1)]
    filler = {f"{i}": part for i, part in enumerate(parts)}
    while missing and len(encode_state(msgspec.structs.replace(state, sources=filler))) > payload:
        last = max(filler, key=int)
        filler[last] = filler[last][:-1]
        if not filler[last]:
            del filler[last]
    return msgspec.structs.replace(state, sources=filler)


def _stamp() -> str:
    return f"{time.monotonic():017.6f}"


async def _main(name: str, fleet: bytes, seed: str | None, *, serving: bool, sealed: bool) -> None:
    seeds = (parse_address(seed),) if seed else ()
    config = NodeConfig(
        name=NodeName(name),
        gossip=Address("127.0.0.1", 0),
        state_dir=None,
        identity=seeded(fleet, name, time.time()),
        seeds=seeds,
        host=f"host-{name}",
        version="bench",
    )
    async with open_node(config, trusting=Trust if sealed else Unsealed) as node, trio.open_nursery() as nursery:
        if serving:
            base_url: str = await nursery.start(
                serve, node, Readers(node.keyring, None, time.time), Address("127.0.0.1", 0)
            )
            node.advertise(base_url)
        bench = Bench(node)
        keep_what_is_loaded()  # as `meshfleet up` does
        _say({"address": str(node.address)})
        stdin = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
        buffer = b""
        while chunk := await stdin.receive_some():
            buffer += chunk
            while b"\n" in buffer:
                line, buffer = buffer.split(b"\n", 1)
                await _obey(msgspec.json.decode(line, type=Order), bench)
        nursery.cancel_scope.cancel()


async def _obey(order: Order, bench: Bench) -> None:
    match order.do:
        case "wait":
            fresh = 0
            while fresh < order.nodes:
                view = bench.node.fleet()
                fresh = sum(1 for node in view.nodes if node.presence is Presence.FRESH)
                if fresh < order.nodes:
                    await bench.node.changed(view.version)
            _say({"nodes": fresh})
        case "load":
            _say(await bench.load(order))
        case "look":
            _say(bench.look())
        case "notice":
            _say(await bench.notice(order.name))


def _say(answer: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    fleet = bytes.fromhex(os.environ["MESHFLEET_BENCH_FLEET"])
    flags = sys.argv[3:]
    run = partial(_main, serving="serving" in flags, sealed="unsealed" not in flags)
    trio.run(run, sys.argv[1], fleet, sys.argv[2] or None)
