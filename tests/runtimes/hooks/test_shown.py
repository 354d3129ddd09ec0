"""What is shown of a session that files, hooks, a status line and telemetry tell of at once."""

from __future__ import annotations

from collections import Counter

import msgspec

from meshfleet.fleet.state import AgentState, Status
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.sessions import SUB_AGENT_SHOWN, Key, Sessions
from meshfleet.runtimes.settings import RuntimesSettings
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0, Recorder, presence

KEY = Key("claude-code", SESSION)

FILE = SessionRecord(
    runtime="claude-code",
    session=SESSION,
    source="transcript",
    status=Status.WORKING,
    status_at=T0,
    last_at=T0,
    model="claude-sonnet-4-5",
    context_tokens=50_000,
    context_limit=200_000,
    context_limit_source="inferred:genai-prices",
    usage=Usage(fresh=1_000, cache_read=2_000, output=300),
    cost=0.01,
    cost_source="priced",
)
HOOKS = SessionRecord(
    runtime="claude-code",
    session=SESSION,
    source="hooks",
    status=Status.TOOL,
    status_at=T0 + 1,
    last_at=T0 + 1,
    tool="Bash",
    tool_at=T0 + 1,
)
LINE = SessionRecord(
    runtime="claude-code",
    session=SESSION,
    source="statusline",
    last_at=T0 + 1,
    context_tokens=50_001,
    context_limit=1_000_000,
    context_limit_source="reported:statusline",
    cost=0.0123,
)
OTLP = SessionRecord(
    runtime="claude-code",
    session=SESSION,
    source="otlp",
    status=Status.IDLE,
    status_at=T0 + 2,
    last_at=T0 + 2,
    usage=Usage(fresh=900, cache_read=2_000, output=250),
    cost=0.0119,
)


class Shown:
    """What of the sessions is shown."""

    def __init__(self) -> None:
        self.sink = Recorder()
        self.sessions = Sessions(self.sink, host="box", settings=RuntimesSettings(), counts=Counter())

    def see(
        self, *records: tuple[Channel, SessionRecord], now: float = T0 + 2, process: tuple[str, float] | None = None
    ) -> AgentState | None:
        key = Key(records[0][1].runtime, records[0][1].session)
        alive = presence(*process) if process is not None else None
        shown = self.sessions.see(key, merged(dict(records)), alive, now)
        return list(self.sink.now.values())[-1] if shown else None


def replace(record: SessionRecord, **change: object) -> SessionRecord:
    return msgspec.structs.replace(record, **change)


def test_each_figure_is_one_channels_and_none_is_added_up() -> None:
    state = Shown().see((Channel.FILE, FILE), (Channel.HOOKS, HOOKS), (Channel.STATUSLINE, LINE), (Channel.OTLP, OTLP))
    assert state is not None
    assert (state.tokens_in, state.tokens_out) == (3_000, 300)
    assert (state.cost_usd, state.sources["cost_usd"]) == (0.0123, "reported:statusline")
    assert (state.context_tokens, state.context_limit) == (50_001, 1_000_000)
    assert state.sources["context_limit"] == "reported:statusline"
    assert (state.status, state.active_tool, state.sources["status"]) == (Status.TOOL, "Bash", "reported:hooks")


def test_a_tool_that_runs_for_long_is_shown_while_others_go_on_talking() -> None:
    later = T0 + 600
    state = Shown().see(
        (Channel.FILE, FILE),
        (Channel.HOOKS, HOOKS),
        (Channel.STATUSLINE, replace(LINE, last_at=later)),
        (Channel.OTLP, replace(OTLP, last_at=later)),
        now=later,
    )
    assert state is not None
    assert (state.status, state.active_tool) == (Status.TOOL, "Bash")


def test_hooks_that_went_silent_do_not_hide_what_the_file_says() -> None:
    state = Shown().see(
        (Channel.HOOKS, HOOKS), (Channel.FILE, replace(FILE, status=Status.IDLE, status_at=T0 + 5, last_at=T0 + 5))
    )
    assert state is not None
    assert (state.status, state.active_tool) == (Status.IDLE, None)


def test_once_a_person_has_granted_it_the_tool_runs_from_then_on() -> None:
    shown, asking = Shown(), replace(HOOKS, status=Status.WAITING)
    state = shown.see((Channel.HOOKS, asking), process=("waiting", T0 + 2), now=T0 + 60)
    assert state is not None
    assert (state.status, state.active_tool) == (Status.WAITING, "Bash")
    state = shown.see((Channel.HOOKS, asking), process=("busy", T0 + 90), now=T0 + 95)
    assert state is not None
    assert (state.status, state.active_tool) == (Status.TOOL, "Bash")
    assert state.active_tool_since == "2026-11-18T11:08:10.000Z"  # T0 + 90 s
    state = shown.see((Channel.HOOKS, replace(asking, tool="AskUserQuestion")), process=("busy", T0 + 90), now=T0 + 95)
    assert state is not None
    assert state.status is Status.WAITING


def test_a_sub_agent_is_shown_under_its_session_and_goes_soon_after_its_end() -> None:
    shown = Shown()
    shown.see((Channel.HOOKS, HOOKS))
    sub = replace(HOOKS, session="a9b446119509fb29", parent=SESSION)
    state = shown.see((Channel.HOOKS, sub))
    assert state is not None
    assert (state.agent_id, state.parent) == ("box/claude-a9b44611", "box/claude-1f3c9a02")
    over = (Channel.HOOKS, replace(sub, status=Status.EXITED, tool=None))
    assert shown.see(over, now=T0 + SUB_AGENT_SHOWN) is not None
    assert shown.see(over, now=T0 + SUB_AGENT_SHOWN + 2) is None
    assert shown.sink.withdrawn == ["box/claude-a9b44611"]
