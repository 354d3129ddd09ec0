"""What providers say of rate limits, by a response hook of real clients before a real server on loopback."""

from __future__ import annotations

import asyncio
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

import meshfleet
from meshfleet.embed.crew import CREW, program
from meshfleet.embed.fields import state_of
from meshfleet.embed.quiet import failed
from meshfleet.runtimes.keyprint import fingerprint
from tests.embed.test_agent import PATIENCE, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.fleet.state import RateLimit

KEY = "sk-ant-api03-CANARY"
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}


class Provider(BaseHTTPRequestHandler):
    """Answers as Anthropic does, with 38 % of the requests used."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("anthropic-ratelimit-requests-limit", "1000")
        self.send_header("anthropic-ratelimit-requests-remaining", "620")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/messages"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_NODE", "http://127.0.0.1:9")


def limits(agent: Any) -> tuple[RateLimit, ...]:
    return state_of(agent.agent_id, "x", agent._said).rate_limits


def test_a_plain_client_tells_the_agent_that_it_was_given(provider: str) -> None:
    agent = meshfleet.Agent("box/a")
    with meshfleet.httpx.instrument(httpx.Client(), agent) as client:
        client.post(provider, json={}, headers=HEADERS)
    (limit,) = limits(agent)
    assert (limit.key, limit.window, limit.used_pct) == (fingerprint("anthropic", KEY), "requests/min", 38.0)


def test_an_async_client_tells_whoever_runs(provider: str) -> None:
    @meshfleet.agent("box/a")
    async def run() -> None:
        async with meshfleet.httpx.instrument(httpx.AsyncClient()) as client:
            await client.post(provider, json={}, headers=HEADERS)

    asyncio.run(run())
    assert [limit.used_pct for limit in limits(CREW._agents["box/a"])] == [38.0]
    trio.run(run)
    assert len(limits(CREW._agents["box/a"])) == 1


def test_outside_of_all_agents_it_is_the_programs(provider: str) -> None:
    with meshfleet.httpx.instrument(httpx.Client()) as client:
        client.post(provider, json={}, headers=HEADERS)
    assert [limit.used_pct for limit in limits(CREW._agents[program()])] == [38.0]


def test_hooks_that_were_there_stay(provider: str) -> None:
    called: list[int] = []
    client = httpx.Client(event_hooks={"response": [lambda response: called.append(response.status_code)]})
    with meshfleet.httpx.instrument(client):
        client.post(provider, json={}, headers=HEADERS)
    assert called == [200]


def test_without_a_key_nothing_is_told(provider: str) -> None:
    with meshfleet.httpx.instrument(httpx.Client()) as client:
        client.post(provider, json={})
    assert CREW._agents == {}


def test_what_is_no_client_comes_back_as_it_is() -> None:
    thing = object()
    assert meshfleet.httpx.instrument(thing) is thing
    assert failed == {"httpx.instrument": 1}


async def test_two_agents_with_one_key_are_one_row_and_the_key_is_in_nothing_that_is_sent(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    request = http.client.HTTPConnection.request

    def recorded(
        self: http.client.HTTPConnection, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> None:
        sent.append(repr((url, headers)).encode() + (body or b""))
        request(self, method, url, body, headers)

    def ask(agent: meshfleet.Agent) -> None:
        with meshfleet.httpx.instrument(httpx.Client(), agent) as client:
            client.post(provider, json={}, headers=HEADERS)

    monkeypatch.setattr(http.client.HTTPConnection, "request", recorded)
    async with served() as (node, url):
        agents = [meshfleet.Agent(f"box/{name}", node=url).start() for name in "ab"]
        for agent in agents:
            await trio.to_thread.run_sync(ask, agent)
        with trio.fail_after(PATIENCE):
            while not (rows := node.fleet().totals.rate_limits) or rows[0].agents < 2:
                await node.changed(node.version())
        for agent in agents:
            await trio.to_thread.run_sync(agent.close)
    (row,) = rows
    assert (row.window, row.used_pct, row.agents) == ("requests/min", 38.0, 2)
    assert row.key.startswith("anthropic:")
    assert len(row.key) == len("anthropic:") + 6
    assert sent
    assert [body for body in sent if b"CANARY" in body] == []


@pytest.mark.parametrize(("module", "name"), [("anthropic", "Anthropic"), ("openai", "OpenAI")])
def test_the_providers_own_sdks_take_such_a_client(provider: str, module: str, name: str) -> None:
    sdk = pytest.importorskip(module, reason=f"{module} is not installed")
    kind = sdk.DefaultHttpxClient.__mro__[1]  # of httpx or of httpx2, as this version of the SDK has it
    agent = meshfleet.Agent("box/a")
    with meshfleet.httpx.instrument(kind(), agent) as http_client:
        client = getattr(sdk, name)(api_key=KEY, http_client=http_client, base_url=provider.rpartition("/v1")[0])
        client.post("/v1/messages", body={}, cast_to=object)
    (limit,) = limits(agent)
    assert (limit.window, limit.used_pct) == ("requests/min", 38.0)
