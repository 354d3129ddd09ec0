"""`meshfleet bench view`: how long a node takes to show its fleet, to one reader and to hundreds.

The node runs in a process of its own, and so do the readers of the stream. Times are what a reader sees.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio
import trio.lowlevel

from meshfleet.cli.bench_figures import share
from meshfleet.cli.bench_view_node import FIRST, Ready, Usage
from meshfleet.cli.bench_view_readers import Begun, Order, Told
from meshfleet.errors import MeshfleetError
from meshfleet.serve.limits import STREAMS_PER_CLIENT, UPDATE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

GETS = 200
UPDATES = 100
"""As many as give a p99 that is not just the worst of them."""
UPDATE_EVERY = 0.3
"""Seconds between two: longer than the stream takes them together."""
DRAIN_S = 2.0
IDLE_S = 3.0
STALLED = 50
"""Readers that stop reading, to see what each of them costs."""


class Result(msgspec.Struct, frozen=True):
    """All of it. Milliseconds, and bytes of one view."""

    agents: int
    readers: int
    fleet_p50_ms: float
    """GET /v1/fleet right after something changed: the view is made and encoded for it."""
    fleet_p99_ms: float
    unchanged_p50_ms: float
    """The same with the ETag of the newest view."""
    unchanged_p99_ms: float
    sse_fanout_p50_ms: float
    """From an agent's news until a reader of the stream has it, over all readers."""
    sse_fanout_500_p99_ms: float
    sse_update_cpu_ms: float
    """CPU time of the node for one update of all of them: the view, its encoding, and so many writes."""
    stalled_reader_kb: float
    """Memory of the node for each reader that stopped reading."""
    bytes: int


def bench(agents: int, readers: int, say: Callable[[str], None]) -> Result:
    """Measure with so many agents in the fleet and so many readers of the stream."""
    say(f"starting a fleet of {agents} agents")
    command = [sys.executable, "-m", "meshfleet.cli.bench_view_node", str(agents), str(readers + STALLED)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            ready = _answer(process, Ready)
            say(f"{GETS} times the whole view")
            size, changed, unchanged = _gets(ready)
            say(f"{readers} readers of the stream, {UPDATES} updates")
            delays, cpu = _fan_out(ready, readers, process)
            say(f"{STALLED} readers that stop reading")
            stalled = trio.run(_stall, ready, process)
        finally:
            process.kill()
    return Result(
        agents=agents,
        readers=readers,
        fleet_p50_ms=_ms(changed, 0.5),
        fleet_p99_ms=_ms(changed, 0.99),
        unchanged_p50_ms=_ms(unchanged, 0.5),
        unchanged_p99_ms=_ms(unchanged, 0.99),
        sse_fanout_p50_ms=_ms(delays, 0.5),
        sse_fanout_500_p99_ms=_ms(delays, 0.99),
        sse_update_cpu_ms=round(1000 * cpu, 2),
        stalled_reader_kb=round(1000 * stalled / STALLED, 1),
        bytes=size,
    )


def summary(result: Result) -> str:
    """For people."""
    return "\n".join(
        [
            f"{result.agents} agents: a view of {result.bytes:,} bytes",
            f"GET /v1/fleet   changed p50 {result.fleet_p50_ms:.2f} ms, p99 {result.fleet_p99_ms:.2f} ms;"
            f" unchanged p50 {result.unchanged_p50_ms:.2f} ms, p99 {result.unchanged_p99_ms:.2f} ms",
            f"stream          news at {result.readers} readers: p50 {result.sse_fanout_p50_ms:.1f} ms,"
            f" p99 {result.sse_fanout_500_p99_ms:.1f} ms; {result.sse_update_cpu_ms:.1f} ms of CPU an update",
            f"stalled reader  {result.stalled_reader_kb:.0f} kB of the node's memory",
        ]
    )


_T = TypeVar("_T")


def _answer(process: subprocess.Popen[bytes], kind: type[_T]) -> _T:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise MeshfleetError("a process of the benchmark ended before its time; its error is above.")
    return msgspec.json.decode(line, type=kind)


def _gets(ready: Ready) -> tuple[int, list[float], list[float]]:
    """Bytes of a view, and sorted seconds of GETs after a change and without one."""
    auth = {"Authorization": f"Bearer {ready.tokens[-1]}"}
    changed, unchanged, size = [], [], 0
    with closing(HTTPConnection(urlsplit(ready.url).netloc)) as connection:
        for _ in range(GETS):
            _touch(connection)
            began = time.perf_counter()
            connection.request("GET", "/v1/fleet", headers=auth)
            response = connection.getresponse()
            size = len(response.read())
            changed.append(time.perf_counter() - began)
            assert response.status == 200, response.status
            tag = response.headers["ETag"]
            began = time.perf_counter()
            connection.request("GET", "/v1/fleet", headers={**auth, "If-None-Match": tag})
            response = connection.getresponse()
            response.read()
            if response.status == 304:
                unchanged.append(time.perf_counter() - began)
    return size, sorted(changed), sorted(unchanged)


def _touch(connection: HTTPConnection) -> float:
    """News of one agent. Its note says when, and so does what comes back."""
    now = round(time.monotonic(), 6)
    state = {
        "agent_id": FIRST,
        "timestamp": "",
        "status": "tool",
        "runtime": "bench",
        "note": f"{now:.6f}",
    }
    body = msgspec.json.encode(state)
    connection.request("POST", f"/v1/agents/{FIRST}/state", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    assert response.status == 202, response.status
    return now


def _fan_out(ready: Ready, readers: int, node: subprocess.Popen[bytes]) -> tuple[list[float], float]:
    """Sorted seconds from news to each reader; and CPU seconds of the node for an update, beyond what it takes
    anyway."""
    idle = _usage(node).cpu_s
    time.sleep(IDLE_S)
    idle = (_usage(node).cpu_s - idle) / IDLE_S
    command = [sys.executable, "-m", "meshfleet.cli.bench_view_readers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            _order(process, Order(ready.url, ready.tokens, readers))
            _answer(process, Begun)
            began, before, news = time.monotonic(), _usage(node).cpu_s, list[float]()
            with closing(HTTPConnection(urlsplit(ready.url).netloc)) as connection:
                for _ in range(UPDATES):
                    time.sleep(UPDATE_EVERY)
                    news.append(_touch(connection))
            time.sleep(DRAIN_S)
            busy = _usage(node).cpu_s - before - idle * (time.monotonic() - began)
            _order(process, None)
            told = _answer(process, Told)
        finally:
            process.kill()
    delays = [_delay(made, of_one) for of_one in told.readers for made in news]
    missing = delays.count(None)
    if missing:
        raise MeshfleetError(f"{missing} of {readers * UPDATES} updates did not arrive within {DRAIN_S:.0f} s.")
    return sorted(delay for delay in delays if delay is not None), max(0.0, busy) / UPDATES


def _delay(made: float, told: tuple[tuple[float, float], ...]) -> float | None:
    """How long one reader did without that news, or newer one of the same agent, which takes its place."""
    return next((at - made for note, at in told if note >= made), None)


async def _stream(ready: Ready, number: int) -> trio.SocketStream:
    place = urlsplit(ready.url)
    stream = await trio.open_tcp_stream(place.hostname or "", place.port or 0)
    token = ready.tokens[number // STREAMS_PER_CLIENT]
    head = f"GET /v1/fleet/events HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    await stream.send_all(head.encode())
    return stream


async def _stall(ready: Ready, process: subprocess.Popen[bytes]) -> float:
    """MB by which the node grew for readers that take nothing."""
    before = (await trio.to_thread.run_sync(_usage, process)).rss_mb
    streams = [await _stream(ready, number) for number in range(STALLED)]
    with closing(HTTPConnection(urlsplit(ready.url).netloc)) as connection:
        for _ in range(UPDATES):
            await trio.sleep(UPDATE_SECONDS)
            await trio.to_thread.run_sync(_touch, connection)
    grown = (await trio.to_thread.run_sync(_usage, process)).rss_mb - before
    for stream in streams:
        await stream.aclose()
    return max(0.0, grown)


def _usage(process: subprocess.Popen[bytes]) -> Usage:
    _order(process, None)
    return _answer(process, Usage)


def _order(process: subprocess.Popen[bytes], order: msgspec.Struct | None) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()


def _ms(ordered: list[float], part: float) -> float:
    return round(1000 * share(ordered, part), 3)
