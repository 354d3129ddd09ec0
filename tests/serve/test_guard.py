from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from meshfleet.serve.guard import OWN_NAMES, Guard
from meshfleet.serve.limits import BODY_LIMIT, HEAD_LIMIT, Counts

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send
    from trio.testing import MockClock

    from .conftest import SampleFeed


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7879", "127.0.0.1.evil.example", "localhost.evil.example:7879", "", "10.0.0.7"],
)
async def test_a_foreign_host_name_is_refused_so_that_dns_rebinding_reads_nothing(
    client: httpx.AsyncClient, host: str
) -> None:
    for path in ("/v1/fleet", "/", "/health", "/nowhere"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "DNS rebinding" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:7879", "[::1]", "[::1]:7879"])
async def test_this_machines_own_names_are_let_in_at_any_port(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == 200


async def test_a_port_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health", headers={"Host": "localhost:7879@evil"})).status_code == 403


@pytest.mark.parametrize(
    ("host", "server", "status"),
    [
        ("fleet.example.org", "10.0.0.7", 200),
        ("FLEET.example.org:443", "10.0.0.7", 200),
        ("10.0.0.7:7879", "10.0.0.7", 200),
        ("10.0.0.7:7879", "10.0.0.8", 403),
        ("[2001:db8::7]", "2001:db8::7", 200),
        ("2001:db8::7", "2001:db8::7", 403),
        ("evil.example", "10.0.0.7", 403),
    ],
)
async def test_beyond_loopback_its_names_count_and_the_address_that_was_connected_to(
    host: str, server: str, status: int
) -> None:
    assert await guarded([host], server) == status


async def test_two_hosts_are_none_however_they_came() -> None:
    assert await guarded(["localhost"], "127.0.0.1") == 200
    assert await guarded(["localhost", "localhost"], "127.0.0.1") == 403
    assert await guarded([], "127.0.0.1") == 403


async def guarded(hosts: list[str], server: str) -> int:
    """The status of a request with these Host headers to a guard that is bound to all addresses."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    said: list[int] = []

    async def send(message: Message) -> None:
        said.append(message.get("status", 0))

    headers = [(b"host", host.encode()) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    guard = Guard(app, Counts(), OWN_NAMES | {"fleet.example.org"}, any_address=True)
    await guard(scope | {"server": (server, 7879)}, receive, send)
    return said[0]


async def test_two_hosts_are_refused(base_url: str) -> None:
    url = httpx.URL(base_url)
    async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(10):
            assert (await _piece(stream)).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))


async def test_a_head_over_the_limit_is_refused(base_url: str) -> None:
    url = httpx.URL(base_url)
    async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (2 * HEAD_LIMIT))
        with trio.fail_after(10):
            assert (await _piece(stream)).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


async def test_a_head_over_the_limit_is_refused_also_where_it_comes_in_one_piece(
    client: httpx.AsyncClient, base_url: str
) -> None:
    many = {f"X-{i}": "x" * 100 for i in range(HEAD_LIMIT // 100)}
    for answer in (
        await client.get("/health", headers=many),
        await client.get(f"/{'x' * HEAD_LIMIT}"),
        await client.get("/health", params={"x": "x" * HEAD_LIMIT}),
    ):
        assert answer.status_code == 431
    assert (await client.get("/health", headers={"X": "x" * (HEAD_LIMIT - 1000)})).status_code == 200


async def test_another_sites_page_may_link_here_but_not_fetch(client: httpx.AsyncClient) -> None:
    for site in ("cross-site", "same-site"):
        fetched = await client.get("/v1/fleet", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"})
        visited = await client.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
        posted = await client.post("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
        assert [fetched.status_code, visited.status_code, posted.status_code] == [403, 200, 403]
    own = await client.get("/v1/fleet", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"})
    assert own.status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1/fleet", "/page/main.js", "/nowhere", "/v1/nodes/none"])
async def test_every_answer_carries_the_strict_headers_and_no_cors(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path, headers={"Origin": "http://evil.example"})).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


async def test_an_unknown_path_is_told_what_is_near(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/flet")
    assert (answer.status_code, answer.json()["near"][0]) == (404, "/v1/fleet")
    assert "Did you mean /v1/fleet?" in answer.json()["error"]
    assert "/v1/fleet" in (await client.get("/zzzzzzzzz")).json()["near"]
    assert (await client.get("/v1/fleet/")).status_code == 404


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.put("/v1/agents/box-1/py-1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert answer.json()["allow"] == ["DELETE", "GET", "HEAD"]
    assert (await client.request("OPTIONS", "/v1/fleet")).headers["allow"] == "GET, HEAD"


async def test_an_error_of_ours_is_logged_and_answered_without_its_inside(
    client: httpx.AsyncClient, feed: SampleFeed, caplog: pytest.LogCaptureFixture
) -> None:
    feed.failing = True
    answer = await client.get("/v1/nodes/n1")
    with trio.fail_after(10):
        while not errors(caplog):
            await trio.lowlevel.checkpoint()  # the answer is sent before the error is logged
    assert answer.status_code == 500
    assert "planted" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    (error,) = errors(caplog)
    assert error.message.startswith("http request failed")
    assert error.exc_info is not None
    feed.failing = False
    assert (await client.get("/v1/nodes/n1")).status_code == 200


async def test_a_body_that_nobody_asked_for_does_not_stall_its_connection(client: httpx.AsyncClient) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = await client.request(method, "/health", content=b"x" * 1000)
        assert answer.status_code in (200, 405)
        assert (await client.request(method, "/health", content=b"x" * (BODY_LIMIT + 1))).status_code == 413


async def test_an_endless_body_gets_its_refusal_and_an_end(base_url: str) -> None:
    url = httpx.URL(base_url)
    stream = await trio.open_tcp_stream(url.host, url.port or 0)
    async with stream, trio.open_nursery() as nursery:
        await stream.send_all(
            b"POST /v1/agents/a/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        )

        async def pour() -> None:
            try:
                while True:
                    await stream.send_all(b"x" * 65536)
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(pour)
        with trio.fail_after(10):
            answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 413")


async def test_a_refused_body_is_read_on_before_the_answer_and_while_it_goes_out(autojump_clock: MockClock) -> None:
    pieces = 40
    to_app, from_client = trio.open_memory_channel["Message"](10)  # as Hypercorn has it before the application
    left = pieces
    answered_at: list[int] = []

    async def pour() -> None:
        nonlocal left
        while left:
            left -= 1
            await to_app.send({"type": "http.request", "body": b"x" * 1000, "more_body": left > 0})
        for _ in range(20):  # what comes behind the body, as the answer goes out
            await to_app.send({"type": "http.request", "body": b"x", "more_body": True})

    async def send(message: Message) -> None:
        answered_at.append(left)
        if message["type"] == "http.response.body":
            await to_app.send({"type": "http.disconnect"})  # Hypercorn's last word; it waits for its place

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("a refused request reached the application")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour)
            await trio.testing.wait_all_tasks_blocked()
            await Guard(never, Counts())(scope, from_client.receive, send)
            nursery.cancel_scope.cancel()
    assert answered_at == [0, 0]


async def test_what_is_not_http_is_answered_and_harms_nobody(
    base_url: str, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    url = httpx.URL(base_url)
    for sent in (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 20_000,
        b"GET \xff HTTP/1.1\r\n\r\n",
    ):
        async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
            await stream.send_all(sent)
            await stream.send_eof()
            with trio.fail_after(10):
                while await _piece(stream):
                    pass
    assert (await client.get("/health")).status_code == 200
    assert errors(caplog) == []


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def _piece(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""
