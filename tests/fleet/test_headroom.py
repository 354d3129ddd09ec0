"""Headroom per API key over all agents that share it: the newest reading counts, and only until its window ends."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.headroom import Headroom, headroom, seconds
from meshfleet.fleet.state import AgentState, RateLimit, Status

NOW = "2026-11-26T12:00:00.000Z"
LATER = "2026-11-26T17:00:00Z"


def state(*limits: RateLimit, at: str = "2026-11-26T11:00:00Z") -> AgentState:
    return AgentState(agent_id="a", timestamp=at, status=Status.IDLE, runtime="x", rate_limits=limits)


def limit(used: float | None, read: str | None = None, resets: str | None = LATER, window: str = "5h") -> RateLimit:
    return RateLimit(key="anthropic:9f2e41", window=window, used_pct=used, resets_at=resets, read_at=read)


def test_of_agents_that_share_a_key_the_newest_reading_counts() -> None:
    older, newer = limit(90.0, "2026-11-26T11:58:00Z"), limit(38.0, "2026-11-26T11:59:00.5Z")
    assert headroom([state(newer), state(older)], NOW) == (
        Headroom(
            key="anthropic:9f2e41",
            window="5h",
            used_pct=38.0,
            resets_at=LATER,
            read_at="2026-11-26T11:59:00.5Z",
            agents=2,
        ),
    )


def test_a_reading_without_a_time_is_as_old_as_its_state() -> None:
    old, new = state(limit(90.0), at="2026-11-26T11:00:00Z"), state(limit(10.0), at="2026-11-26T11:30:00Z")
    assert [each.used_pct for each in headroom([new, old], NOW)] == [10.0]


def test_once_a_window_has_begun_anew_nothing_is_known_of_it() -> None:
    (ended,) = headroom([state(limit(99.0, resets=NOW))], NOW)
    assert (ended.used_pct, ended.resets_at) == (None, NOW)
    (open_yet,) = headroom([state(limit(99.0, resets="2026-11-26T12:00:00.001Z"))], NOW)
    assert open_yet.used_pct == 99.0


def test_a_clock_that_is_far_ahead_does_not_win_for_ever() -> None:
    ahead, honest = limit(1.0, "2027-01-01T00:00:00Z"), limit(70.0, "2026-11-26T11:00:00Z")
    assert [each.used_pct for each in headroom([state(ahead), state(honest)], NOW)] == [70.0]
    a_little = limit(1.0, "2026-11-26T12:00:30Z")
    assert [each.used_pct for each in headroom([state(a_little), state(honest)], NOW)] == [1.0]


def test_windows_and_keys_stand_apart_in_a_stable_order() -> None:
    other = msgspec.structs.replace(limit(5.0), key="openai:aa00bb")
    told = headroom([state(limit(1.0, window="7d"), other, limit(2.0))], NOW)
    assert [(each.key, each.window, each.used_pct) for each in told] == [
        ("anthropic:9f2e41", "5h", 2.0),
        ("anthropic:9f2e41", "7d", 1.0),
        ("openai:aa00bb", "5h", 5.0),
    ]


readings = st.builds(
    limit,
    st.none() | st.floats(0, 100),
    st.none() | st.sampled_from([NOW, "2026-11-26T11:00:00Z", "2099-01-01T00:00:00Z", "once"]),
    st.none() | st.sampled_from([NOW, LATER, "soon"]),
    st.sampled_from(["5h", "7d"]),
)


@given(st.lists(readings, max_size=6).flatmap(lambda made: st.tuples(st.just(made), st.permutations(made))))
def test_the_order_in_which_readings_come_changes_nothing(orders: tuple[list[RateLimit], list[RateLimit]]) -> None:
    one, other = orders
    assert headroom([state(each) for each in one], NOW) == headroom([state(each) for each in other], NOW)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2399, 12, 31)))
def test_times_are_read_as_the_calendar_has_them(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    text = whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert seconds(text) == pytest.approx(whole.timestamp(), abs=1e-3)


@pytest.mark.parametrize("text", ["", "now", "2026-11-26", "2026-11-26T12:00:00", "2026-11-26T12:00:00+02:00"])
def test_what_is_no_time_in_utc_is_none(text: str) -> None:
    assert seconds(text) is None
