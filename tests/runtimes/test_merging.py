"""A session told of by several channels: the table at the top of meshfleet.runtimes.merging, row by row."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.state import RateLimit, Status
from meshfleet.runtimes.merging import OVERTAKEN, Merged, merged
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0

FILE, SERVER, HOOKS, STATUSLINE, OTLP, PUSHED = (
    Channel.FILE,
    Channel.SERVER,
    Channel.HOOKS,
    Channel.STATUSLINE,
    Channel.OTLP,
    Channel.PUSHED,
)
NAMES = {FILE: "transcript", SERVER: "opencode", HOOKS: "hooks"}
NAMES |= {STATUSLINE: "status line", OTLP: "otlp", PUSHED: "pushed"}


def told(channel: Channel, at: float = 0.0, **fields: object) -> tuple[Channel, SessionRecord]:
    record = SessionRecord(runtime="claude-code", session=SESSION, source=NAMES[channel], last_at=T0 + at)
    return channel, msgspec.structs.replace(record, **fields)


def shown(*records: tuple[Channel, SessionRecord]) -> Merged:
    return merged(dict(records))


def test_of_file_and_hooks_the_newer_word_tells_the_status_and_the_tool() -> None:
    file = told(FILE, 1, status=Status.TOOL, status_at=T0 + 1, tool="Bash", tool_at=T0 + 1)
    waits = shown(file, told(HOOKS, 2, status=Status.WAITING, status_at=T0 + 2, tool="Bash", tool_at=T0 + 1))
    assert (waits.record.status, waits.record.source) == (Status.WAITING, "hooks")
    ended = shown(file, told(HOOKS, 0.5, status=Status.WORKING, status_at=T0 + 0.5))
    assert (ended.record.status, ended.record.tool, ended.record.source) == (Status.TOOL, "Bash", "transcript")


def test_hooks_come_first_where_both_speak_at_one_moment() -> None:
    both = shown(
        told(FILE, 1, status=Status.WORKING, status_at=T0 + 1), told(HOOKS, 1, status=Status.IDLE, status_at=T0 + 1)
    )
    assert both.record.status is Status.IDLE


def test_telemetry_tells_the_status_only_where_nobody_else_does() -> None:
    late = told(OTLP, 5, status=Status.WORKING, status_at=T0 + 5)
    assert shown(told(FILE, 4, status=Status.IDLE, status_at=T0 + 4), late).record.status is Status.IDLE
    assert shown(late).record.status is Status.WORKING
    assert shown(told(STATUSLINE)).record.status is Status.STARTING


def test_a_channel_that_fell_silent_does_not_speak_for_the_present() -> None:
    line = told(STATUSLINE, 0, context_tokens=90_000, model="old")
    near = shown(line, told(FILE, OVERTAKEN, context_tokens=10))
    assert near.record.context_tokens == 90_000
    past = shown(line, told(FILE, OVERTAKEN + 1, context_tokens=10, model="new"))
    assert (past.record.context_tokens, past.record.model) == (10, "new")
    assert past.sources["context_tokens"] == "reported:transcript"


def test_tokens_are_one_channels_and_never_two_added() -> None:
    file, otlp = Usage(fresh=100, output=7), Usage(fresh=90, output=5)
    both = shown(told(OTLP, usage=otlp), told(FILE, usage=file))
    assert both.record.usage == file
    assert both.sources["tokens_in"] == both.sources["tokens_out"] == "reported:transcript"
    assert shown(told(OTLP, usage=otlp)).sources["tokens_in"] == "reported:otlp"


def test_a_file_that_is_not_read_to_its_end_leaves_the_sums_open() -> None:
    half = shown(told(FILE, usage=None), told(OTLP, usage=Usage(output=5)))
    assert half.record.usage is None
    assert "tokens_in" not in half.sources


def test_what_the_runtime_says_it_pays_comes_before_a_list_price() -> None:
    file = told(FILE, cost=1.00, cost_source="priced")
    assert shown(file, told(OTLP, cost=0.96)).record.cost == 0.96
    both = shown(file, told(OTLP, cost=0.96), told(STATUSLINE, cost=0.97))
    assert (both.record.cost, both.sources["cost_usd"]) == (0.97, "reported:status line")


def test_unless_it_has_seen_only_a_part() -> None:
    # The node began to listen in the middle of the session: 0.40 of what the file knows cost a dollar.
    part = shown(told(FILE, cost=1.00, cost_source="priced"), told(OTLP, cost=0.40))
    assert (part.record.cost, part.sources["cost_usd"]) == (1.00, "priced")


def test_a_reported_window_comes_before_a_configured_one_and_that_before_a_guess() -> None:
    guess = told(FILE, context_limit=200_000, context_limit_source="inferred:genai-prices")
    set_by_hand = told(OTLP, context_limit=500_000, context_limit_source="configured")
    line = told(STATUSLINE, context_limit=1_000_000, context_limit_source="reported:status line")
    assert shown(guess, set_by_hand, line).record.context_limit == 1_000_000
    assert shown(guess, set_by_hand).sources["context_limit"] == "configured"
    assert shown(guess).record.context_limit == 200_000


def test_rate_limits_are_those_of_who_spoke_last() -> None:
    old, new = RateLimit(key="a:1", window="5h", used_pct=10.0), RateLimit(key="a:1", window="5h", used_pct=12.0)
    both = shown(told(STATUSLINE, 1, rate_limits=(old,)), told(FILE, 2, rate_limits=(new,)))
    assert both.record.rate_limits == (new,)


def test_what_nobody_tells_is_none_and_has_no_source() -> None:
    nothing = shown(told(HOOKS, status=Status.IDLE, status_at=T0))
    assert nothing.sources == {}
    assert nothing.record == SessionRecord(
        runtime="claude-code", session=SESSION, source="hooks", status=Status.IDLE, status_at=T0, last_at=T0
    )


@given(
    st.dictionaries(
        st.sampled_from(Channel),
        st.builds(
            SessionRecord,
            runtime=st.just("claude-code"),
            session=st.just(SESSION),
            source=st.sampled_from(["a", "b"]),
            model=st.none() | st.just("m"),
            status=st.none() | st.sampled_from(Status),
            status_at=st.floats(0, 100),
            last_at=st.none() | st.floats(0, 100),
            context_tokens=st.none() | st.integers(0, 9),
            usage=st.none() | st.builds(Usage, output=st.integers(0, 9)),
            cost=st.none() | st.floats(0, 10),
        ),
        min_size=1,
    )
)
def test_every_figure_shown_was_said_by_one_channel(records: dict[Channel, SessionRecord]) -> None:
    record = merged(records).record
    for field in ("model", "context_tokens", "usage", "cost"):
        said = [getattr(one, field) for one in records.values()]
        assert getattr(record, field) in (*said, None)


@pytest.mark.parametrize("channel", list(Channel))
def test_one_channel_alone_is_shown_as_it_is(channel: Channel) -> None:
    _, record = told(channel, status=Status.WORKING, status_at=T0, model="m", usage=Usage(output=3), cost=0.5)
    assert merged({channel: record}).record == record
