"""`Reader` against the real server: what crosses the wire, and when the next session is fetched."""

from __future__ import annotations

import ssl
import stat
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from meshfleet.client import Reader
from meshfleet.client.http import There
from meshfleet.client.session import KEPT_LIMIT, Cache, Kept, Session
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.node.certificate import for_http
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.readers import Readers
from meshfleet.node.settings import CERTIFICATE
from meshfleet.serve import serve
from meshfleet.wire.keyring import Keyring
from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    from meshfleet.wire.apikeys import ApiKey

    T = TypeVar("T")

NAMES = ("localhost", "127.0.0.1")


@pytest.fixture
def feed() -> SampleFeed:
    return SampleFeed()


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


@pytest.fixture
def key(keys: KeyFile) -> ApiKey:
    return keys.create(Scope.READ, "grafana", "")


@pytest.fixture
def readers(keys: KeyFile) -> Readers:
    return Readers(Keyring(b"k" * 32, b"f" * 16), keys, time.time)


@pytest.fixture
async def url(feed: SampleFeed, readers: Readers, nursery: trio.Nursery) -> str:
    found: str = await nursery.start(serve, feed, readers, Address("127.0.0.1", 0))
    return found


async def in_thread(call: Callable[[], T]) -> T:
    with trio.fail_after(30):
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)


async def recorded(url: str, wire: bytearray, nursery: trio.Nursery) -> str:
    """Another address of the node at `url`; what passes through it is added to `wire`."""
    there = httpx.URL(url)

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for piece in source:
            wire.extend(piece)
            await sink.send_all(piece)

    async def passed_on(stream: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream(there.host, there.port or 0) as onward, trio.open_nursery() as both:
            both.start_soon(pump, stream, onward)
            await pump(onward, stream)
            both.cancel_scope.cancel()

    listeners = await nursery.start(partial(trio.serve_tcp, passed_on, 0, host="127.0.0.1"))
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"


async def test_it_reads_with_a_key_that_never_crosses_the_wire(url: str, key: ApiKey, nursery: trio.Nursery) -> None:
    wire = bytearray()
    reader = Reader(await recorded(url, wire, nursery), key.text())
    view = await in_thread(reader.fleet)
    assert view.served_by.node == "n1"
    assert b"POST /auth/session" in wire
    assert b"Bearer mfs_" in wire
    assert key.secret.hex().encode() not in wire
    assert key.secret not in wire


async def test_one_session_serves_many_questions_and_the_stream(
    url: str, key: ApiKey, feed: SampleFeed, nursery: trio.Nursery
) -> None:
    wire = bytearray()
    reader = Reader(await recorded(url, wire, nursery), key)
    for _ in range(3):
        await in_thread(reader.fleet)
    views = reader.views()
    assert (await in_thread(lambda: next(views))).version == "b1c9-1"
    feed.touch("news")
    later = await in_thread(lambda: next(views))
    assert (later.version, later.agents[0].state.note, len(later.agents)) == ("b1c9-2", "news", 3)
    await in_thread(views.close)
    assert wire.count(b"POST /auth/session") == 1


async def test_the_next_session_is_fetched_at_four_fifths_of_the_first(url: str, key: ApiKey) -> None:
    now = 1000.0
    session = Session(There(url), key, lifetime_s=1000, clock=lambda: now)
    first = await in_thread(session.token)
    assert session.due_in() == 800
    now += 799
    assert await in_thread(session.token) == first
    now += 2
    second = await in_thread(session.token)
    assert second != first
    now -= 10_000  # a clock that was set back is no reason to keep one for ever
    assert await in_thread(session.token) not in (first, second)


async def test_a_session_outlives_a_command_in_a_file_of_its_owners(url: str, key: ApiKey, tmp_path: Path) -> None:
    path = tmp_path / "below" / "sessions.json"
    first = await in_thread(Session(There(url), key, cache=Cache(path)).token)
    assert await in_thread(Session(There(url), key, cache=Cache(path)).token) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.secret.hex() not in path.read_text()
    path.write_text("[{]")
    assert await in_thread(Session(There(url), key, cache=Cache(path)).token) != first


def test_a_file_of_sessions_has_an_end(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "sessions.json")
    for number in range(KEPT_LIMIT + 5):
        cache.keep(Kept(str(number), "mfs_", 1.0))
    assert cache.find("4") is None
    assert cache.find("5") is not None
    cache.drop("5")
    assert cache.find("5") is None
    Cache(tmp_path / "sessions.json" / "below-a-file").keep(Kept("1", "", 0.0))


async def test_a_token_that_is_no_longer_good_is_replaced_once(url: str, key: ApiKey, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "sessions.json")
    cache.keep(Kept(key.key_id, "mfs_of-a-fleet-whose-key-went", time.time() + 900))
    reader = Reader(url, key, cache=cache)
    assert (await in_thread(reader.fleet)).served_by.node == "n1"
    kept = cache.find(key.key_id)
    assert kept is not None
    assert kept.token.startswith("mfs_A")


async def test_without_a_key_or_with_a_wrong_one_it_says_what_to_do(url: str, key: ApiKey, keys: KeyFile) -> None:
    with pytest.raises(ConfigError, match="--key-file FILE"):
        await in_thread(Reader(url).fleet)
    assert await in_thread(partial(Reader(url).get, "/health"))
    agent = keys.create(Scope.AGENT, "build", "")
    with pytest.raises(ConfigError, match="The scope read is missing"):
        await in_thread(Reader(url, agent).fleet)
    keys.revoke("grafana")
    with pytest.raises(ConfigError, match="a key is exchanged at the node that made it"):
        await in_thread(Reader(url, key).fleet)


async def test_the_nodes_very_certificate_is_enough_whatever_names_are_in_it(
    feed: SampleFeed, readers: Readers, key: ApiKey, tmp_path: Path, nursery: trio.Nursery
) -> None:
    context = for_http("own", tmp_path, ["fleet.example.org"], datetime.now(UTC))
    url = await nursery.start(partial(serve, tls=context), feed, readers, Address("127.0.0.1", 0))
    ca = tmp_path / CERTIFICATE
    assert (await in_thread(Reader(url, key, ca=ca, pinned=True).fleet)).served_by.node == "n1"
    with pytest.raises(ConfigError, match=r"for other names.*start the node with --http-name 127\.0\.0\.1"):
        await in_thread(Reader(url, key, ca=ca).fleet)
    with pytest.raises(ConfigError, match=r"for other names.*start the node with --http-name localhost"):
        await in_thread(Reader(url.replace("127.0.0.1", "localhost"), key, ca=ca).fleet)
    (tmp_path / "other").mkdir()
    for_http("own", tmp_path / "other", ["fleet.example.org"], datetime.now(UTC))
    with pytest.raises(ConfigError, match="certificate is not trusted here"):
        await in_thread(Reader(url, key, ca=tmp_path / "other" / CERTIFICATE, pinned=True).fleet)


async def test_over_tls_it_trusts_the_nodes_own_certificate_and_no_other(
    feed: SampleFeed, readers: Readers, key: ApiKey, tmp_path: Path, nursery: trio.Nursery
) -> None:
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        context = for_http("own", folder, NAMES, datetime.now(UTC))
    context = for_http("own", tmp_path, NAMES, datetime.now(UTC))
    url = await nursery.start(partial(serve, tls=context, names=NAMES), feed, readers, Address("127.0.0.1", 0))
    assert url.startswith("https://127.0.0.1:")
    view = await in_thread(Reader(url, key, ca=tmp_path / CERTIFICATE).fleet)
    assert view.served_by.node == "n1"
    views = Reader(url, key, ca=tmp_path / CERTIFICATE).views()
    assert (await in_thread(lambda: next(views))).version == "b1c9-1"
    await in_thread(views.close)
    for ca in (None, tmp_path / "other" / CERTIFICATE):
        with pytest.raises(ConfigError, match="certificate is not trusted here"):
            await in_thread(Reader(url, key, ca=ca).fleet)
    with pytest.raises(NoAnswer):
        await in_thread(Reader(url.replace("https", "http"), key).fleet)
    old = ssl.create_default_context(cafile=tmp_path / CERTIFICATE)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(verify=old, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/health")
