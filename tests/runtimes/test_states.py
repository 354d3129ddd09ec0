"""What a session does at one moment: the table at the top of meshfleet.runtimes.states, row by row."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.fleet.names import agent_id
from meshfleet.fleet.state import Status
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.processes import SINCE, Presence
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.settings import RuntimesSettings
from meshfleet.runtimes.states import QUIET, UNREGISTERED, Process, agent_id_of, agent_state, judge
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0, THREAD, presence

SETTINGS = RuntimesSettings()
CLAUDE = SessionRecord(
    runtime="claude-code", session=SESSION, source="transcript", status=Status.WORKING, status_at=T0, last_at=T0
)
CODEX = SessionRecord(
    runtime="codex",
    session=THREAD,
    source="rollout",
    cost_source="priced",
    status=Status.WORKING,
    status_at=T0,
    last_at=T0,
)


def status(record: SessionRecord, process: Presence | Process = Process.UNKNOWN, after: float = 1.0) -> Status:
    return judge(record, process, T0 + after, SETTINGS).status


def having(record: SessionRecord, **fields: object) -> SessionRecord:
    return msgspec.structs.replace(record, **fields)


def test_a_process_that_ended_is_exited_whatever_the_file_says() -> None:
    assert status(CLAUDE, Process.ENDED) is Status.EXITED


def test_a_process_that_waits_is_believed_over_the_file() -> None:
    # The tool began after the file about the process was written: the prompt for it is what the person sees.
    assert status(having(CLAUDE, status=Status.TOOL), presence("waiting", T0 - 1)) is Status.WAITING


@pytest.mark.parametrize("word", ["idle", "shell"])
def test_a_process_that_is_idle_is_believed_if_it_spoke_last(word: str) -> None:
    assert status(CLAUDE, presence(word, T0 + 0.5)) is Status.IDLE
    assert status(CLAUDE, presence(word, T0 - 0.5)) is Status.WORKING


def test_an_idle_process_does_not_hide_an_error() -> None:
    assert status(having(CLAUDE, status=Status.ERROR), presence("idle", T0 + 1)) is Status.ERROR


def test_a_busy_process_works_before_its_first_record_shows_it() -> None:
    idle = having(CLAUDE, status=Status.IDLE)
    assert status(idle, presence("busy", T0 + 0.5)) is Status.WORKING
    assert status(idle, presence("busy", T0 - 0.5)) is Status.IDLE
    assert status(having(CLAUDE, status=Status.TOOL), presence("busy", T0 + 0.5)) is Status.TOOL


def test_a_session_that_lives_is_not_taken_for_dead_by_its_silence() -> None:
    assert status(CLAUDE, presence("busy", T0), after=10 * SETTINGS.silent_exit) is Status.WORKING


def test_an_answer_without_a_word_on_the_turns_end_is_idle_once_quiet() -> None:
    answered = having(CLAUDE, open_ended=True)
    assert status(answered, after=QUIET - 1) is Status.WORKING
    assert status(answered, after=QUIET + 1) is Status.IDLE
    assert status(answered, presence(None, T0), after=QUIET + 1) is Status.IDLE
    assert status(answered, presence("busy", T0), after=QUIET + 1) is Status.WORKING


def test_a_version_that_registers_its_processes_and_has_none_has_exited() -> None:
    assert status(having(CLAUDE, version=SINCE), after=UNREGISTERED - 1) is Status.WORKING
    assert status(having(CLAUDE, version=SINCE), after=UNREGISTERED + 1) is Status.EXITED
    assert status(having(CLAUDE, version=(2, 0, 49)), after=UNREGISTERED + 1) is Status.WORKING


def test_a_run_that_is_not_interactive_ends_with_its_turn() -> None:
    run = having(CODEX, one_shot=True)
    assert status(run) is Status.WORKING
    assert status(having(run, status=Status.IDLE)) is Status.EXITED
    assert status(having(CODEX, status=Status.IDLE)) is Status.IDLE


def test_who_is_silent_for_long_has_exited_from_then_on() -> None:
    judged = judge(CODEX, Process.UNKNOWN, T0 + SETTINGS.silent_exit + 500, SETTINGS)
    assert (judged.status, judged.at, judged.source) == (
        Status.EXITED,
        T0 + SETTINGS.silent_exit,
        "inferred:long silence",
    )


def test_the_tool_is_shown_while_it_runs_and_while_it_waits_for_a_person() -> None:
    record = having(CLAUDE, status=Status.TOOL, tool="Bash", tool_at=T0)
    for process, shown in ((Process.UNKNOWN, "Bash"), (presence("waiting", T0), "Bash"), (Process.ENDED, None)):
        state = agent_state(
            agent_id("box/claude-1f3c9a02"),
            merged({Channel.FILE: record}),
            judge(record, process, T0 + 1, SETTINGS),
            T0 + 1,
        )
        assert state.active_tool == shown
        assert state.active_tool_since == ("2026-11-18T11:06:40.000Z" if shown else None)


def test_what_is_not_known_is_none_and_has_no_source() -> None:
    state = agent_state(
        agent_id("box/claude-1f3c9a02"),
        merged({Channel.FILE: CLAUDE}),
        judge(CLAUDE, Process.UNKNOWN, T0, SETTINGS),
        T0,
    )
    unknown = (
        "model",
        "context_pct",
        "context_tokens",
        "context_limit",
        "tokens_in",
        "tokens_out",
        "cost_usd",
        "project",
    )
    assert {name: getattr(state, name) for name in unknown} == dict.fromkeys(unknown)
    assert state.sources == {"status": "reported:transcript"}


def test_figures_say_where_they_come_from() -> None:
    record = having(
        CODEX,
        model="m",
        usage=Usage(fresh=60, cache_read=30, cache_write=10, output=7),
        cost=0.12345678,
        context_tokens=45_000,
        context_limit=200_000,
        context_limit_source="reported:rollout",
    )
    state = agent_state(
        agent_id("box/codex-1178c5"), merged({Channel.FILE: record}), judge(record, Process.UNKNOWN, T0, SETTINGS), T0
    )
    assert (state.tokens_in, state.tokens_cache_read, state.tokens_cache_write, state.tokens_out) == (100, 30, 10, 7)
    assert (state.context_pct, state.cost_usd) == (22.5, 0.123457)
    assert state.sources == {
        "status": "reported:rollout",
        "model": "reported:rollout",
        "context_tokens": "reported:rollout",
        "context_limit": "reported:rollout",
        "tokens_in": "reported:rollout",
        "tokens_out": "reported:rollout",
        "cost_usd": "priced",
    }


def test_ids_take_the_part_of_the_session_that_is_random() -> None:
    assert agent_id_of("box-2", CLAUDE) == "box-2/claude-1f3c9a02"
    # Codex's ids begin with the time: two threads of one minute share their first eight digits.
    assert agent_id_of("box-2", CODEX) == "box-2/codex-0b1178c5"


@pytest.mark.parametrize("host", ["Anna's MacBook", "ünï.local", "", "x" * 300, "-box", "a/b"])
def test_any_host_gives_a_valid_id(host: str) -> None:
    made = agent_id_of(host, CLAUDE)
    assert agent_id(made) == made
    assert made.count("/") == 1
