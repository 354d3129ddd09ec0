"""What is published and when: changes alone, exits for an hour, never too many."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from meshfleet.errors import PublishError
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.fleet.usage import Figures, Moment
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.record import Channel, SessionRecord, rfc3339
from meshfleet.runtimes.sessions import Key, Sessions, summary
from meshfleet.runtimes.settings import RuntimesSettings
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import SESSION, T0, THREAD, Recorder, presence

KEY = Key("claude-code", SESSION)
RECORD = SessionRecord(runtime="claude-code", session=SESSION, status=Status.WORKING, status_at=T0, last_at=T0)
AGENT = "box/claude-1f3c9a02"


class Bench:
    """Sessions, their sink and their counters."""

    def __init__(self, sink: Recorder | None = None, settings: RuntimesSettings | None = None) -> None:
        self.sink = Recorder() if sink is None else sink
        self.counts: Counter[str] = Counter()
        self.sessions = Sessions(
            self.sink, host="box", settings=settings or RuntimesSettings(exited_shown=100.0), counts=self.counts
        )

    def see(self, record: SessionRecord, now: float, *, process: str | None = None, archived: bool = False) -> bool:
        alive = presence(process, T0) if process is not None else None
        told = merged({Channel.FILE: record})
        return self.sessions.see(Key(record.runtime, record.session), told, alive, now, archived=archived)


def spoke(at: float, record: SessionRecord = RECORD, **more: object) -> SessionRecord:
    return msgspec.structs.replace(record, last_at=at, **more)


def test_only_what_changed_is_published() -> None:
    bench = Bench()
    for now in range(5):
        bench.see(spoke(T0 + now), T0 + now)  # another time, and nothing else
    assert [state.status for state in bench.sink.states] == [Status.WORKING]
    bench.see(spoke(T0 + 5, status=Status.IDLE), T0 + 5)
    assert [state.status for state in bench.sink.states] == [Status.WORKING, Status.IDLE]


def test_a_session_silent_for_over_an_hour_at_first_sight_is_history() -> None:
    bench = Bench()
    assert not bench.see(RECORD, T0 + 3601)
    assert bench.sink.states == []
    assert bench.see(RECORD, T0 + 3599)


def test_unless_its_process_lives() -> None:
    bench = Bench()
    assert bench.see(RECORD, T0 + 90_000, process="idle")
    assert bench.sink.now[AGENT].status is Status.IDLE


def test_an_exited_agent_stays_for_its_time_and_is_then_withdrawn_and_counted() -> None:
    bench = Bench()
    used = spoke(T0, usage=Usage(fresh=70, output=9), cost=0.25)
    bench.see(used, T0, process="busy")
    assert bench.see(used, T0 + 10)
    assert bench.sink.now[AGENT].status is Status.EXITED
    assert bench.see(used, T0 + 110)
    assert not bench.see(used, T0 + 110.1)
    assert bench.sink.withdrawn == [AGENT]
    assert summary(bench.counts) == {
        "runtimes_retired": 1,
        "runtimes_retired_cost_microusd": 250_000,
        "runtimes_retired_tokens_in": 70,
        "runtimes_retired_tokens_out": 9,
    }


def test_a_session_that_speaks_after_its_process_ended_is_there_again() -> None:
    bench = Bench()
    bench.see(RECORD, T0, process="busy")
    bench.see(RECORD, T0 + 10)
    assert bench.sink.now[AGENT].status is Status.EXITED
    bench.see(spoke(T0 + 20), T0 + 20)
    assert bench.sink.now[AGENT].status is Status.WORKING


def test_the_last_words_of_a_process_that_are_read_late_dont_bring_it_back() -> None:
    bench = Bench()
    bench.see(RECORD, T0, process="busy")
    bench.see(RECORD, T0 + 10)
    bench.see(spoke(T0 + 9.5), T0 + 11)
    assert bench.sink.now[AGENT].status is Status.EXITED


def test_an_archived_session_has_exited() -> None:
    bench = Bench()
    bench.see(RECORD, T0, archived=True)
    assert bench.sink.now[AGENT].status is Status.EXITED


def session(number: int, at: float) -> SessionRecord:
    return spoke(at, session=f"{number:08x}-0000-4000-8000-000000000000")


def test_of_too_many_agents_the_longest_silent_goes_first_and_is_counted() -> None:
    bench = Bench()
    for number in range(AGENTS_LIMIT):
        assert bench.see(session(number, T0 + number), T0 + 300)
    assert bench.see(session(900, T0 + 299), T0 + 300)
    assert bench.sink.withdrawn == ["box/claude-00000000"]
    assert not bench.see(session(901, T0 - 50), T0 + 300)  # silent for longer than all that are shown
    assert (len(bench.sessions), bench.counts["runtimes_over_limit"]) == (AGENTS_LIMIT, 2)


def test_two_sessions_with_the_same_first_digits_are_two_agents() -> None:
    bench = Bench()
    twin = spoke(T0, session=SESSION[:8] + "-ffff-4fff-8fff-ffffffffffff")
    bench.see(RECORD, T0)
    bench.see(twin, T0)
    assert set(bench.sink.now) == {AGENT, "box/claude-" + twin.session.replace("-", "")}


def test_a_sub_agent_names_its_parents_agent() -> None:
    bench = Bench()
    parent = spoke(T0, runtime="codex", session=THREAD)
    bench.see(spoke(T0, parent, session="01a20abf-0000-7000-8000-0000deadbeef", parent=THREAD), T0)
    assert bench.sink.now["box/codex-deadbeef"].parent == "box/codex-0b1178c5"


class Refusing(Recorder):
    """A node that takes nothing."""

    def publish(self, state: AgentState) -> None:
        raise PublishError("this node carries 256 agents already")


def test_a_state_that_the_node_refuses_is_counted_and_tried_again() -> None:
    bench = Bench(Refusing())
    assert bench.see(RECORD, T0)
    assert bench.see(RECORD, T0 + 1)
    assert bench.counts["runtimes_refused"] == 2


def test_a_session_whose_file_is_gone_is_withdrawn() -> None:
    bench = Bench()
    bench.see(RECORD, T0)
    bench.sessions.forget(KEY)
    bench.sessions.forget(KEY)
    assert bench.sink.withdrawn == [AgentId(AGENT)]


@pytest.mark.parametrize("runtime", ["claude-code", "codex"])
def test_a_retired_session_that_speaks_again_is_an_agent_again(runtime: str) -> None:
    bench = Bench()
    record = spoke(T0, runtime=runtime)
    bench.see(record, T0)
    assert not bench.see(record, T0 + 3600 + 101)
    assert bench.see(spoke(T0 + 9_000, record), T0 + 9_000)


GIVEN = msgspec.structs.replace(RECORD, runtime="python", source="otlp", agent="box/job", usage=Usage(output=5))


def ended(at: float) -> AgentState:
    """What `meshfleet run` says at its command's end."""
    return AgentState(
        agent_id="box/job",
        timestamp=rfc3339(at),
        status=Status.EXITED,
        runtime="process",
        exit_code=3,
        sources={"status": "reported:process"},
    )


def test_telemetry_that_comes_after_its_programs_end_does_not_bring_it_back_but_counts() -> None:
    bench = Bench()
    bench.see(spoke(T0, GIVEN), T0)
    bench.sink.publish(ended(T0 + 2))
    assert bench.see(spoke(T0 + 1, GIVEN, status=Status.IDLE, usage=Usage(output=9)), T0 + 7)
    now = bench.sink.now["box/job"]
    assert (now.status, now.exit_code, now.tokens_out) == (Status.EXITED, 3, 9)
    assert now.sources["status"] == "reported:process"
    assert not bench.see(spoke(T0 + 1, GIVEN), T0 + 103)  # shown for 100 s after its end


def test_the_first_telemetry_of_a_program_may_come_after_its_end() -> None:
    bench = Bench()
    bench.sink.publish(ended(T0 + 2))
    bench.see(spoke(T0 + 1, GIVEN), T0 + 3)
    assert (bench.sink.now["box/job"].status, bench.sink.now["box/job"].tokens_out) == (Status.EXITED, 5)


def test_a_program_that_goes_on_after_its_end_was_told_is_there_again() -> None:
    bench = Bench()
    bench.see(spoke(T0, GIVEN), T0)
    bench.sink.publish(ended(T0 + 2))
    bench.see(spoke(T0 + 1, GIVEN), T0 + 3)
    bench.see(spoke(T0 + 9, GIVEN), T0 + 9)
    assert bench.sink.now["box/job"].status is Status.WORKING


def test_what_a_session_used_when_is_told_once_its_sums_are_known() -> None:
    bench = Bench()
    course = (Moment(T0 - 86_400, Figures(None, 0, 3)),)
    for record in (RECORD, spoke(T0, usage=Usage(output=5)), spoke(T0, usage=Usage(output=6))):
        told = merged({Channel.FILE: record})
        bench.sessions.see(KEY, told, None, T0, course=lambda: course)
        if record.usage is None:
            assert bench.sink.recalled == {}
    assert bench.sink.recalled == {AGENT: course}
