"""Telemetry and files of one session, watched together: one agent, nothing counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.otlp.intake import Telemetry
from tests.runtimes.test_watching import AGENT, Home, shows
from tests.runtimes.writing import SESSION, T0, Flat, answer, prompt

from .writing import Ear, claude, logs, request

if TYPE_CHECKING:
    from pathlib import Path


class Both(Ear):
    """An ear whose desk is watched beside the files of a home."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.desk, self.counts = home.desk, home.counts
        self.telemetry = Telemetry(
            home.desk, ("box",), home.counts, wall=lambda: home.now, tariff=lambda provider: Flat()
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def test_a_session_that_only_telemetry_tells_of_is_an_agent(home: Home) -> None:
    ear = Both(home)
    async with home.watched() as sink:
        await ear.hear(logs(request(T0 + 1, fresh=50_000, out=7, cost=0.25, event__sequence=0)))
        await sink.until(shows(AGENT, tokens_in=50_000, tokens_out=7, cost_usd=0.25, context_pct=25.0))
        assert sink.now[AGENT].sources == {
            "status": "reported:otlp",
            "model": "reported:otlp",
            "context_tokens": "reported:otlp",
            "context_limit": "inferred:genai-prices",
            "tokens_in": "reported:otlp since 2026-11-18T11:06Z",
            "tokens_out": "reported:otlp since 2026-11-18T11:06Z",
            "cost_usd": "reported:otlp",
        }


async def test_a_session_told_of_by_file_and_telemetry_is_one_agent_and_counted_once(home: Home) -> None:
    ear = Both(home)
    home.write(home.session, prompt(T0), answer(T0 + 1, "a", fresh=100, out=5))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, tokens_out=5, cost_usd=5.0))
        # The same answer, as telemetry has it: its own price, and half of the answers, since it began to listen late.
        await ear.hear(logs(request(T0 + 1, fresh=100, out=5, cost=5.0)))
        home.write(home.session, answer(T0 + 2, "b", fresh=120, out=6))
        await ear.hear(logs(request(T0 + 2, fresh=120, out=6, cost=6.5)))
        # 5 + 6 tokens, by the file; 5 + 6.5 dollars, by the runtime's own word.
        await sink.until(shows(AGENT, tokens_in=220, tokens_out=11, cost_usd=11.5, status=Status.IDLE))
        assert set(sink.now) == {AGENT}
        sources = sink.now[AGENT].sources
        assert (sources["tokens_out"], sources["cost_usd"]) == ("reported:transcript", "reported:otlp")
        assert sources["status"] == "reported:transcript"


async def test_the_name_that_telemetry_tells_is_taken_when_it_is_told(home: Home) -> None:
    ear = Both(home)
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT))
        await ear.hear(logs(request(T0 + 1, out=1), resource={"meshfleet.agent": "box/mine"}))
        await sink.until(lambda now: set(now) == {"box/mine"})
        assert AGENT in sink.withdrawn


async def test_of_two_sessions_with_one_name_the_one_that_spoke_last_has_it(home: Home) -> None:
    ear = Both(home)
    mine: dict[str, object] = {"meshfleet.agent": "box/mine"}
    async with home.watched() as sink:
        await ear.hear(logs(request(T0 + 1, out=1), resource=mine))
        await sink.until(shows("box/mine", tokens_out=1))
        # `/clear`: the program goes on under a new session.
        await ear.hear(logs(claude("api_request", T0 + 5, output_tokens=2, session__id="s2"), resource=mine))
        await sink.until(lambda now: shows("box/mine", tokens_out=2, session="s2")(now) and AGENT in now)
        assert sink.now[AGENT].session == SESSION
        # An old word of the old session changes nothing of that.
        await ear.hear(logs(request(T0 + 2, out=4), resource=mine))
        await sink.until(shows(AGENT, tokens_out=5))
        assert set(sink.now) == {"box/mine", AGENT}


async def test_a_session_that_was_silent_longer_does_not_take_the_name(home: Home) -> None:
    ear = Both(home)
    mine: dict[str, object] = {"meshfleet.agent": "box/mine"}
    async with home.watched() as sink:
        await ear.hear(logs(request(T0 + 5, out=1), resource=mine))
        await sink.until(shows("box/mine", tokens_out=1))
        await ear.hear(logs(claude("api_request", T0 + 1, output_tokens=2, session__id="s2"), resource=mine))
        await sink.until(shows("box/claude-s2", tokens_out=2))
        assert sink.now["box/mine"].session == SESSION


async def test_a_window_that_is_configured_counts_where_the_runtime_says_none(home: Home) -> None:
    ear = Both(home)
    home.settings = msgspec.structs.replace(home.settings, windows={"my-model": 1_000, "m-200k": 100_000})
    async with home.watched() as sink:
        await ear.hear(logs(request(T0 + 1, fresh=250, model="my-model")))
        await sink.until(shows(AGENT, context_limit=1_000, context_pct=25.0))
        assert sink.now[AGENT].sources["context_limit"] == "configured"
        # A list's word comes after the operator's.
        await ear.hear(logs(request(T0 + 2, fresh=250, model="m-200k")))
        await sink.until(shows(AGENT, context_limit=100_000))
