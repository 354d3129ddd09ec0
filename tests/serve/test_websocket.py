"""`/v1/fleet/ws`, read by a real client over a real socket."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cbor2
import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, open_websocket_url, wrap_client_stream

from meshfleet.client.change import Change, applied
from meshfleet.fleet.access import Scope
from meshfleet.fleet.view import FleetView
from meshfleet.serve.limits import SAID_LIMIT
from meshfleet.serve.websocket import CBOR_PROTOCOL, JSON_PROTOCOL

if TYPE_CHECKING:
    import httpx
    from trio.testing import MockClock
    from trio_websocket import WebSocketConnection

    from meshfleet.wire.keyring import Keyring

    from .conftest import SampleFeed, Tokens


@pytest.fixture
def url(base_url: str) -> str:
    return base_url.replace("http://", "ws://") + "/v1/fleet/ws"


def bearer(tokens: Tokens, scope: Scope = Scope.READ) -> list[tuple[bytes, bytes]]:
    return [(b"Authorization", f"Bearer {tokens[scope]}".encode())]


async def test_a_view_and_its_changes_in_json(url: str, tokens: Tokens, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with open_websocket_url(url, subprotocols=[JSON_PROTOCOL], extra_headers=bearer(tokens)) as socket:
            assert socket.subprotocol == JSON_PROTOCOL
            first = json.loads(await socket.get_message())
            view = msgspec.convert(first["data"], FleetView)
            assert (first["event"], view) == ("snapshot", feed.fleet())
            feed.touch("news")
            second = json.loads(await socket.get_message())
            assert second["event"] == "update"
            assert applied(view, msgspec.convert(second["data"], Change)).agents[0].state.note == "news"


async def test_the_same_in_cbor(url: str, tokens: Tokens, feed: SampleFeed) -> None:
    protocols = ["something-else", CBOR_PROTOCOL, JSON_PROTOCOL]
    with trio.fail_after(10):
        async with open_websocket_url(url, subprotocols=protocols, extra_headers=bearer(tokens)) as socket:
            assert socket.subprotocol == CBOR_PROTOCOL
            message = await socket.get_message()
            assert isinstance(message, bytes)
            first = cbor2.loads(message)
            assert msgspec.convert(first["data"], FleetView) == feed.fleet()


async def test_a_browser_offers_its_token_as_a_subprotocol(url: str, tokens: Tokens) -> None:
    offered = [f"bearer.{tokens[Scope.READ]}", JSON_PROTOCOL]
    with trio.fail_after(10):
        async with open_websocket_url(url, subprotocols=offered) as socket:
            assert socket.subprotocol == JSON_PROTOCOL
            assert json.loads(await socket.get_message())["event"] == "snapshot"


async def test_who_comes_back_says_what_it_had(url: str, tokens: Tokens, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with open_websocket_url(url, extra_headers=bearer(tokens)) as socket:
            last = json.loads(await socket.get_message())["id"]
        feed.touch("meanwhile")
        async with open_websocket_url(f"{url}?since={last}", extra_headers=bearer(tokens)) as socket:
            told = json.loads(await socket.get_message())
    assert (told["event"], told["data"]["agents"][0]["state"]["note"]) == ("update", "meanwhile")


@pytest.mark.parametrize(
    ("scope", "extra", "protocols", "status"),
    [
        (None, {}, [], 401),
        (Scope.METRICS, {}, [], 403),
        (Scope.AGENT, {}, [], 403),
        (Scope.READ, {"Origin": "http://evil.example"}, [], 403),
        (Scope.READ, {"Sec-Fetch-Site": "cross-site"}, [], 403),
        (Scope.READ, {}, ["graphql-ws"], 400),
    ],
)
async def test_who_may_not_read_is_told_so(
    stranger: httpx.AsyncClient,
    tokens: Tokens,
    scope: Scope | None,
    extra: dict[str, str],
    protocols: list[str],
    status: int,
) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **({"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}),
        **({"Authorization": f"Bearer {tokens[scope]}"} if scope else {}),
    }
    answer = await stranger.get("/v1/fleet/ws", headers={**handshake, **extra})
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_its_own_page_may(url: str, tokens: Tokens) -> None:
    host = url.split("/")[2]
    headers = [*bearer(tokens), (b"Origin", f"http://{host}".encode())]
    with trio.fail_after(10):
        async with open_websocket_url(url, extra_headers=headers) as socket:
            assert json.loads(await socket.get_message())["event"] == "snapshot"


# trio-websocket 0.12 leaves its socket open where the other side ended.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_what_it_says_is_dropped_and_too_much_ends_it(url: str, tokens: Tokens, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with open_websocket_url(url, extra_headers=bearer(tokens)) as socket:
            await socket.get_message()
            await socket.send_message("forget n2")
            feed.touch("still there")
            assert json.loads(await socket.get_message())["event"] == "update"
            await socket.send_message("x" * (2 * SAID_LIMIT))
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
    assert feed.withdrawn == []


async def test_frames_before_it_is_let_in_are_no_failure_of_ours(url: str, client: httpx.AsyncClient) -> None:
    place = urlsplit(url)
    asked = (
        f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    with trio.fail_after(30):
        for frame in (b"\x81\x82\0\0\0\0hi", bytes(9_000)) * 5:
            async with await trio.open_tcp_stream(str(place.hostname), place.port or 0) as stream:
                await stream.send_all(asked + frame)
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
        assert 'meshfleet_http_events_total{event="failed"} 0.0' in (await client.get("/metrics")).text


async def _only_alive(socket: WebSocketConnection) -> None:
    while True:
        assert json.loads(await socket.get_message())["event"] == "alive"


async def test_a_rotation_ends_those_of_the_old_key(
    url: str, tokens: Tokens, ring: Keyring, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # real sockets have their time
    place = urlsplit(url)
    with trio.fail_after(120):
        # Of a connection that the other side closes the client leaves the stream open, so it is opened here.
        async with (
            await trio.open_tcp_stream(place.hostname or "", place.port or 0) as stream,
            trio.open_nursery() as ours,
        ):
            socket = await wrap_client_stream(ours, stream, place.netloc, place.path, extra_headers=bearer(tokens))
            assert json.loads(await socket.get_message())["event"] == "snapshot"
            before = ring.current.key_id
            ring.use(ring.add(bytes(32)))
            ring.remove(before)
            with pytest.raises(ConnectionClosed) as closed:
                await _only_alive(socket)
            assert closed.value.reason is not None
            assert (closed.value.reason.code, closed.value.reason.reason) == (1000, "the session is over")


async def test_without_the_upgrade_it_says_what_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fleet/ws")
    assert answer.status_code == 426
    assert "events" in answer.json()["error"]
