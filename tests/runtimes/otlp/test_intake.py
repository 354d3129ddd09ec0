"""Requests as a whole: what is sent again, too much, or too many; and that nothing waits for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.errors import Busy, TelemetryError
from meshfleet.runtimes.otlp import intake
from meshfleet.runtimes.otlp.series import SERIES_LIMIT
from meshfleet.runtimes.sessions import Key
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0

from .writing import DELTA, Ear, Json, claude, counter, logs, metrics, point, request, used

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.intake import Taken


async def test_a_batch_that_is_sent_again_is_taken_and_counted_once() -> None:
    heard = Ear()
    batch = logs(*(request(T0 + n, out=1, request_id=f"r{n}") for n in range(600)))  # more than a ledger remembers
    await heard.hear(batch, batch)
    assert heard.told().usage == Usage(output=600)
    assert heard.counts["runtimes_otlp_repeated"] == 1


async def test_a_request_that_could_not_be_read_counts_for_nothing() -> None:
    heard = Ear()
    with pytest.raises(TelemetryError):
        await heard.telemetry.telemetry("logs", b"{", protobuf=False)
    await heard.hear(logs(request(out=1)))
    assert heard.told().usage == Usage(output=1)


async def test_beyond_what_may_wait_its_sender_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "WAITING_LIMIT", 3)
    heard = Ear()
    taken: list[str] = []

    async def send(number: int) -> None:
        try:
            await heard.hear(logs(request(T0 + number, out=1)))
            taken.append("taken")
        except Busy:
            taken.append("busy")

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(send, number)
    assert sorted(taken) == ["busy"] * 5 + ["taken"] * 3
    await heard.hear(logs(request(T0 + 99, out=1)))  # nobody waits any more
    assert heard.told().usage == Usage(output=4)
    assert heard.counts["runtimes_otlp_busy"] == 5


def series(number: int, session: str = SESSION) -> Json:
    return used("input", 1, T0, T0 + 1, model=f"m-{number}", session__id=session)


async def test_series_beyond_the_limit_are_rejected_and_told_of() -> None:
    heard = Ear()
    taken = await heard.hear(metrics(*(series(n) for n in range(SERIES_LIMIT + 5))))
    assert (taken.rejected, taken.why) == (5, "a metric has more series than this node counts")
    assert heard.told().usage == Usage(fresh=SERIES_LIMIT)


async def test_all_sessions_together_have_so_many_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SERIES_IN_ALL", 10)

    async def eight_of(heard: Ear, session: str) -> Taken:
        return await heard.hear(metrics(*(series(n, session) for n in range(8))))

    heard = Ear()
    assert (await eight_of(heard, "s1")).rejected == 0
    assert (await eight_of(heard, "s2")).rejected == 6


async def test_beyond_so_many_sessions_the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "DESK_LIMIT", 3)
    heard = Ear()
    for number, session in enumerate(("s0", "s1", "s2", "s0", "s3", "s0", "s1")):  # s3 takes the place of s1
        await heard.hear(logs(claude("api_request", T0 + number, output_tokens=1, session__id=session)))
    usages = [heard.told(Key("claude-code", session)).usage for session in ("s0", "s1")]
    assert usages == [Usage(output=3), Usage(output=1)]
    assert heard.counts["runtimes_otlp_sessions_dropped"] == 2


async def test_a_session_that_is_forgotten_leaves_room_for_the_series_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "DESK_LIMIT", 1)
    monkeypatch.setattr(intake, "SERIES_IN_ALL", 10)
    heard = Ear()
    for session in ("s1", "s2"):
        taken = await heard.hear(metrics(*(series(n, session) for n in range(8))))
        assert taken.rejected == 0


async def test_a_clock_that_runs_ahead_is_held_to_this_machines() -> None:
    heard = Ear()
    heard.now = T0
    await heard.hear(logs(request(T0 + 86_400, out=1)))
    assert heard.told().last_at == T0


async def test_records_in_any_order_leave_the_newest_word() -> None:
    early, late = request(T0, fresh=100, model="m-1k"), request(T0 + 5, fresh=300, model="m-200k")
    for order in ((early, late), (late, early)):
        heard = Ear()
        await heard.hear(logs(order[0]), logs(order[1]))
        told = heard.told()
        assert (told.context_tokens, told.model, told.last_at) == (300, "m-200k", T0 + 5)
        assert told.usage == Usage(fresh=400)


async def test_what_says_nothing_of_a_session_is_no_session() -> None:
    heard = Ear()
    other = counter("http.server.duration", DELTA, point(1, T0, T0 + 1))
    await heard.hear(logs({"attributes": []}), metrics(other), logs())
    assert heard.desk.keys() == set()


async def test_reading_leaves_the_loop_alone() -> None:
    """While a large request is read, other tasks go on."""
    heard = Ear()
    body = json.dumps(logs(*(request(T0 + n, out=1) for n in range(4000)))).encode()
    done, turns = trio.Event(), 0

    async def read() -> None:
        await heard.telemetry.telemetry("logs", body, protobuf=False)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            turns += 1
    assert turns > 2
