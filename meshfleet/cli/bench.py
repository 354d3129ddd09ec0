"""`meshfleet bench mesh`: what the mesh costs and how fast it is, measured on real node processes over loopback.

It can't flatter: bytes are counted at the sockets, every delivery is checked against what was published, and the run
fails when a node was ever called anything but fresh.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from math import fsum
from statistics import median, median_high
from typing import TYPE_CHECKING, TypeVar

import msgspec
import trio

from meshfleet.cli.bench_figures import Crash, Idle, Load, Result, Rss, Unsealed, share
from meshfleet.cli.bench_node import Look, Noticed, Order, Seen
from meshfleet.cli.bench_serf import serf
from meshfleet.cli.bench_serf import summary as of_serf
from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

JOIN = 120.0
"""Seconds in which all nodes must have found each other. A busier machine is none to measure on."""
SETTLE = 10.0
"""Seconds between joining and measuring: the first push-pulls are over, streams stand."""
DRAIN = 12.0
"""Seconds after the last update in which it may still arrive. As long as for the figures of memberlist."""


class Started(msgspec.Struct, frozen=True):
    """A benchmark node listens."""

    address: str


class Joined(msgspec.Struct, frozen=True):
    """A benchmark node sees that many fresh nodes."""

    nodes: int


NOTICE = 30.0
"""Seconds in which the others must have said that a killed node is down: it takes them milliseconds."""


Answer = TypeVar("Answer")


class _Process:
    """One benchmark node: orders in, answers out."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = b""

    async def ask(self, order: Order, kind: type[Answer]) -> Answer:
        """Give an order and wait for its answer."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
        return await self.read(kind)

    def kill(self) -> None:
        """SIGKILL: no goodbye; the kernel closes its sockets."""
        self._process.kill()

    async def read(self, kind: type[Answer]) -> Answer:
        """The next answer."""
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            chunk = await self._process.stdout.receive_some()
            if not chunk:
                raise MeshfleetError("a benchmark node ended before its time; its error is above.")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return msgspec.json.decode(line, type=kind)


@asynccontextmanager
async def _nodes(count: int, *, serving: bool, sealed: bool) -> AsyncIterator[list[_Process]]:
    """`count` running node processes that know the first one's address."""
    environment = {**os.environ, "MESHFLEET_BENCH_FLEET": secrets.token_hex(32)}
    processes: list[trio.Process] = []
    seed = ""
    try:
        nodes: list[_Process] = []
        for i in range(count):
            flags = ["serving"] * serving + ["unsealed"] * (not sealed)
            command = [sys.executable, "-m", "meshfleet.cli.bench_node", f"b{i:03}", seed, *flags]
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a Ctrl-C is for the benchmark alone, which ends them
            )
            processes.append(process)
            nodes.append(_Process(process))
            if i == 0:
                seed = (await nodes[0].read(Started)).address
        for node in nodes[1:]:
            await node.read(Started)
        yield nodes
    finally:
        with trio.CancelScope(shield=True):
            for process in processes:
                process.kill()
            for process in processes:
                await process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        await pipe.aclose()


async def _all(nodes: list[_Process], order: Order, kind: type[Answer]) -> list[Answer]:
    """One order to all, side by side."""
    answers: dict[int, Answer] = {}

    async def ask(i: int, node: _Process) -> None:
        answers[i] = await node.ask(order, kind)

    async with trio.open_nursery() as nursery:
        for i, node in enumerate(nodes):
            nursery.start_soon(ask, i, node)
    return [answers[i] for i in range(len(nodes))]


async def mesh(
    nodes: int,
    *,
    update_every: float,
    seconds: float,
    payload: int,
    runs: int = 1,
    beside_unsealed: bool = True,
    beside_serf: bool = False,
    say: Callable[[str], None],
) -> Result:
    """Run the benchmark `runs` times: medians. `say` is told how far it is. What runs beside does so after each run of
    the mesh, not after all of them, for what else the machine does changes with time."""
    results: list[Result] = []
    once = partial(_once, nodes, update_every=update_every, seconds=seconds, payload=payload, say=say)
    for _ in range(runs):
        result = await once(sealed=True)
        if beside_unsealed:
            result = msgspec.structs.replace(result, unsealed=_beside(result, await once(sealed=False)))
        if beside_serf:
            peer = await serf(nodes, update_every=update_every, seconds=seconds, payload=payload, drain=DRAIN, say=say)
            result = msgspec.structs.replace(result, peer=peer)
        results.append(result)
    medians = msgspec.convert(_medians([msgspec.to_builtins(result) for result in results]), Result)
    return msgspec.structs.replace(medians, not_fresh=max(result.not_fresh for result in results))


def _beside(sealed: Result, unsealed: Result) -> Unsealed:
    more = 100 * (sealed.load.cpu_pct / unsealed.load.cpu_pct - 1) if unsealed.load.cpu_pct else 0.0
    return Unsealed(unsealed.idle.cpu_pct, unsealed.load.cpu_pct, round(more, 1))


def _medians(of: list[object]) -> object:
    """The same shape, with the median of each number."""
    first = of[0]
    if isinstance(first, dict):
        return {key: _medians([each[key] for each in of if isinstance(each, dict)]) for key in first}
    numbers = [each for each in of if isinstance(each, int | float)]
    if not numbers:
        return first  # a word, or nothing
    return median_high(numbers) if isinstance(first, int) else round(median(numbers), 4)


async def _once(
    nodes: int, *, update_every: float, seconds: float, payload: int, sealed: bool, say: Callable[[str], None]
) -> Result:
    """Join, idle, load, drain."""
    say(f"starting {nodes} {'' if sealed else 'unsealed '}node processes")
    async with _nodes(nodes, serving=True, sealed=sealed) as running:
        began = time.monotonic()
        with trio.move_on_after(JOIN) as joining:
            await _all(running, Order("wait", nodes=nodes), Joined)
        if joining.cancelled_caught:
            raise MeshfleetError(
                f"{nodes} nodes did not all see each other within {JOIN:.0f} s. The machine is too busy for so many:"
                f" end what else runs on it, or take fewer (--nodes {max(2, nodes // 2)})."
            )
        join_s = time.monotonic() - began
        say(f"joined; settling for {SETTLE:.0f} s")
        await trio.sleep(SETTLE)
        say(f"idle for {seconds:.0f} s")
        at_rest = await _all(running, Order("look"), Look)
        await trio.sleep(seconds)
        rested = await _all(running, Order("look"), Look)
        say(f"load for {seconds:.0f} s, then {DRAIN:.0f} s to drain")
        saw = await _all(
            running, Order("load", seconds=seconds, every=update_every, payload=payload, drain=DRAIN), Seen
        )
        loaded = await _all(running, Order("look"), Look)
        say("one node is killed")
        crash, not_fresh = await _crash(running, loaded)
    load = _load(rested, loaded, saw, seconds=seconds, least=(nodes - 1) * payload / update_every)
    memory = [look.rss_mb for look in loaded]
    idle = _idle(at_rest, rested, seconds)
    rss = Rss(round(median(memory), 1), round(max(memory), 1))
    return Result(nodes, round(join_s, 2), idle, load, rss, not_fresh, crash)


async def _crash(running: list[_Process], before: list[Look]) -> tuple[Crash, int]:
    """Kill the last one: how soon the others say so; and how often anybody that ran was called anything but fresh,
    from the beginning."""
    *others, victim = running
    noticed: dict[int, Noticed] = {}

    async def ask(i: int) -> None:
        noticed[i] = await others[i].ask(Order("notice", name=f"b{len(others):03}"), Noticed)

    killed_at = time.monotonic()
    victim.kill()
    with trio.move_on_after(NOTICE):
        async with trio.open_nursery() as nursery:
            for i in range(len(others)):
                nursery.start_soon(ask, i)
    late = sorted(each.at - killed_at for each in noticed.values())
    counts = [noticed[i].not_fresh if i in noticed else look.not_fresh for i, look in enumerate(before)]
    return Crash(share(late, 0.5), share(late, 0.99), share(late, 1.0), len(others), len(late)), sum(counts)


def _idle(before: list[Look], after: list[Look], seconds: float) -> Idle:
    return Idle(
        bytes_per_s=round(median(b.bytes_out - a.bytes_out for a, b in zip(before, after, strict=True)) / seconds, 1),
        datagrams_per_s=round(
            median(b.datagrams_out - a.datagrams_out for a, b in zip(before, after, strict=True)) / seconds, 2
        ),
        cpu_pct=round(100 * median(b.cpu_s - a.cpu_s for a, b in zip(before, after, strict=True)) / seconds, 3),
    )


def _load(before: list[Look], after: list[Look], saw: list[Seen], *, seconds: float, least: float) -> Load:
    published = sum(s.published for s in saw)
    delays = sorted(delay for s in saw for delay in s.delays)
    ages = sorted(age for s in saw for age in s.ages)
    due = published * (len(saw) - 1)
    sent = median(s.bytes_under_load for s in saw) / seconds
    datagrams = median(s.datagrams_under_load for s in saw) / seconds
    # A newer snapshot replaces an older one on the way: what was overtaken never needs to arrive, and counts as lost
    # here.
    copies = fsum(b.snapshots_in - a.snapshots_in for a, b in zip(before, after, strict=True)) / max(1, len(delays))
    return Load(
        delivered_pct=round(100 * len(delays) / due, 3),
        within_2s_pct=round(100 * sum(1 for d in delays if d <= 2.0) / due, 3),
        p50_s=share(delays, 0.5),
        p99_s=share(delays, 0.99),
        max_s=share(delays, 1.0),
        age_shown_p50_s=share(ages, 0.5),
        age_shown_p99_s=share(ages, 0.99),
        age_shown_max_s=share(ages, 1.0),
        copies_per_snapshot=round(copies, 3),
        bytes_per_s=round(sent, 1),
        datagrams_per_s=round(datagrams, 2),
        bytes_over_minimum=round(sent / least, 3),
        cpu_pct=round(100 * median(s.cpu_under_load_s for s in saw) / seconds, 3),
    )


def summary(result: Result) -> str:
    """For people."""
    load, idle, unsealed, crash = result.load, result.idle, result.unsealed, result.crash
    beside = unsealed and (
        f"trust  {unsealed.sealed_costs_pct:+.0f} % CPU under load: without seals, TLS and signatures"
        f" {unsealed.load_cpu_pct:.2f} %, idle {unsealed.idle_cpu_pct:.2f} %"
    )
    return "\n".join(
        [
            f"{result.nodes} nodes joined in {result.join_s:.2f} s",
            f"idle   {idle.bytes_per_s:,.0f} bytes/s, {idle.datagrams_per_s:.1f} datagrams/s, {idle.cpu_pct:.2f} % CPU",
            f"load   {load.bytes_per_s:,.0f} bytes/s, {load.bytes_over_minimum:.1f} times the least possible,"
            f" {load.cpu_pct:.2f} % CPU",
            f"       {load.delivered_pct:.2f} % delivered, {load.within_2s_pct:.2f} % within 2 s,"
            f" {load.copies_per_snapshot:.2f} copies",
            *([beside] if beside else []),
            f"delay  p50 {load.p50_s:.3f} s, p99 {load.p99_s:.3f} s, max {load.max_s:.3f} s",
            f"age    p50 {load.age_shown_p50_s:.2f} s, p99 {load.age_shown_p99_s:.2f} s,"
            f" max {load.age_shown_max_s:.2f} s",
            f"crash  p50 {crash.p50_s:.3f} s, p99 {crash.p99_s:.3f} s: {crash.seen} of {crash.due} said down",
            f"memory p50 {result.rss_mb.p50:.1f} MB, max {result.rss_mb.max:.1f} MB",
            f"called anything but fresh: {result.not_fresh} times (figures are per node)",
            *([of_serf(result.peer)] if result.peer else []),
        ]
    )
