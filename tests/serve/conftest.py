"""A small feed of real fleet objects, real keys, the real server on a free loopback port, and a real client."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import h11
import httpx
import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, PublishError
from meshfleet.fleet.access import Scope
from meshfleet.fleet.cost import CostReport, Here, Spent
from meshfleet.fleet.evidence import Fact, Kind
from meshfleet.fleet.headroom import headroom
from meshfleet.fleet.names import Address, AgentId, NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.state import AGENTS_LIMIT, SNAPSHOT_LIMIT, AgentState, RateLimit, Status
from meshfleet.fleet.usage import named_period, next_start
from meshfleet.fleet.view import AgentView, FleetView, Health, NodeView, Period, ServedBy, Totals
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.readers import Readers
from meshfleet.serve import serve
from meshfleet.wire.keyring import Keyring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from meshfleet.serve import Feed

NOW = "2026-11-23T20:15:05.123Z"
SINCE = "2026-11-23T20:00:00.000Z"
EPOCH = 1_763_923_200_123


class SampleFeed:
    """Three nodes, three agents. `touch` makes news of it; what is asked of it is counted."""

    def __init__(self) -> None:
        self.number = 1
        self.views_built = 0
        self.failing = False
        self.withdrawn: list[AgentId] = []
        self.published: list[AgentState] = []
        self.note = "hello"
        self.seen = NOW
        """When n2 was heard of last."""
        self.own = ["box-1/claude-1f3c"]
        self._view: FleetView | None = None
        self._news = trio.Event()

    def touch(self, note: str = "news") -> None:
        """Something changed."""
        self.number += 1
        self.note = note
        self._view = None
        self._news.set()
        self._news = trio.Event()

    def age(self, seen: str = NOW) -> None:
        """Nothing changed but ages: the next view is another object of the same version."""
        self.seen = seen
        self._view = None

    def fleet(self) -> FleetView:
        if self.failing:
            raise RuntimeError("planted")
        if self._view is None:
            self.views_built += 1
            self._view = self._build()
        return self._view

    def version(self) -> str:
        return f"b1c9-{self.number}"

    async def changed(self, since: str) -> None:
        while self.version() == since:
            await self._news.wait()

    async def cost(self, period: str | None) -> CostReport:
        start = named_period("2026-11" if period is None else period, 1)
        spent = Spent(cost_usd=21.93, tokens_in=5_679_963, tokens_out=120_336)
        here = Here(node=NodeName("n1"), total=spent, by_day={}, by_model={}, by_runtime={}, by_agent={})
        return CostReport(
            start=start,
            end=next_start(start),
            zone="UTC",
            fleet=spent,
            by_node={"n1": spent},
            here=here,
            known_periods=(start,),
        )

    async def zone(self, name: str) -> FleetView:
        raise ConfigError(f"no zone {name!r} is known here.")

    def own_agents(self) -> tuple[AgentView, ...]:
        return tuple(_agent(agent_id, "n1", None) for agent_id in self.own)

    def health(self) -> Health:
        return Health(node=NodeName("n1"), epoch=EPOCH, heartbeat=42, standing=Standing.CONNECTED, version="0.1.0")

    def counters(self) -> dict[str, int]:
        return {"drop_unsealed": 0}

    def publish(self, state: AgentState) -> None:
        if len(msgspec.msgpack.encode(state)) > SNAPSHOT_LIMIT:
            raise PublishError(f"the state of {state.agent_id} is too big; at most {SNAPSHOT_LIMIT} bytes travel.")
        if len(self.own) >= AGENTS_LIMIT and state.agent_id not in self.own:
            raise PublishError(f"this node carries {AGENTS_LIMIT} agents already.")
        self.published.append(state)

    def attend(self, agent_id: AgentId, process: str) -> None:
        self.attended = (agent_id, process)

    def withdraw(self, agent_id: AgentId) -> None:
        self.withdrawn.append(agent_id)

    def why(self, name: str) -> tuple[Fact, ...]:
        if name != "n3":
            return ()
        refused = Fact(kind=Kind.REFUSED, at=98.0, by="n1", detail="connection refused", host="box-1")
        return (refused, Fact(kind=Kind.EOF, at=97.0, by="n2", detail="stream ended without goodbye"))

    def clock(self) -> float:
        return 100.0

    def _build(self) -> FleetView:
        nodes = (
            _node("n1", Presence.FRESH, "self", ["box-1/claude-1f3c"]),
            msgspec.structs.replace(
                _node("n2", Presence.FRESH, "direct", ["box-2/codex-77aa", "box-2/codex-77ab"]), last_seen=self.seen
            ),
            _node("n3", Presence.DOWN, None, []),
        )
        agents = (
            _agent("box-1/claude-1f3c", "n1", self.note),
            _agent("box-2/codex-77aa", "n2", None),
            _agent("box-2/codex-77ab", "n2", None),
        )
        return FleetView(
            version=self.version(),
            now=NOW,
            served_by=ServedBy(
                node=NodeName("n1"),
                standing=Standing.CONNECTED,
                since=SINCE,
                reasons=(),
                local_health=0,
                loop_lag_ms=0.8,
                islands=((NodeName("n1"), NodeName("n2")), (NodeName("n3"),)),
            ),
            nodes=nodes,
            agents=agents,
            totals=Totals(
                agents=3,
                by_presence={"fresh": 3},
                by_status={"tool": 3},
                by_tool={"Bash": 3},
                by_model={"claude-sonnet-4-5": 3},
                tokens_in=5_679_963,
                tokens_out=120_336,
                cost_usd=21.93,
                period=Period(start="2026-11-01", cost_usd=None),
                rate_limits=headroom((agent.state for agent in agents), NOW),
            ),
        )


def _node(name: str, presence: Presence, reach: str | None, agents: list[str]) -> NodeView:
    down = presence is Presence.DOWN
    return NodeView(
        name=NodeName(name),
        role="agent" if agents else "observer",
        zone="east",
        host=f"box-{name[1:]}",
        epoch=EPOCH,
        incarnation=3,
        presence=presence,
        certainty=Certainty.PROVEN if down else None,
        reach=reach,
        transport="udp",
        age_s=12.5 if down else 0.41,
        last_seen=NOW,
        since=SINCE,
        reasons=("stream ended without goodbye", "connection refused") if down else (),
        rtt_ms=0.6,
        clock_offset_ms=-12.0,
        base_url=f"http://127.0.0.1:788{name[1:]}",
        version="0.1.0",
        agents=tuple(AgentId(agent) for agent in agents),
    )


def _agent(agent_id: str, node: str, note: str | None) -> AgentView:
    return AgentView(
        agent_id=AgentId(agent_id),
        node=NodeName(node),
        presence=Presence.FRESH,
        certainty=None,
        age_s=0.41,
        last_seen=NOW,
        since=SINCE,
        reasons=(),
        epoch=EPOCH,
        seq=88,
        transport="udp",
        state=AgentState(
            agent_id=agent_id,
            timestamp=NOW,
            status=Status.TOOL,
            runtime="claude-code",
            model="claude-sonnet-4-5",
            project="shop",
            context_pct=61.2,
            context_tokens=122_400,
            context_limit=200_000,
            tokens_in=1_893_321,
            tokens_out=40_112,
            cost_usd=7.31,
            active_tool="Bash",
            active_tool_since=NOW,
            rate_limits=(
                RateLimit(key="anthropic:9f2e", window="5h", used_pct=38.0, resets_at="2026-11-23T23:00:00Z"),
            ),
            note=note,
            sources={"cost_usd": "priced"},
        ),
    )


class Event(NamedTuple):
    """A server-sent event, as much of it as tests look at."""

    kind: str
    version: str
    note: str | None
    """Of the first agent told of."""


class EventReader:
    """Reads `/v1/fleet/events` as a browser does, over a socket of its own."""

    def __init__(self, stream: trio.SocketStream, token: str) -> None:
        self._stream = stream
        self._token = token
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""
        self.last_id = ""
        self.response: h11.Response | None = None

    async def ask(self, *headers: tuple[str, str]) -> None:
        """Send the request and read the head of the answer."""
        self._own = [("Host", "localhost"), ("Authorization", f"Bearer {self._token}")]
        request = h11.Request(method="GET", target="/v1/fleet/events", headers=[*self._own, *headers])
        await self._stream.send_all(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        response = await self._received()
        assert isinstance(response, h11.Response)
        self.response = response

    async def event(self) -> Event | None:
        """The next event; None where the stream ended as HTTP wants it to."""
        while True:
            while b"\n\n" not in self._text:
                received = await self._received()
                if isinstance(received, h11.EndOfMessage):
                    return None
                assert isinstance(received, h11.Data)
                self._text += received.data
            block, _, self._text = self._text.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if "data" in fields:
                told = json.loads(fields["data"])
                self.last_id = fields["id"]
                agents = told.get("agents")
                return Event(fields["event"], told["version"], agents[0]["state"]["note"] if agents else None)

    async def _received(self) -> object:
        while (found := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some())
        return found


@pytest.fixture
def reader(base_url: str, readers: Readers) -> Callable[..., AbstractAsyncContextManager[EventReader]]:
    """A reader of the event stream; each is another page, and so another client, where no token is given."""
    url = httpx.URL(base_url)

    @asynccontextmanager
    async def opened(*headers: tuple[str, str], token: str | None = None) -> AsyncIterator[EventReader]:
        async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
            found = EventReader(stream, token or readers.by_code(readers.new_code())[0])
            await found.ask(*headers)
            yield found

    return opened


@pytest.fixture
def feed() -> SampleFeed:
    return SampleFeed()


FLEET_KEY = bytes(range(32))


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """The API keys of the node, in a state dir."""
    return KeyFile(tmp_path)


@pytest.fixture
def ring() -> Keyring:
    """The node's."""
    return Keyring(FLEET_KEY, b"f" * 16)


@pytest.fixture
def readers(keys: KeyFile, ring: Keyring) -> Readers:
    """Who may read from the node."""
    return Readers(ring, keys, time.time)


@pytest.fixture
def elsewhere() -> Readers:
    """Who may read from another node of the fleet."""
    return Readers(Keyring(FLEET_KEY, b"f" * 16), None, time.time)


Tokens = dict[Scope, str]


@pytest.fixture
async def tokens(keys: KeyFile, readers: Readers) -> Tokens:
    """A session of each scope."""
    made = {scope: keys.create(scope, f"a-{scope}-key", NOW).text() for scope in Scope}
    return {scope: (await readers.by_key(text, 1800))[0] for scope, text in made.items()}


@pytest.fixture
async def base_url(feed: Feed, readers: Readers, nursery: trio.Nursery) -> str:
    """Where the server answers. The nursery's end cancels it."""
    url: str = await nursery.start(serve, feed, readers, Address("127.0.0.1", 0))
    return url


class AsReader(httpx.Auth):
    """Reads with a token, and pushes without, as what runs on the node's machine does."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token where it is good for something."""
        if request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


@pytest.fixture
async def client(base_url: str, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    auth = AsReader(tokens[Scope.READ])
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, auth=auth) as opened:
        yield opened


@pytest.fixture
async def stranger(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows nothing unless told to."""
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as opened:
        yield opened
