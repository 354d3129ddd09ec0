"""The same load on HashiCorp's serf, to compare with: `meshfleet bench mesh --peer serf`.

An agent for each node, on loopback, with serf's own `local` timing. Each change is a user event, which serf gives to
every agent once, or not at all: it keeps no state that could repair what was lost. Bytes are those that memberlist, on
which serf stands, says it sent, as statsd lines; CPU and memory are the system's word.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, cast

import trio

from meshfleet.cli.bench_figures import Peer, share
from meshfleet.cli.memory import taken
from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

EVENT = "state"
EVENT_LIMIT = 512
"""Bytes of an event's name and payload that serf takes as it comes."""
START = 60.0
"""Seconds in which all agents must answer and see each other."""
LOOK_EVERY = 0.1
COUNTED = (b"memberlist.udp.sent", b"memberlist.tcp.sent")


class _Rpc:
    """A connection to an agent: MessagePack, one head before each body, answers in order of the questions."""

    def __init__(self, stream: trio.SocketStream) -> None:
        import msgpack

        self._stream = stream
        self._pack = msgpack.packb
        self._unpacker = msgpack.Unpacker(raw=True)
        self._seq = itertools.count()

    async def ask(self, command: str, **body: object) -> None:
        """Raises MeshfleetError where the agent says no."""
        data: bytes = self._pack({"Command": command, "Seq": next(self._seq)})
        await self._stream.send_all(data + (self._pack(body) if body else b""))
        await self.head()

    async def head(self) -> None:
        """What comes before an event, or is all there is to an answer."""
        error = (await self.read()).get(b"Error")
        if error:
            raise MeshfleetError(f"serf refused what it was asked: {cast('bytes', error).decode(errors='replace')}")

    async def read(self) -> dict[bytes, object]:
        """The next object."""
        while True:
            for item in self._unpacker:
                return cast("dict[bytes, object]", item)
            chunk = await self._stream.receive_some()
            if not chunk:
                raise MeshfleetError("an agent of serf ended before its time.")
            self._unpacker.feed(chunk)


class _Agent:
    """One `serf agent`."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], rpc: int) -> None:
        self.number = number
        self.process = process
        self._rpc = rpc

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[_Rpc]:
        """As soon as it answers."""
        stream = None
        while stream is None:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", self._rpc)
            except OSError:
                await trio.sleep(LOOK_EVERY)
        async with stream:
            rpc = _Rpc(stream)
            await rpc.ask("handshake", Version=1)
            yield rpc

    async def sees(self, nodes: int) -> None:
        """Until it sees so many members alive."""
        async with self.connected() as rpc:
            alive = 0
            while alive < nodes:
                await trio.sleep(LOOK_EVERY)
                await rpc.ask("members")
                members = cast("list[dict[bytes, object]]", (await rpc.read())[b"Members"])
                alive = sum(member[b"Status"] == b"alive" for member in members)

    async def listen(self, heard: Callable[[int, bytes], None], *, task_status: trio.TaskStatus[None]) -> None:
        """Until cancelled: the payload of every event that comes."""
        async with self.connected() as rpc:
            await rpc.ask("stream", Type=f"user:{EVENT}")
            task_status.started()
            while True:
                await rpc.head()
                heard(self.number, cast("bytes", (await rpc.read())[b"Payload"]))


@contextmanager
def _running(command: str, nodes: int, statsd: int) -> Iterator[list[_Agent]]:
    """So many agents, all of which know the first one's address."""
    with tempfile.TemporaryDirectory(prefix="meshfleet-serf-") as folder, ExitStack() as stack:
        settings = Path(folder) / "settings.json"
        settings.write_text(json.dumps({"statsd_addr": f"127.0.0.1:{statsd}"}))
        ports = _free_ports(2 * nodes)
        agents = []
        for i in range(nodes):
            bind, rpc = ports[2 * i : 2 * i + 2]
            flags = [f"-node=b{i:03}", f"-bind=127.0.0.1:{bind}", f"-rpc-addr=127.0.0.1:{rpc}", "-profile=local"]
            flags += [f"-config-file={settings}", "-log-level=err", f"-retry-join=127.0.0.1:{ports[0]}"]
            process = stack.enter_context(subprocess.Popen([command, "agent", *flags], stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
            agents.append(_Agent(i, process, rpc))
        yield agents


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, a moment ago: serf can't be given port 0 and asked."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class _Bytes:
    """What all agents say they sent, by statsd lines: `serf.memberlist.udp.sent:412.000000|c`."""

    def __init__(self) -> None:
        self.sent = 0.0

    async def count(self, sock: trio.socket.SocketType) -> None:
        """Until cancelled."""
        while True:
            for line in (await sock.recv(65_536)).splitlines():
                name, _, value = line.partition(b":")
                if name.endswith(COUNTED):
                    self.sent += float(value.partition(b"|")[0])


class _Load:
    """Every agent tells an event of `payload` bytes each `every` seconds, from a moment of its own on. They are random:
    serf compresses what it sends, and states of agents are not as empty as what a benchmark makes up."""

    def __init__(self, every: float, seconds: float, payload: int) -> None:
        self._every = every
        self._seconds = seconds
        self._payload = payload
        self.told = 0
        self.delays: list[float] = []

    def heard(self, by: int, payload: bytes) -> None:
        """What arrived at another agent."""
        who, told_at = payload.split(b" ", 2)[:2]
        if int(who) != by:
            self.delays.append(time.monotonic() - float(told_at))

    async def run(self, agents: list[_Agent]) -> None:
        """Until `seconds` are over."""
        async with trio.open_nursery() as nursery:
            for agent in agents:
                nursery.start_soon(self._tell, agent, self._every * agent.number / len(agents))

    async def _tell(self, agent: _Agent, first: float) -> None:
        begun = trio.current_time()
        async with agent.connected() as rpc:
            due = begun + first
            while due < begun + self._seconds:
                await trio.sleep_until(due)
                said = f"{agent.number} {time.monotonic():.6f} ".encode()
                self.told += 1
                await rpc.ask("event", Name=EVENT, Payload=said + os.urandom(self._payload - len(said)), Coalesce=False)
                due += self._every
        await trio.sleep_until(begun + self._seconds)


class _Phase(NamedTuple):
    """What a phase cost each agent: bytes, and CPU seconds."""

    sent: float
    cpu_s: float


async def _phase(agents: list[_Agent], counted: _Bytes, what: Callable[[], Awaitable[None]]) -> _Phase:
    sent, before = counted.sent, [taken(agent.process.pid) for agent in agents]
    await what()
    after = [taken(agent.process.pid) for agent in agents]
    cpu = median(b.cpu_s - a.cpu_s for a, b in zip(before, after, strict=True))
    return _Phase((counted.sent - sent) / len(agents), cpu)


async def serf(
    nodes: int, *, update_every: float, seconds: float, payload: int, drain: float, say: Callable[[str], None]
) -> Peer:
    """Join, idle, load, drain. Raises MeshfleetError where serf is not there, or can't take the load."""
    if find_spec("msgpack") is None:
        raise MeshfleetError("serf is asked in MessagePack: pip install 'meshfleet[bench]'")
    command = shutil.which("serf")
    if command is None:
        raise MeshfleetError("serf is not on the PATH. Debian has it: apt-get install serf")
    if len(EVENT) + payload > EVENT_LIMIT:
        raise MeshfleetError(f"serf takes {EVENT_LIMIT - len(EVENT)} bytes in an event; --payload {payload} is more.")
    told = await trio.run_process([command, "version"], capture_stdout=True)
    version = told.stdout.decode().split("\n")[0]
    say(f"starting {nodes} agents of {version}")
    load, counted = _Load(update_every, seconds, payload), _Bytes()
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        with _running(command, nodes, sock.getsockname()[1]) as agents:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(counted.count, sock)
                await _joined(agents)
                for agent in agents:
                    await nursery.start(agent.listen, load.heard)
                say(f"idle for {seconds:.0f} s")
                idle = await _phase(agents, counted, partial(trio.sleep, seconds))
                say(f"load for {seconds:.0f} s, then {drain:.0f} s to drain")
                loaded = await _phase(agents, counted, partial(load.run, agents))
                await trio.sleep(drain)
                memory = median(taken(agent.process.pid).rss_mb for agent in agents)
                nursery.cancel_scope.cancel()
    delays, due = sorted(load.delays), load.told * (nodes - 1)
    return Peer(
        version=version,
        nodes=nodes,
        idle_bytes_per_s=round(idle.sent / seconds, 1),
        idle_cpu_pct=round(100 * idle.cpu_s / seconds, 3),
        delivered_pct=round(100 * len(delays) / due, 3),
        within_2s_pct=round(100 * sum(delay <= 2.0 for delay in delays) / due, 3),
        p50_s=share(delays, 0.5),
        p99_s=share(delays, 0.99),
        max_s=share(delays, 1.0),
        bytes_per_s=round(loaded.sent / seconds, 1),
        bytes_over_minimum=round(loaded.sent / seconds / ((nodes - 1) * payload / update_every), 3),
        cpu_pct=round(100 * loaded.cpu_s / seconds, 3),
        rss_p50_mb=round(memory, 1),
    )


async def _joined(agents: list[_Agent]) -> None:
    with trio.move_on_after(START) as joining:
        async with trio.open_nursery() as nursery:
            for agent in agents:
                nursery.start_soon(agent.sees, len(agents))
    if joining.cancelled_caught:
        raise MeshfleetError(
            f"{len(agents)} agents of serf did not all see each other within {START:.0f} s: the machine is too busy, or"
            " something keeps them apart. `serf agent` by hand tells why."
        )


def summary(peer: Peer) -> str:
    """For people, as lines below those of the mesh."""
    return "\n".join(
        [
            f"beside {peer.version}, {peer.nodes} agents, each change as a user event:",
            f"idle   {peer.idle_bytes_per_s:,.0f} bytes/s, {peer.idle_cpu_pct:.2f} % CPU",
            f"load   {peer.bytes_per_s:,.0f} bytes/s, {peer.bytes_over_minimum:.1f} times the least possible,"
            f" {peer.cpu_pct:.2f} % CPU",
            f"       {peer.delivered_pct:.2f} % delivered, {peer.within_2s_pct:.2f} % within 2 s",
            f"delay  p50 {peer.p50_s:.3f} s, p99 {peer.p99_s:.3f} s, max {peer.max_s:.3f} s",
            f"memory p50 {peer.rss_p50_mb:.1f} MB",
        ]
    )
