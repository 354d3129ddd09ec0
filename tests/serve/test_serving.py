from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
import trio.testing

from meshfleet.errors import ConfigError
from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.serve import serve, server
from meshfleet.serve.limits import Counts
from meshfleet.serve.listen import BoundedStream, allowed_host, listen

if TYPE_CHECKING:
    from trio.testing import MockClock

    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed, Tokens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "192.168.1.2", "example.org", "169.254.0.1"])
async def test_an_address_that_others_reach_is_refused_without_tls_and_told_the_way_out(
    feed: SampleFeed, readers: Readers, host: str
) -> None:
    with pytest.raises(ConfigError, match=r"--tls own|give an IP address"):
        await serve(feed, readers, Address(host, 7879))


@pytest.mark.parametrize(
    ("host", "bound"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.9.9.9", "127.9.9.9"), ("::1", "::1")],
)
def test_loopback_is_accepted_in_all_its_spellings(host: str, bound: str) -> None:
    assert allowed_host(Address(host, 7879), tls=False) == bound


async def test_a_port_in_use_is_named_with_the_way_out() -> None:
    async with await listen(Address("127.0.0.1", 0), tls=False) as taken:
        port = taken.socket.getsockname()[1]
        with pytest.raises(ConfigError, match=f"HTTP port {port} of 127.0.0.1 is in use.*--http"):
            await listen(Address("127.0.0.1", port), tls=False)


async def test_port_0_takes_a_free_one_and_says_which(base_url: str) -> None:
    url = httpx.URL(base_url)
    assert (url.scheme, url.host, str(url)) == ("http", "127.0.0.1", base_url)
    assert url.port != 0


async def test_the_port_is_free_again_after_a_cancellation(feed: SampleFeed, readers: Readers) -> None:
    async with trio.open_nursery() as first:
        url = httpx.URL(await first.start(serve, feed, readers, Address("127.0.0.1", 0)))
        first.cancel_scope.cancel()
    async with trio.open_nursery() as second:
        again = await second.start(serve, feed, readers, Address("127.0.0.1", url.port or 0))
        assert again == str(url)
        second.cancel_scope.cancel()


async def test_an_end_closes_streams_and_idle_connections_in_order(
    feed: SampleFeed, readers: Readers, tokens: Tokens, nursery: trio.Nursery
) -> None:
    running = trio.CancelScope()

    async def serving(task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        with running:
            await serve(feed, readers, Address("127.0.0.1", 0), task_status=task_status)

    with trio.fail_after(10):
        url = httpx.URL(await nursery.start(serving))
        async with (
            await trio.open_tcp_stream(url.host, url.port or 0) as idle,
            await trio.open_tcp_stream(url.host, url.port or 0) as stream,
        ):
            await idle.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await _until(idle, b"}")).startswith(b"HTTP/1.1 200")
            await stream.send_all(b"GET /v1/fleet/events HTTP/1.1\r\n%b\r\n" % _headers(tokens))
            assert (await _until(stream, b"\n\n\r\n")).startswith(b"HTTP/1.1 200")
            running.cancel()
            assert (await _rest(stream)).endswith(b"0\r\n\r\n")  # an end as HTTP has it, not a torn connection
            assert await _rest(idle) == b""


@pytest.mark.parametrize("at_once", [True, False])
async def test_whoever_hangs_up_is_let_go_of_without_a_pause(
    feed: SampleFeed, readers: Readers, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 10_000.0)  # the pause that is allowed between two requests
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            url = httpx.URL(await nursery.start(serve, feed, readers, Address("127.0.0.1", 0)))
            async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b"" if at_once else await _until(stream, b"}")
                if not at_once:
                    await trio.testing.wait_all_tasks_blocked(0.05)  # until it waits for another request
                await stream.send_eof()
                answer += await _rest(stream)
                assert answer.startswith(b"HTTP/1.1 200")
                assert answer.endswith(b"}")
            nursery.cancel_scope.cancel()


async def test_a_reader_that_stands_still_does_not_hold_up_the_end(
    feed: SampleFeed, readers: Readers, tokens: Tokens
) -> None:
    feed.touch("x" * 8_000_000)  # more than socket buffers take
    requests = (b"/v1/fleet", b"/v1/fleet/events")
    with trio.fail_after(10):
        async with AsyncExitStack() as deaf, trio.open_nursery() as nursery:
            url = httpx.URL(await nursery.start(serve, feed, readers, Address("127.0.0.1", 0)))
            for path in requests:
                stream = await deaf.enter_async_context(await trio.open_tcp_stream(url.host, url.port or 0))
                await stream.send_all(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, _headers(tokens)))
                assert (await stream.receive_some(12)) == b"HTTP/1.1 200"
            nursery.cancel_scope.cancel()  # and the nursery ends before the readers do, though nobody reads on


def test_serving_needs_no_client_and_no_terminal_library() -> None:
    script = (
        "import sys; before = {m for m in sys.modules};"
        "import meshfleet.serve; print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "starlette" in found
    assert {"httpx", "rich", "typer", "pytest"}.isdisjoint(found)


async def test_a_write_that_stands_still_breaks_its_stream_and_is_counted(autojump_clock: MockClock) -> None:
    ours, theirs = trio.socket.socketpair()
    stream = BoundedStream(trio.SocketStream(ours), counts := Counts())
    with theirs:
        await stream.send_all(b"x" * 1000)
        with pytest.raises(trio.BrokenResourceError, match="took nothing"):
            await stream.send_all(b"x" * 50_000_000)
        assert counts.slow_readers_cut == 1
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await stream.send_all(b"x")


async def test_one_connection_too_many_is_closed_unanswered_and_the_others_go_on(
    base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_LIMIT", 1)
    url = httpx.URL(base_url)
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(url.host, url.port or 0) as first:
            for _ in range(2):
                await first.send_all(request)
                assert (await _until(first, b"}")).startswith(b"HTTP/1.1 200")
                async with await trio.open_tcp_stream(url.host, url.port or 0) as second:
                    assert await second.receive_some() == b""


async def test_nothing_but_http_1_1_is_spoken(base_url: str) -> None:
    """A stream of HTTP/2 with a window of 0 would hold its answer, and so its connection, for ever."""
    url, preface = httpx.URL(base_url), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    upgrade = (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    )
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
            await stream.send_all(preface)
            assert (await _rest(stream)).startswith(b"HTTP/1.1 4")
        async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
            await stream.send_all(upgrade)
            assert (await _until(stream, b"}")).startswith(b"HTTP/1.1 200")


def _headers(tokens: Tokens) -> bytes:
    return b"Host: localhost\r\nAuthorization: Bearer %b\r\n" % tokens[Scope.READ].encode()


async def _rest(stream: trio.SocketStream) -> bytes:
    received = b""
    while piece := await stream.receive_some():
        received += piece
    return received


async def _until(stream: trio.SocketStream, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        received += await stream.receive_some()
    return received
