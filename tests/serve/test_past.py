"""An agent's last hours: what is remembered, for how long, and what stands for what was not seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.names import AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status
from meshfleet.serve import past
from meshfleet.serve.limits import Counts
from meshfleet.serve.past import KEPT, STEP, AgentPast, Past

from .conftest import SampleFeed

if TYPE_CHECKING:
    import httpx
    import pytest

    from meshfleet.fleet.view import AgentView, FleetView

BEGIN = datetime(2026, 11, 23, 20, 15, tzinfo=UTC).timestamp()
CLAUDE = AgentId("box-1/claude-1f3c")


def at(feed: SampleFeed, step: int, **state: object) -> FleetView:
    """The feed's view, so many steps after the begin; `state`: what differs of each agent's."""
    view = feed.fleet()
    now = datetime.fromtimestamp(BEGIN + step * STEP + 3, UTC).isoformat().replace("+00:00", "Z")
    agents = tuple(msgspec.structs.replace(a, state=msgspec.structs.replace(a.state, **state)) for a in view.agents)
    return msgspec.structs.replace(view, now=now, agents=agents)


def told(remembered: Past, agent: AgentId = CLAUDE) -> AgentPast:
    return remembered._told(agent, remembered._agents[agent])


def test_points_are_what_the_agent_told_and_what_it_did_not_know_is_none() -> None:
    feed, remembered = SampleFeed(), Past(SampleFeed(), Counts())
    remembered.look(at(feed, 0))
    remembered.look(at(feed, 1, context_pct=70.0, cost_usd=None, tokens_in=None, tokens_out=None, status=Status.IDLE))
    history = told(remembered)
    assert history.start == "2026-11-23T20:15:00Z"
    assert history.step_s == STEP
    assert history.context_pct == (61.2, 70.0)
    assert history.cost_usd == (7.31, None)
    assert history.tokens == (1_893_321 + 40_112, None)
    assert history.status == (Status.TOOL, Status.IDLE)
    assert history.presence == (Presence.FRESH, Presence.FRESH)


def test_looks_within_one_step_or_of_a_clock_that_went_back_a_little_add_nothing() -> None:
    feed, remembered = SampleFeed(), Past(SampleFeed(), Counts())
    for step in (5, 5, 4):
        remembered.look(at(feed, step))
    assert len(told(remembered).status) == 1


def test_points_go_on_after_a_clock_was_put_back_and_those_before_move_with_it() -> None:
    feed, remembered = SampleFeed(), Past(SampleFeed(), Counts())
    for step in (128, 129, 8, 9):
        remembered.look(at(feed, step, context_pct=float(step)))
    history = told(remembered)
    assert history.context_pct == (128.0, 129.0, 8.0, 9.0)
    assert history.start == "2026-11-23T20:18:00Z"


def test_time_that_was_slept_through_is_a_gap() -> None:
    feed, remembered = SampleFeed(), Past(SampleFeed(), Counts())
    for step in (0, 4):
        remembered.look(at(feed, step))
    history = told(remembered)
    assert history.status == (Status.TOOL, None, None, None, Status.TOOL)
    assert history.context_pct[1:4] == (None, None, None)
    assert history.start == "2026-11-23T20:15:00Z"


def test_only_the_last_hours_are_kept_however_long_it_runs_or_sleeps() -> None:
    feed, remembered = SampleFeed(), Past(SampleFeed(), Counts())
    for step in range(KEPT + 7):
        remembered.look(at(feed, step, context_pct=float(step % 90)))
    history = told(remembered)
    assert len(history.context_pct) == len(history.status) == len(history.tokens) == KEPT
    assert history.context_pct[0] == 7.0
    remembered.look(at(feed, 40 * KEPT))
    assert len(told(remembered).cost_usd) == KEPT


def test_agents_that_went_are_forgotten_and_the_number_of_others_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "AGENTS_REMEMBERED", 2)
    feed, counts = SampleFeed(), Counts()
    remembered = Past(feed, counts)
    remembered.look(view := at(feed, 0))
    assert (len(remembered._agents), counts.histories_left_out) == (2, 1)
    left: tuple[AgentView, ...] = view.agents[2:]
    remembered.look(msgspec.structs.replace(at(feed, 1), agents=left))
    assert list(remembered._agents) == [left[0].agent_id]


async def test_it_is_asked_for_by_the_agents_id(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/agents/{CLAUDE}/history")
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.content, type=AgentPast).context_pct == ()
    missing = await client.get("/v1/agents/nobody/history")
    assert missing.status_code == 404
    assert "no agent named 'nobody'" in missing.json()["error"]
