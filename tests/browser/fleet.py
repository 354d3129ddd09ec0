"""A fleet of many agents that all have news twice a second, served by the real server in a process of its own.

python -m tests.browser.fleet AGENTS   # prints a line of JSON: url and token; ends with its standard input
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AgentState, RateLimit, Status
from meshfleet.fleet.view import AgentView, FleetView, Health, NodeView, Period, ServedBy, Totals
from meshfleet.node.readers import Readers
from meshfleet.serve import serve
from meshfleet.wire.keyring import Keyring

if TYPE_CHECKING:
    from meshfleet.fleet.evidence import Fact

NEWS_SECONDS = 0.5
NODES = 10


class Served(msgspec.Struct, frozen=True):
    """Where it is served, and a token to read it with."""

    url: str
    token: str


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class BusyFeed:
    """So many agents, each with figures that go on."""

    def __init__(self, agents: int) -> None:
        self._rng = random.Random(1)
        self._number = 1
        self._begun = _now()
        self._agents = [self._agent(i) for i in range(agents)]
        self._view = self._build()
        self._news = trio.Event()

    async def run(self) -> None:
        """Have news until cancelled."""
        while True:
            with trio.move_on_after(NEWS_SECONDS):
                await trio.sleep_forever()
            self._number += 1
            self._agents = [self._later(agent) for agent in self._agents]
            self._view = self._build()
            self._news.set()
            self._news = trio.Event()

    def fleet(self) -> FleetView:
        return self._view

    def version(self) -> str:
        return f"busy-{self._number}"

    async def changed(self, since: str) -> None:
        while self.version() == since:
            await self._news.wait()

    async def zone(self, name: str) -> FleetView:
        raise ConfigError(f"no zone {name!r} is known here.")

    def own_agents(self) -> tuple[AgentView, ...]:
        return ()

    def health(self) -> Health:
        return Health(node=NodeName("n0"), epoch=1, heartbeat=1, standing=Standing.CONNECTED, version="test")

    def counters(self) -> dict[str, int]:
        return {}

    def publish(self, state: AgentState) -> None:
        """Nothing: its agents are its own."""

    def attend(self, agent_id: AgentId, process: str) -> None:
        """Nothing."""

    def withdraw(self, agent_id: AgentId) -> None:
        """Nothing."""

    def why(self, name: str) -> tuple[Fact, ...]:
        return ()

    def clock(self) -> float:
        return trio.current_time()

    def _agent(self, i: int) -> AgentView:
        node = f"n{i % NODES}"
        state = AgentState(
            agent_id=f"{node}/agent-{i:04}",
            timestamp=self._begun,
            status=self._rng.choice([Status.WORKING, Status.TOOL, Status.IDLE]),
            runtime=self._rng.choice(["claude-code", "codex", "gemini-cli"]),
            model=self._rng.choice(["claude-sonnet-4-5", "gpt-5-codex", "gemini-2.5-pro"]),
            project=self._rng.choice(["shop", "billing", "docs"]),
            session=self._rng.randbytes(16).hex(),
            context_pct=round(self._rng.uniform(1, 80), 1),
            context_tokens=self._rng.randrange(160_000),
            context_limit=200_000,
            context_trend_pct_per_min=0.8,
            context_full_in_s=1_500.0,
            tokens_in=self._rng.randrange(10_000_000),
            tokens_out=self._rng.randrange(100_000),
            cost_usd=round(self._rng.uniform(0, 20), 6),
            active_tool=self._rng.choice(["Bash", "Edit", "Read"]),
            active_tool_since=self._begun,
            rate_limits=(RateLimit(key=f"anthropic:{i % 3}", window="5h", used_pct=38.0, resets_at=self._begun),),
            sources={"cost_usd": "priced", "context_limit": "reported:rollout", "status": "reported:transcript"},
        )
        return AgentView(
            agent_id=AgentId(state.agent_id),
            node=NodeName(node),
            presence=Presence.FRESH,
            certainty=None,
            age_s=0.3,
            last_seen=self._begun,
            since=self._begun,
            reasons=(),
            epoch=1,
            seq=1,
            transport="udp",
            state=state,
        )

    def _later(self, agent: AgentView) -> AgentView:
        state = agent.state
        later = msgspec.structs.replace(
            state,
            timestamp=_now(),
            context_pct=round((state.context_pct or 0.0) % 99 + 0.1, 1),
            tokens_in=(state.tokens_in or 0) + self._rng.randrange(1_000),
            tokens_out=(state.tokens_out or 0) + self._rng.randrange(100),
            cost_usd=round((state.cost_usd or 0.0) + 0.001, 6),
        )
        return msgspec.structs.replace(agent, seq=agent.seq + 1, last_seen=_now(), state=later)

    def _build(self) -> FleetView:
        now, agents = _now(), tuple(self._agents)
        names = [NodeName(f"n{i}") for i in range(NODES)]
        nodes = tuple(
            NodeView(
                name=name,
                role="agent",
                zone=f"z{i % 3}",
                host=f"host-{i}",
                epoch=1_763_923_200_123,
                incarnation=0,
                presence=Presence.FRESH,
                certainty=None,
                reach="direct" if i else "self",
                transport="udp" if i else "local",
                age_s=0.2,
                last_seen=now,
                since=self._begun,
                reasons=(),
                rtt_ms=0.4,
                clock_offset_ms=1.0,
                base_url="javascript:window.slipped=1" if i == 1 else f"http://127.0.0.1:9/{i}",
                version="test",
                agents=tuple(agent.agent_id for agent in agents if agent.node == name),
            )
            for i, name in enumerate(names)
        )
        counts = {status: sum(agent.state.status is status for agent in agents) for status in Status}
        return FleetView(
            version=self.version(),
            now=now,
            served_by=ServedBy(
                node=names[0],
                standing=Standing.CONNECTED,
                since=self._begun,
                reasons=(),
                local_health=0,
                loop_lag_ms=0.1,
                islands=(tuple(names),),
            ),
            nodes=nodes,
            agents=agents,
            totals=Totals(
                agents=len(agents),
                by_presence={"fresh": len(agents)},
                by_status={status.value: count for status, count in counts.items() if count},
                by_tool={"Bash": len(agents)},
                by_model={"claude-sonnet-4-5": len(agents)},
                tokens_in=sum(agent.state.tokens_in or 0 for agent in agents),
                tokens_out=sum(agent.state.tokens_out or 0 for agent in agents),
                cost_usd=sum(agent.state.cost_usd or 0.0 for agent in agents),
                period=Period(start="2026-11-01", cost_usd=None),
            ),
        )


async def _main(agents: int) -> None:
    feed = BusyFeed(agents)
    readers = Readers(Keyring(os.urandom(32), b"f" * 16), None, time.time)
    async with trio.open_nursery() as nursery:
        url: str = await nursery.start(serve, feed, readers, Address("127.0.0.1", 0))
        nursery.start_soon(feed.run)
        token = readers.by_code(readers.new_code())[0]
        sys.stdout.buffer.write(msgspec.json.encode(Served(url, token)) + b"\n")
        sys.stdout.buffer.flush()
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            while await stdin.receive_some():
                pass
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, int(sys.argv[1]))
