"""Agents that serve their state over HTTP, asked at real servers on loopback: well-behaved ones and others."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet import asking
from meshfleet.fleet.endpoint import Endpoint, Transport, Trouble
from meshfleet.fleet.state import Status
from meshfleet.runtimes.endpoints import reading
from meshfleet.runtimes.endpoints.reading import read_state
from tests.runtimes.asking_alone import IDLE, NAME, asked, hasten, served
from tests.runtimes.serving import Stub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def test_a_plain_agent_is_polled_and_shown_under_its_endpoints_name() -> None:
    stub = Stub()
    stub.answers["/state"] = {**IDLE, "agent_id": "somebody/else", "unknown": {"x": 1}}
    async with stub.running(), asked(stub.url) as told:
        await told.until_shown(lambda state: state["status"] == "idle")
        shown = told.sink.now[NAME]
        assert (shown.agent_id, shown.runtime, shown.model, shown.tokens_in) == (NAME, "http", "qwen3:32b", 12)
        assert list(told.sink.now) == [NAME]
        await told.duties.until(Transport.POLL, 3)
        stub.answers["/state"] = {**IDLE, "status": "working"}
        await told.until_shown(lambda state: state["status"] == "working")


async def test_an_agent_that_has_nothing_new_is_published_once() -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until(Transport.POLL, 10)
        assert len(told.sink.states) == 1


def offering_events() -> Stub:
    """Whoever is idle, and would tell of changes."""
    stub = Stub()
    stub.answers |= {"/state": IDLE, "/health": {}}
    stub.stream("/events", b": hello\n\n")
    return stub


async def test_events_are_followed_where_they_are_offered_and_polling_stops() -> None:
    stub = offering_events()
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until(Transport.STREAM)
        polls = stub.asked.count("/state")
        stub.stream("/events", b"event: state\ndata: " + json.dumps({**IDLE, "status": "tool"}).encode() + b"\n\n")
        await told.until_shown(lambda state: state["status"] == "tool")
        await stub.until("/health", 2)
        assert stub.asked.count("/state") == polls


async def test_health_is_a_sign_of_life_while_the_stream_is_silent() -> None:
    stub = offering_events()
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until(Transport.STREAM, 5)
        assert len(stub.asked) > 3


async def test_a_stream_that_ends_is_polled_meanwhile_and_followed_again() -> None:
    stub = offering_events()
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until(Transport.STREAM)
        polls = stub.asked.count("/state")
        await stub.cut("/events")
        await stub.until("/state", polls + 1)
        await stub.until("/events", 2)
        await told.duties.until(Transport.STREAM)


async def test_a_stream_of_garbage_is_left_for_polling() -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    stub.stream("/events", b"data: {}\n\n")
    async with stub.running(), asked(stub.url) as told:
        await told.counted("endpoint_bad_answers")
        stub.stream("/events", b": more\n\n")
        await told.duties.until(Transport.POLL, 3)
        assert stub.asked.count("/events") == 1


async def test_an_endpoint_whose_events_are_a_web_page_has_none() -> None:
    stub = Stub()
    stub.answers |= {"/state": IDLE, "/events": b"<html>"}
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until(Transport.POLL, 5)
        assert stub.asked.count("/events") == 1
        assert Transport.STREAM not in told.duties.said


GARBAGE = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"status": "dancing"}',
    b'{"status": "idle", "tokens_in": -1}',
    b'{"status": "idle", "tokens_in": 1e400}',
    b'{"status": "idle", "cost_usd": "seven"}',
    b'{"status": "idle", "note": "' + b"x" * 300 + b'"}',
    b'{"status": "idle", "x": "' + b"x" * reading.STATE_LIMIT + b'"}',
    b'{"status": "idle", "sources": ' + b"[" * 30_000,
    b'{"node": "n1", "epoch": 1, "agents": []}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_counted_and_nothing_is_shown(answer: bytes) -> None:
    stub = Stub()
    stub.answers["/state"] = answer
    async with stub.running(), asked(stub.url) as told:
        await told.duties.until((Trouble.NONSENSE, 0), 2)
        assert told.sink.states == []
        stub.answers["/state"] = IDLE
        await told.until_shown(lambda state: state["status"] == "idle")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_a_refusal_is_told_as_it_came(status: int) -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    stub.statuses["/state"] = status
    async with stub.running(), asked(stub.url, "s3cret") as told:
        await told.duties.until((Trouble.STATUS, status), 2)
        assert told.sink.states == []


async def hang(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def trickle(stream: trio.SocketStream) -> None:
    """A header that never ends, a byte at a time: slower than any limit of bytes would notice."""
    with trio.fail_after(60):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        await trio.sleep_forever()


@pytest.mark.parametrize("handle", [hang, trickle])
async def test_one_that_hangs_is_there_and_does_not_answer(
    handle: Callable[[trio.SocketStream], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking.asked, "__kwdefaults__", {**(asking.asked.__kwdefaults__ or {}), "patience": 0.2})
    async with trio.open_nursery() as nursery:
        async with asked(await served(handle, nursery=nursery)) as told:
            await told.duties.until((Trouble.HANGS, 0), 2)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("says", "trouble"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Trouble.NONSENSE),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000, Trouble.NONSENSE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", Trouble.HANGS),
    ],
    ids=["ssh", "a header without end", "cut short"],
)
async def test_what_is_no_http_is_nonsense(says: bytes, trouble: Trouble) -> None:
    async def say(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # it has read enough
            await stream.receive_some()
            await stream.send_all(says)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        async with asked(await served(say, nursery=nursery)) as told:
            await told.duties.until((trouble, 0), 2)
        nursery.cancel_scope.cancel()


async def test_one_that_is_gone_is_refused_and_seen_at_once_when_it_is_back() -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    async with stub.running(), asked(stub.url) as told:
        await told.until_shown(lambda state: True)
        await stub.end()
        await told.duties.until((Trouble.REFUSED, 0), 3)
        assert list(told.sink.now) == [NAME], "the last known state stays"


async def test_what_is_another_nodes_turn_is_let_go_and_taken_up_again() -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    async with stub.running(), asked(stub.url) as told:
        await told.until_shown(lambda state: True)
        told.duties.mine = False
        await told.sink.until(lambda now: NAME not in now)
        told.duties.mine = True
        await told.until_shown(lambda state: True)


async def test_an_endpoint_that_is_taken_from_the_list_is_gone_and_a_changed_one_asked_anew() -> None:
    stub, other = Stub(), Stub()
    stub.answers["/state"], other.answers["/state"] = IDLE, {**IDLE, "status": "error"}
    async with stub.running(), other.running(), asked(stub.url) as told:
        await told.until_shown(lambda state: state["status"] == "idle")
        told.duties.endpoints = {NAME: Endpoint(name=NAME, base_url=other.url)}
        await told.until_shown(lambda state: state["status"] == "error")
        told.duties.endpoints = {}
        await told.sink.until(lambda now: NAME not in now)


def test_a_state_brings_its_own_time_and_runtime() -> None:
    endpoint = Endpoint(name=NAME, base_url="http://127.0.0.1")
    said = {**IDLE, "timestamp": "2026-11-23T20:15:05Z", "runtime": "crewai", "active_tool": "Bash"}
    state = read_state(endpoint, json.dumps(said).encode(), "now")
    assert (state.timestamp, state.runtime, state.status) == ("2026-11-23T20:15:05Z", "crewai", Status.IDLE)
