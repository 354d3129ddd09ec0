"""The proxy between a client and an upstream that are both real: nothing altered, nothing held back, nothing kept."""

from __future__ import annotations

import json
import logging
import platform
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import h11
import httpx
import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.fleet.state import Status
from meshfleet.proxy.server import run_proxy
from meshfleet.proxy.upstreams import upstreams
from meshfleet.proxy.watching import OllamaCounts
from tests.embed.test_agent import PATIENCE, served, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from meshfleet.fleet.state import AgentState
    from meshfleet.node.node import Node

KEY = "sk-ant-api03-CANARY-key-CANARY"
HOST = platform.node().partition(".")[0] or "localhost"
LIMITS = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "620",
    "anthropic-ratelimit-requests-reset": "2099-01-01T00:00:00Z",
}


class Asked:
    """One request as it came to the upstream, and the means to answer it piece by piece."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.connection = h11.Connection(h11.SERVER)
        self.request: h11.Request | None = None
        self.body = b""

    async def read(self) -> None:
        """The whole request."""
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                self.connection.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.Request):
                self.request = event
            elif isinstance(event, h11.Data):
                self.body += event.data
            else:
                return

    async def say(self, event: h11.Event) -> None:
        """A part of the answer."""
        data = self.connection.send(event)
        assert data is not None
        await self.stream.send_all(data)

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """A whole answer."""
        length = {"content-length": str(len(body))}
        await self.say(h11.Response(status_code=status, headers=list({**headers, **length}.items())))
        await self.say(h11.Data(data=body))
        await self.say(h11.EndOfMessage())


@asynccontextmanager
async def between(
    answer: Callable[[Asked], Awaitable[None]], node: str = "http://127.0.0.1:9"
) -> AsyncIterator[tuple[httpx.AsyncClient, list[Asked]]]:
    """A client of a proxy before an upstream that answers so, and what came there. Each connection for one request."""
    asked: list[Asked] = []

    async def serve(stream: trio.SocketStream) -> None:
        each = Asked(stream)
        asked.append(each)
        async with stream:
            await each.read()
            await answer(each)

    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        there = upstreams([f"anthropic={url}", f"ollama={url}/base", "nobody=http://127.0.0.1:9"])
        base: str = await nursery.start(partial(run_proxy, Address("127.0.0.1", 0), there, node))
        async with httpx.AsyncClient(base_url=base) as client:
            with trio.fail_after(PATIENCE):
                yield client, asked
        nursery.cancel_scope.cancel()


async def test_method_path_query_headers_and_body_arrive_as_they_were_sent() -> None:
    async def answer(asked: Asked) -> None:
        await asked.answer(418, {"X-Odd": "a b", "content-encoding": "gzip", "date": "yesterday"}, b"\x1f\x8bnot gzip")

    body = bytes(range(256)) * 4_000  # a megabyte, in pieces
    async with between(answer) as (client, asked):
        request = client.build_request(
            "PUT", "/anthropic/v1/a%2Fb/../c?x=%20&x=y", content=body, headers={"x-api-key": KEY, "X-Twice": "1"}
        )
        answered = await client.send(request, stream=True)
        raw = b"".join([piece async for piece in answered.aiter_raw()])
    came = asked[0].request
    assert came is not None
    assert (came.method, came.target) == (b"PUT", request.url.raw_path.removeprefix(b"/anthropic"))
    headers = dict(came.headers)
    assert (headers[b"x-api-key"], headers[b"x-twice"], asked[0].body) == (KEY.encode(), b"1", body)
    assert headers[b"host"].startswith(b"127.0.0.1:")
    assert headers[b"content-length"] == b"%d" % len(body)
    assert (answered.status_code, raw) == (418, b"\x1f\x8bnot gzip")
    assert sorted(answered.headers.multi_items()) == [
        ("content-encoding", "gzip"), ("content-length", "10"), ("date", "yesterday"), ("x-odd", "a b"),
    ]  # fmt: skip


async def test_a_body_of_unknown_length_goes_on_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def answer(asked: Asked) -> None:
        await asked.answer(200, {}, b"")

    async with between(answer) as (client, asked):
        await client.post("/anthropic/v1/messages", content=pieces())
    assert asked[0].body == b"one two"


async def test_each_event_passes_before_the_next_one_is_made() -> None:
    got = trio.Event()

    async def answer(asked: Asked) -> None:
        nonlocal got
        await asked.say(h11.Response(status_code=200, headers=[("content-type", "text/event-stream")]))
        for number in range(3):
            got = trio.Event()
            await asked.say(h11.Data(data=b"data: %d\n\n" % number))
            await got.wait()  # would wait for ever if anything were held back
        await asked.say(h11.EndOfMessage())

    async with between(answer) as (client, _), client.stream("GET", "/anthropic/v1/stream") as answered:
        seen = []
        async for piece in answered.aiter_raw():
            seen.append(piece)
            got.set()
        assert seen == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


# httpcore's own generators are not closed by who breaks off, as its issue tracker knows; nothing is lost by that.
@pytest.mark.filterwarnings(
    "ignore:Async generator 'httpcore:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
async def test_who_goes_away_ends_the_request_upstream() -> None:
    ended = trio.Event()

    async def answer(asked: Asked) -> None:
        await asked.say(h11.Response(status_code=200, headers=[("content-type", "text/event-stream")]))
        await asked.say(h11.Data(data=b"data: 0\n\n"))
        assert await asked.stream.receive_some() == b""
        ended.set()

    async with served() as (node, url), between(answer, url) as (client, _):
        async with client.stream("POST", "/anthropic/v1/messages", content=b"{}") as answered:
            pieces = answered.aiter_raw()
            await anext(pieces)
            await shown(node, f"{HOST}/proxy-anthropic", status=Status.WORKING)
        await ended.wait()
        assert await settled(node, "proxy-anthropic") is Status.IDLE, "to break an answer off is no failure"


async def test_an_answer_that_breaks_off_upstream_does_not_look_whole() -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(h11.Response(status_code=200, headers=[("content-type", "text/event-stream")]))
        await asked.say(h11.Data(data=b"data: 0\n\n"))

    async with served() as (node, url), between(answer, url) as (client, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/anthropic/v1/messages")
        assert await settled(node, "proxy-anthropic") is Status.ERROR


async def test_an_error_of_the_upstream_is_the_clients_to_see() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'

    async def answer(asked: Asked) -> None:
        await asked.answer(529, {"content-type": "application/json", "retry-after": "7"}, body)

    async with between(answer) as (client, _):
        answered = await client.post("/anthropic/v1/messages", content=b"{}")
    assert (answered.status_code, answered.content, answered.headers["retry-after"]) == (529, body, "7")


async def test_an_upstream_that_is_not_there_is_a_502_that_says_so() -> None:
    async def answer(asked: Asked) -> None:
        raise AssertionError("nobody asks it")

    async with served() as (node, url), between(answer, url) as (client, _):
        gone = await client.post("/nobody/v1/messages", content=b"{}")
        unknown = await client.get("/elsewhere/v1/messages")
        assert await settled(node, "proxy-nobody") is Status.ERROR
    assert (gone.status_code, gone.json()["error"]["type"]) == (502, "meshfleet_proxy")
    assert "127.0.0.1:9" in gone.json()["error"]["message"]
    assert unknown.status_code == 404
    assert "/anthropic/" in unknown.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:7880"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000", "Host": "localhost:7880"},
        {"Origin": "https://localhost:7880", "Host": "localhost:7880"},
        {"Origin": "http://localhost.evil.example:7880", "Host": "localhost:7880"},
    ],
)
async def test_no_page_of_a_browser_gets_through(headers: dict[str, str]) -> None:
    async def answer(asked: Asked) -> None:
        raise AssertionError("nobody asks it")

    async with between(answer) as (client, _):
        assert (await client.post("/ollama/api/chat", content=b"{}", headers=headers)).status_code == 403


async def test_what_says_that_it_is_the_proxys_own_is_let_through() -> None:
    async def answer(asked: Asked) -> None:
        await asked.answer(200, {}, b"{}")

    async with between(answer) as (client, _):
        own = {"Host": "localhost:7880", "Origin": "http://localhost:7880", "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/ollama/api/chat", content=b"{}", headers=own)).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "example.com"])
async def test_it_listens_on_loopback_alone(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback alone"):
        await run_proxy(Address(host, 0), upstreams())


@pytest.mark.parametrize("given", ["x", "X=http://h", "x=ftp://h", "x=http://", "x=http://u@h", "x=http://h:port"])
def test_an_upstream_that_makes_no_sense_is_refused_with_a_reason(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^--to x?X?"):
        upstreams([given])


async def test_what_is_left_of_a_key_is_shown_and_neither_key_nor_body_leave_the_proxy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(asked: Asked) -> None:
        await asked.answer(200, LIMITS, b"CANARY answer")

    caplog.set_level(logging.DEBUG)
    async with served() as (node, url), between(answer, url) as (client, _):
        await client.post("/anthropic/v1/messages?CANARY", content=b"CANARY prompt", headers={"x-api-key": KEY})
        state = await told(node, "proxy-anthropic")
        (limit,) = state.rate_limits
        # 1000 - 620 of 1000 are used
        assert (limit.window, limit.used_pct, limit.resets_at) == ("requests/min", 38.0, "2099-01-01T00:00:00.000Z")
        assert limit.key.startswith("local:")  # a provider on this machine, that did not say which
        assert len(limit.key) == len("local:") + 6
        assert node.fleet().totals.rate_limits[0].key == limit.key
        assert b"CANARY" not in msgspec.json.encode(node.fleet())
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert ours
    assert "CANARY" not in "".join(ours)


async def told(node: Node, name: str) -> AgentState:
    """Until the proxy's agent is idle again and tells of limits."""
    while True:
        for agent in node.fleet().agents:
            if agent.agent_id.endswith("/" + name) and agent.state.rate_limits and agent.state.status is Status.IDLE:
                return agent.state
        await node.changed(node.version())


async def settled(node: Node, name: str) -> Status:
    """What the proxy's agent is once it has nothing to do."""
    while True:
        for agent in node.fleet().agents:
            settled = agent.state.status not in (Status.WORKING, Status.STARTING)
            if agent.agent_id == f"{HOST}/{name}" and settled:
                return agent.state.status
        await node.changed(node.version())


async def test_what_ollama_counts_is_added_up() -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(h11.Response(status_code=200, headers=[("content-type", "application/x-ndjson")]))
        for line in (
            {"model": "llama3.2:3b", "message": {"role": "assistant", "content": "CANARY"}, "done": False},
            {"model": "llama3.2:3b", "done": True, "prompt_eval_count": 26, "eval_count": 298, "total_duration": 5},
        ):
            await asked.say(h11.Data(data=json.dumps(line).encode() + b"\n"))
        await asked.say(h11.EndOfMessage())

    async with served() as (node, url), between(answer, url) as (client, asked):
        for _ in range(2):
            await client.post("/ollama/api/chat", content=b"{}")
        # 2 x 26 in, 2 x 298 out; what runs on one's own machine costs nothing
        state = await shown(node, f"{HOST}/proxy-ollama", tokens_in=52, tokens_out=596, status=Status.IDLE)
        assert (state.model, state.cost_usd, state.context_tokens) == ("llama3.2:3b", 0.0, 26)
        assert asked[0].request is not None
        assert asked[0].request.target == b"/base/api/chat"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_counts_are_found_however_the_answer_is_cut(size: int) -> None:
    last = {"model": "m", "done": True, "context": list(range(500)), "prompt_eval_count": 3, "eval_count": 4}
    data = b'{"done":false,"response":"x"}\n' + json.dumps(last).encode()
    counts = OllamaCounts()
    for start in range(0, len(data), size):
        counts.feed(data[start : start + size])
    found = counts.end()
    assert found is not None
    assert (found.input, found.output, found.model) == (3, 4, "m")


def test_a_line_that_is_too_long_is_not_kept() -> None:
    counts = OllamaCounts()
    for _ in range(40):
        counts.feed(b"x" * 65_536)
        assert len(counts._line) <= 1024 * 1024
    counts.feed(b'\n{"done":true,"prompt_eval_count":1,"eval_count":2}')
    assert counts.end() is not None
