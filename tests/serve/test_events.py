from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from meshfleet.client.change import Change
from meshfleet.serve.answers import Refusal
from meshfleet.serve.encoded import Encoding
from meshfleet.serve.gate import Client
from meshfleet.serve.limits import KEEP_ALIVE_SECONDS, REFRESH_SECONDS, STREAMS_LIMIT, Counts
from meshfleet.serve.line import Line
from meshfleet.serve.listen import BoundedStream
from meshfleet.serve.stream import KEEP_ALIVE, KEEP_ALIVE_CHUNK, Broadcast, EventStream, Follower, Told

if TYPE_CHECKING:
    import httpx
    from starlette.types import Message
    from trio.testing import MockClock

    from meshfleet.wire.keyring import Keyring

    from .conftest import EventReader, SampleFeed


Opened = Callable[..., AbstractAsyncContextManager["EventReader"]]


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_updates(reader: Opened, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with reader() as told:
            assert told.response is not None
            assert dict(told.response.headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
            assert await told.event() == ("snapshot", "b1c9-1", "hello")
            feed.touch("second")
            assert await told.event() == ("update", "b1c9-2", "second")
            feed.touch("third")
            assert await told.event() == ("update", "b1c9-3", "third")


async def test_all_readers_hear_the_same_and_one_view_serves_them(reader: Opened, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with reader() as one, reader(("Last-Event-ID", "b1c9-0")) as two:
            assert await one.event() == await two.event() == ("snapshot", "b1c9-1", "hello")
            built = feed.views_built
            feed.touch("for all")
            assert await one.event() == await two.event() == ("update", "b1c9-2", "for all")
            assert feed.views_built == built + 1


async def test_a_reader_beyond_the_last_seat_gets_503_and_a_seat_once_one_is_free(
    reader: Opened, client: httpx.AsyncClient
) -> None:
    with trio.fail_after(20):
        async with AsyncExitStack() as open_streams:
            for _ in range(STREAMS_LIMIT):
                told = await open_streams.enter_async_context(reader())
                assert await told.event() is not None
            refused = await client.get("/v1/fleet/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
            assert str(STREAMS_LIMIT) in refused.json()["error"]
            assert (await client.get("/v1/fleet")).status_code == 200
        while True:
            async with reader() as again:
                if again.response is not None and again.response.status_code == 200:
                    break


async def test_asking_for_the_head_alone_ends_at_once(client: httpx.AsyncClient) -> None:
    with trio.fail_after(10):
        answer = await client.head("/v1/fleet/events")
        assert (answer.status_code, answer.content) == (200, b"")


async def test_a_reader_that_stops_reading_holds_up_no_other(reader: Opened, feed: SampleFeed) -> None:
    with trio.fail_after(20):
        async with reader(), reader() as told:
            assert await told.event() is not None
            feed.touch("x" * 8_000_000)  # more than socket buffers take, and the first reader takes nothing
            assert await told.event() is not None
            for number in range(3):
                feed.touch(f"small {number}")
                assert await told.event() == ("update", feed.version(), f"small {number}")


async def test_a_reader_that_reads_again_gets_the_rest_and_then_the_newest(reader: Opened, feed: SampleFeed) -> None:
    with trio.fail_after(20):
        async with reader() as slow, reader() as quick:
            assert await slow.event() == await quick.event() == ("snapshot", "b1c9-1", "hello")
            large = "x" * 8_000_000
            for note in (large, "passed by", "newest"):
                feed.touch(note)
                assert await quick.event() == ("update", feed.version(), note)
            assert await slow.event() == ("update", "b1c9-2", large)
            assert await slow.event() == ("update", "b1c9-4", "newest")
            feed.touch("and on")
            assert await slow.event() == await quick.event() == ("update", "b1c9-5", "and on")


def broadcast(feed: SampleFeed, counts: Counts) -> Broadcast:
    return Broadcast(feed, Encoding(feed), counts)


def told_of(told: Told | None) -> tuple[str, list[str | None]]:
    """What kind of event it is, and the notes of the agents in it."""
    assert told is not None
    return told.event, [agent["state"]["note"] for agent in json.loads(told.data).get("agents", [])]


async def test_a_slow_reader_gets_the_newest_of_each_and_what_passed_it_by_is_counted(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, counts := Counts())
    nursery.start_soon(source.run)
    with source.follow("a") as slow:
        assert told_of(slow.first) == ("snapshot", ["hello", None, None])
        await trio.testing.wait_all_tasks_blocked()
        with source.follow("b") as quick:
            for number in range(3):
                feed.touch(f"news {number}")
                assert told_of(await quick.next()) == ("update", [f"news {number}"])
        assert counts.updates_merged == 0
        assert told_of(await slow.next()) == ("update", ["news 2"])
        assert counts.updates_merged == 2


async def test_who_comes_back_goes_on_where_it_was(reader: Opened, feed: SampleFeed) -> None:
    with trio.fail_after(10):
        async with reader() as told:
            assert await told.event() == ("snapshot", "b1c9-1", "hello")
            feed.touch("second")
            assert await told.event() == ("update", "b1c9-2", "second")
            last_id = told.last_id
        feed.touch("third")
        feed.touch("fourth")
        async with reader(("Last-Event-ID", last_id)) as told:
            assert await told.event() == ("update", "b1c9-4", "fourth")
        async with reader(("Last-Event-ID", told.last_id)) as told:
            assert await told.event() == ("update", "b1c9-4", None)


@pytest.mark.parametrize(
    "wrong", ["b1c9-1", "zzz", "", "-", "00000000-1", "{life}-99", "{life}--1", "{life}-²", "{life}-" + "9" * 5_000]
)
async def test_an_id_that_means_nothing_here_brings_the_whole_view(
    feed: SampleFeed, wrong: str, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, Counts())
    with source.follow("a") as first:
        life = first.first.id.partition("-")[0]
        with source.follow("b", wrong.replace("{life}", life)) as told:
            assert told.first.event == "snapshot"


async def test_a_storm_of_news_makes_at_most_four_updates_a_second(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, Counts())
    nursery.start_soon(source.run)
    nursery.start_soon(_storm, feed)
    heard = 0
    with source.follow("a") as follower, trio.move_on_after(10):
        while await follower.next():
            heard += 1
    assert 38 <= heard <= 42


async def test_news_after_a_calm_does_not_wait(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, Counts())
    nursery.start_soon(source.run)
    with source.follow("a") as follower:
        await follower.next()
        start = trio.current_time()
        for number in range(2):
            feed.touch(f"news {number}")
            assert told_of(await follower.next()) == ("update", [f"news {number}"])
        assert trio.current_time() == start


async def test_silence_is_filled_with_comments(feed: SampleFeed, autojump_clock: MockClock) -> None:
    with broadcast(feed, Counts()).follow("a") as follower:
        start = trio.current_time()
        assert await follower.next() is None
        assert trio.current_time() - start == pytest.approx(5)


async def test_silence_on_a_line_is_filled_too(feed: SampleFeed, nursery: trio.Nursery, mock_clock: MockClock) -> None:
    source = broadcast(feed, Counts())
    nursery.start_soon(source.run)
    ours, theirs = trio.socket.socketpair()
    with source.follow("a") as follower, ours, theirs:
        with source.on(Line(BoundedStream(trio.SocketStream(ours), Counts())), follower):
            for _ in range(3):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(REFRESH_SECONDS)
            await trio.testing.wait_all_tasks_blocked()
        assert await theirs.recv(1_000) == KEEP_ALIVE_CHUNK


async def test_who_was_heard_of_is_told_though_the_version_stays(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, Counts())
    nursery.start_soon(source.run)
    with source.follow("a") as follower:
        await trio.testing.wait_all_tasks_blocked()
        feed.age(seen="2026-11-23T20:15:06.000Z")
        start = trio.current_time()
        told = await follower.next()
        assert told is not None
        change = msgspec.json.decode(told.data, type=Change)
        assert (change.version, change.nodes, change.agents) == ("b1c9-1", (), ())
        assert change.seen == {"n2": "2026-11-23T20:15:06.000Z"}
        assert trio.current_time() - start <= 2
        feed.age(seen="2026-11-23T20:15:06.100Z")  # what two clocks differ by is no news
        assert await follower.next() is None


async def test_nothing_is_built_while_nobody_reads(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = broadcast(feed, Counts())
    nursery.start_soon(source.run)
    with source.follow("a"):
        await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(_storm, feed)
    with trio.move_on_after(60):
        await trio.sleep_forever()
    assert feed.views_built <= 2  # the reader's, and the look that was under way when it left


async def test_who_comes_after_a_silence_is_told_the_newest(feed: SampleFeed) -> None:
    source = broadcast(feed, Counts())
    with source.follow("a"):
        pass
    feed.touch("meanwhile")
    with source.follow("a") as late:
        assert told_of(late.first) == ("snapshot", ["meanwhile", None, None])


async def test_a_closed_broadcast_lets_its_readers_go(feed: SampleFeed, autojump_clock: MockClock) -> None:
    source = broadcast(feed, Counts())
    with source.follow("a") as follower:
        source.close()
        with pytest.raises(trio.EndOfChannel):
            await follower.next()


async def test_a_refused_reader_is_counted_and_takes_no_seat(feed: SampleFeed) -> None:
    source = broadcast(feed, counts := Counts())
    source.clients["others"] = STREAMS_LIMIT
    with pytest.raises(Refusal, match="in use"), source.follow("a"):
        pass
    assert (counts.streams_refused, source.clients) == (1, {"others": STREAMS_LIMIT})


async def test_a_stream_ends_in_order_with_its_readers_session(feed: SampleFeed, autojump_clock: MockClock) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await trio.sleep_forever()
        raise AssertionError("it never wakes")

    async def send(message: Message) -> None:
        sent.append(message)

    source = broadcast(feed, Counts())
    start = trio.current_time()
    with trio.fail_after(3600):
        await EventStream(source, Client("a", seconds=100.0))({"type": "http", "method": "GET"}, receive, send)
    assert trio.current_time() - start == pytest.approx(100)
    assert sent[1]["body"].endswith(b"\n\n")
    assert {message["body"] for message in sent[2:-1]} == {KEEP_ALIVE}
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert not source.clients


async def test_a_rotation_ends_the_streams_that_were_begun_with_the_old_key_and_no_other(
    reader: Opened, feed: SampleFeed, ring: Keyring, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # real sockets have their time
    with trio.fail_after(120):
        async with reader() as old:
            assert await old.event() == ("snapshot", "b1c9-1", "hello")
            before, now = ring.current.key_id, ring.add(bytes(32))
            ring.use(now)
            async with reader() as new:
                assert await new.event() == ("snapshot", "b1c9-1", "hello")
                ring.remove(before)
                assert await old.event() is None
                feed.touch("for who may")
                assert await new.event() == ("update", "b1c9-2", "for who may")


async def test_a_stream_whose_bytes_are_its_own_ends_so_too(
    feed: SampleFeed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source, good = broadcast(feed, Counts()), [True]
    nursery.start_soon(source.run)
    with source.follow("a", holds=lambda: good[0]) as follower, trio.fail_after(60):
        assert await follower.next() is None
        good[0] = False
        start = trio.current_time()
        with pytest.raises(trio.EndOfChannel):
            await _all_of(follower)
        assert trio.current_time() - start <= KEEP_ALIVE_SECONDS


async def _all_of(follower: Follower) -> None:
    while True:
        await follower.next()


async def _storm(feed: SampleFeed) -> None:
    while True:
        with trio.move_on_after(0.01):
            await trio.sleep_forever()
        feed.touch(f"news {feed.number}")
