"""`meshfleet.Client` against real servers that come and go."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trio

import meshfleet
from meshfleet.client.client import may_turn_to
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.readers import Readers
from meshfleet.serve import limits, serve, stream
from meshfleet.wire.keyring import Keyring
from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from meshfleet.fleet.view import FleetView
    from meshfleet.wire.apikeys import ApiKey

    T = TypeVar("T")


class Site:
    """A node of a fleet, as readers know it: it can end, and come back at the same address."""

    def __init__(self, name: str, keys: KeyFile, nursery: trio.Nursery) -> None:
        self.name = name
        self.feed = SampleFeed()
        self._readers = Readers(Keyring(b"k" * 32, b"f" * 16), keys, time.time)
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self.url = ""

    async def start(self, port: int = 0) -> None:
        self._scope, self._over = trio.CancelScope(), trio.Event()
        self.url = await self._nursery.start(self._run, port)

    async def _run(self, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        with self._scope:
            await serve(self.feed, self._readers, Address("127.0.0.1", port), task_status=task_status)
        self._over.set()

    async def end(self) -> None:
        self._scope.cancel()
        await self._over.wait()


async def in_thread(call: Callable[[], T]) -> T:
    with trio.fail_after(30):
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


@pytest.fixture
def key(keys: KeyFile) -> ApiKey:
    return keys.create(Scope.READ, "grafana", "")


@pytest.fixture
async def sites(keys: KeyFile, nursery: trio.Nursery) -> tuple[Site, Site]:
    both = Site("one", keys, nursery), Site("two", keys, nursery)
    for site in both:
        await site.start()
        site.feed.touch(site.name)
    return both


def note(view: FleetView) -> str | None:
    return view.agents[0].state.note


async def test_it_is_told_each_change_and_goes_on_with_another_node(sites: tuple[Site, Site], key: ApiKey) -> None:
    one, two = sites
    views: Iterator[FleetView] = meshfleet.Client(one.url, two.url, key=key, sleep=lambda _: None).watch()
    assert note(await in_thread(lambda: next(views))) == "one"
    one.feed.touch("news of one")
    assert note(await in_thread(lambda: next(views))) == "news of one"
    await one.end()
    assert note(await in_thread(lambda: next(views))) == "two"
    two.feed.touch("news of two")
    assert note(await in_thread(lambda: next(views))) == "news of two"
    await in_thread(views.close)  # type: ignore[attr-defined]  # a generator's


async def test_while_nobody_answers_it_waits(sites: tuple[Site, Site], key: ApiKey) -> None:
    one, two = sites
    waited: Counter[str] = Counter()
    asleep, back = trio.Event(), trio.Event()

    def sleep(_seconds: float) -> None:
        waited["times"] += 1
        trio.from_thread.run_sync(asleep.set)
        trio.from_thread.run(back.wait)

    views = meshfleet.Client(one.url, key=key, sleep=sleep).watch()
    await in_thread(lambda: next(views))
    port = int(one.url.rpartition(":")[2])
    await two.end()
    await one.end()
    seen: list[str | None] = []
    async with trio.open_nursery() as nursery:

        async def go_on() -> None:
            seen.append(note(await in_thread(lambda: next(views))))

        nursery.start_soon(go_on)
        with trio.fail_after(30):
            await asleep.wait()
        await one.start(port)
        back.set()
    assert seen == ["one"]
    assert waited["times"] >= 1
    await in_thread(views.close)


async def test_one_session_is_good_at_every_node(sites: tuple[Site, Site], key: ApiKey) -> None:
    one, two = sites
    client = meshfleet.Client(one.url, two.url, key=key)
    assert note(await in_thread(client.fleet)) == "one"
    await one.end()
    assert note(await in_thread(client.fleet)) == "two"
    assert client.url == two.url


async def test_where_all_streams_are_taken_it_polls(
    sites: tuple[Site, Site], key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = sites
    monkeypatch.setattr(stream, "STREAMS_LIMIT", 0)
    views = meshfleet.Client(one.url, key=key, sleep=lambda _: None).watch()
    assert note(await in_thread(lambda: next(views))) == "one"
    one.feed.touch("polled")
    assert note(await in_thread(lambda: next(views))) == "polled"
    assert limits.STREAMS_LIMIT > 0
    await in_thread(views.close)


async def test_it_says_who_did_not_answer_and_what_was_wrong_with_the_key(
    sites: tuple[Site, Site], key: ApiKey, tmp_path: Path
) -> None:
    one, two = sites
    stranger = KeyFile(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ConfigError):
        await in_thread(meshfleet.Client(one.url, key=stranger.create(Scope.READ, "x", "")).fleet)
    await one.end()
    await two.end()
    with pytest.raises(NoAnswer, match="none of 2 known nodes"):
        await in_thread(meshfleet.Client(one.url, two.url, key=key).fleet)
    with pytest.raises(ConfigError, match="needs a node"):
        meshfleet.Client()


async def test_it_learns_who_else_is_there_but_no_loopback_of_others(sites: tuple[Site, Site], key: ApiKey) -> None:
    one, _ = sites
    client = meshfleet.Client(one.url, key=key)
    view = await in_thread(client.fleet)
    assert [node.base_url for node in view.nodes] == [f"http://127.0.0.1:788{i}" for i in (1, 2, 3)]
    assert client._urls == [one.url, "http://127.0.0.1:7881", "http://127.0.0.1:7882"]  # n3 is down
    far = meshfleet.Client("http://10.0.0.7:7879", key=key)
    far._learn("http://10.0.0.7:7879", view)
    assert far._urls == ["http://10.0.0.7:7879"]


@pytest.mark.parametrize(
    ("url", "told_by", "may"),
    [
        ("https://box-2:7879", "http://box-1:7879", True),
        ("https://box-2:7879", "http://127.0.0.1:7879", True),
        ("http://box-2:7879", "http://box-1:7879", False),
        ("http://box-2:7879", "http://127.0.0.1:7879", False),  # which may be a tunnel to another machine
        ("http://box-2:7879", "http://localhost:7879", False),
        ("https://[2001:db8::1]:7879/", "http://box-1:7879", True),
        ("https://box-2:7879", "https://box-1:7879", True),
        ("http://box-2:7879", "https://box-1:7879", False),
        ("http://127.8.0.1:1", "http://127.0.0.1:7879", True),
        *(
            (near, "http://box-1:7879", False)
            for near in ("http://localhost:1", "http://127.8.0.1:1", "http://[::1]:1")
        ),
        *(
            (wrong, "http://box-1:7879", False)
            for wrong in ("https://[", "https://box:99999", "box:1", "https://a..b:1")
        ),
        *((wrong, "http://box-1:7879", False) for wrong in ("javascript:alert(1)", "https://a b", "https://[::::]:1")),
        ("https://user@box-2:7879", "http://box-1:7879", False),
        ("https://" + "a" * 64 + ":1", "http://box-1:7879", False),
    ],
)
def test_to_whom_it_turns_of_whom_it_was_told(url: str, told_by: str, may: bool) -> None:
    assert may_turn_to(url, told_by) is may


async def test_a_name_that_a_member_made_up_ends_nothing(sites: tuple[Site, Site], key: ApiKey) -> None:
    one, _ = sites
    client = meshfleet.Client("http://127.0.0.1:9", key=key)
    client._urls += ["http://no-such-host.invalid:1", "https://" + one.url.removeprefix("http://"), one.url]
    assert (await in_thread(client.fleet)).nodes
    assert await in_thread(lambda: next(client.watch()).nodes)
    with pytest.raises(ConfigError, match="can't be resolved"):
        await in_thread(meshfleet.Client("http://no-such-host.invalid:1", key=key).fleet)


@pytest.mark.parametrize("url", ["http://[", "http://box:99999", "http://box:x", "box:7879", "ftp://box:1", "http://"])
def test_what_is_no_address_of_a_node_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a node"):
        meshfleet.Client(url).fleet()


async def test_who_is_told_to_stop_ends_though_no_node_answers(key: ApiKey) -> None:
    client = meshfleet.Client("http://127.0.0.1:9", key=key, sleep=lambda _: client.stop())
    assert await in_thread(lambda: list(client.watch())) == []
