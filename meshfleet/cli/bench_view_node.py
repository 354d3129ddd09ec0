"""What `meshfleet bench view` measures: a process with a fleet of many agents, of which one node is asked over HTTP."""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.cli.memory import keep_what_is_loaded, rss_mb
from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, RateLimit, Status
from meshfleet.node.config import NodeConfig
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.node.trust import seeded
from meshfleet.node.viewing import rfc3339
from meshfleet.serve.limits import STREAMS_PER_CLIENT
from meshfleet.serve.server import serve

if TYPE_CHECKING:
    from meshfleet.node.node import Node

FIRST = "v0/agent-000"
"""The agent whose news is measured."""


class Ready(msgspec.Struct, frozen=True):
    """Where to read, and with which tokens: as many as so many readers need."""

    url: str
    tokens: tuple[str, ...]


class Usage(msgspec.Struct, frozen=True):
    """What the process has and took: resident memory in MB, CPU seconds."""

    rss_mb: float
    cpu_s: float


async def _main(agents: int, readers: int) -> None:
    fleet = os.urandom(32)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        nodes: list[Node] = []
        for i in range(-(-agents // AGENTS_LIMIT)):
            config = NodeConfig(
                name=NodeName(f"v{i}"),
                gossip=Address("127.0.0.1", 0),
                state_dir=None,
                identity=seeded(fleet, f"v{i}", time.time()),
                seeds=tuple(node.address for node in nodes[:1]),
                host=f"host-{i}",
                version="bench",
            )
            nodes.append(await stack.enter_async_context(open_node(config)))
        rng = random.Random(1)
        for i in range(agents):
            carrier = nodes[i % len(nodes)]
            carrier.publish(_state(f"{carrier.name}/agent-{i:03}", rng))
            if i % 50 == 49:
                await trio.sleep(0.05)  # a fleet does not begin in one moment
        first = nodes[0]
        while len(first.fleet().agents) < agents:
            await first.changed(first.version())
        keys = Readers(first.keyring, None, time.time)
        url: str = await nursery.start(serve, first, keys, Address("127.0.0.1", 0))
        count = -(-readers // STREAMS_PER_CLIENT) + 1
        keep_what_is_loaded()  # as `meshfleet up` does
        _say(Ready(url, tuple(keys.by_code(keys.new_code())[0] for _ in range(count))))
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            while await stdin.receive_some():
                _say(Usage(rss_mb(), time.process_time()))
        nursery.cancel_scope.cancel()


def _state(agent_id: str, rng: random.Random) -> AgentState:
    """As full as that of a real session."""
    now = rfc3339(time.time())
    return AgentState(
        agent_id=agent_id,
        timestamp=now,
        status=rng.choice([Status.WORKING, Status.TOOL, Status.IDLE]),
        runtime="claude-code",
        model="claude-sonnet-4-5",
        project="shop",
        session=rng.randbytes(16).hex(),
        context_pct=round(rng.uniform(1, 99), 1),
        context_tokens=rng.randrange(200_000),
        context_limit=200_000,
        tokens_in=rng.randrange(10_000_000),
        tokens_out=rng.randrange(100_000),
        cost_usd=round(rng.uniform(0, 20), 6),
        active_tool="Bash",
        active_tool_since=now,
        rate_limits=(RateLimit(key="anthropic:9f2e", window="5h", used_pct=38.0, resets_at=now),),
        sources={"cost_usd": "priced", "context_limit": "reported:rollout", "status": "reported:transcript"},
    )


def _say(answer: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    trio.run(_main, int(sys.argv[1]), int(sys.argv[2]))
