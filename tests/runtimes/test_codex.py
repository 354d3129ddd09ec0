"""Codex's rollouts, recorded and made by hand: what is known after which lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.state import RateLimit, Status
from meshfleet.runtimes.codex import CodexSession
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import DATA, T0, THREAD, Flat, codex, event, item, meta, token_count, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.runtimes.record import SessionRecord

PARENT = "01a20000-0000-7000-8000-000000000001"


def read(*lines: bytes) -> SessionRecord:
    parser = CodexSession(THREAD, Flat())
    for one in lines:
        parser.feed(one)
    return parser.record()


def steps(lines: Iterable[bytes]) -> list[tuple[str, str | None]]:
    parser = CodexSession(THREAD, Flat())
    seen: list[tuple[str, str | None]] = []
    for one in lines:
        parser.feed(one)
        record = parser.record()
        assert record.status is not None
        if (now := (record.status.value, record.tool)) not in seen[-1:]:
            seen.append(now)
    return seen


def recorded(folder: str) -> tuple[list[bytes], SessionRecord]:
    """A recorded thread, at real prices."""
    path = next((DATA / "codex" / folder).glob("*.jsonl"))
    lines = path.read_bytes().splitlines()
    parser = CodexSession(path.stem[-36:], Prices("openai"))
    for one in lines:
        parser.feed(one)
    assert parser.unreadable == 0
    return lines, parser.record()


def turn(at: float, model: str = "m-200k", **more: object) -> list[bytes]:
    return [event(at, "task_started", **more), codex(at, "turn_context", model=model)]


def test_one_tool_and_its_answer() -> None:
    lines, record = recorded("one-tool")
    assert steps(lines) == [
        ("starting", None),
        ("working", None),
        ("tool", "exec_command"),
        ("working", None),
        ("idle", None),
    ]
    # Responses 1 and 2: in 10,000 + 20,000, of which cached 4,000 + 8,000; out 100 + 200. Each stands in the file as
    # token_usage_record and again as token_count.
    assert record.usage == Usage(fresh=18_000, cache_read=12_000, output=300)
    # gpt-5: 18,000 x 1.25 + 12,000 x 0.125 + 300 x 10 = 22,500 + 1,500 + 3,000 = 27,000 millionths.
    assert record.cost == pytest.approx(0.027)
    assert (record.model, record.project, record.one_shot, record.parent) == ("gpt-5-codex", "shop", True, None)
    # The context holds the last response: 20,000 + 200. 258,400 is what Codex writes for want of better.
    assert record.context_tokens == 20_200
    assert (record.context_limit, record.context_limit_source) == (258_400, "inferred:codex default")
    assert record.rate_limits == (
        RateLimit(key="codex:codex", window="5h", used_pct=38.0, resets_at="2026-11-24T21:25:55.000Z"),
        RateLimit(key="codex:codex", window="7d", used_pct=12.5, resets_at="2026-11-30T00:53:20.000Z"),
    )


@pytest.mark.parametrize(
    ("version", "tool", "last", "key"),
    [
        ("0.55.0", "shell", Status.WORKING, "codex:account"),
        ("0.80.0", "shell", Status.WORKING, "codex:account"),
        ("0.120.0", "exec_command", Status.IDLE, "codex:codex"),
    ],
)
def test_older_versions_say_the_same(version: str, tool: str, last: Status, key: str) -> None:
    lines, record = recorded(version)
    assert ("tool", tool) in steps(lines)
    # 0.55 and 0.80 mark no turn's end: an answer in words stands open, and counts as one when it stays quiet.
    assert (record.status, record.open_ended, record.one_shot) == (last, last is Status.WORKING, True)
    # As in one-tool; the first total is written twice.
    assert record.usage == Usage(fresh=18_000, cache_read=12_000, output=300)
    assert record.cost == pytest.approx(0.027)
    assert (record.model, record.project, record.context_tokens) == ("gpt-5-codex", "shop", 20_200)
    assert [(limit.key, limit.window, limit.used_pct) for limit in record.rate_limits] == [(key, "5h", 37.5)]


def test_tokens_show_before_the_tool_has_run() -> None:
    lines, _ = recorded("one-tool")
    call = next(i for i, one in enumerate(lines) if b'"function_call"' in one)
    record = read(*lines[: call + 2])
    assert (record.status, record.usage) == (Status.TOOL, Usage(fresh=6_000, cache_read=4_000, output=100))


def test_a_resumed_thread_goes_on_counting() -> None:
    _, record = recorded("resumed")
    # Responses 3 and 4: in 30,000 + 40,000, cached 12,000 + 16,000, out 300 + 400.
    assert record.usage == Usage(fresh=42_000, cache_read=28_000, output=700)
    # 42,000 x 1.25 + 28,000 x 0.125 + 700 x 10 = 52,500 + 3,500 + 7,000 = 63,000 millionths.
    assert record.cost == pytest.approx(0.063)
    assert record.context_tokens == 40_400


def test_a_session_at_the_terminal_is_not_over_with_its_turn() -> None:
    _, record = recorded("terminal")
    assert (record.status, record.one_shot) == (Status.IDLE, False)
    assert record.usage == Usage(fresh=6_000, cache_read=4_000, output=100)


def test_sums_that_are_said_again_count_once() -> None:
    first, second = token_count(T0, tokens(100, 10), tokens(100, 10)), token_count(T0, tokens(300, 30), tokens(200, 20))
    record = read(meta(), *turn(T0), first, first, second, *turn(T0 + 60), second)
    assert record.usage == Usage(fresh=300, output=30)
    assert record.cost == 30.0


def test_one_kind_of_sum_counts_never_both() -> None:
    usage = codex(T0, "token_usage_record", usage=tokens(100, 10), thread_token_usage=tokens(100, 10))
    # In a resumed thread the other kind may begin elsewhere.
    assert read(meta(), usage, token_count(T0, tokens(900, 90), tokens(100, 10))).usage == Usage(fresh=100, output=10)


def test_a_sum_that_falls_has_begun_again() -> None:
    record = read(meta(), token_count(T0, tokens(1_000, 50)), token_count(T0, tokens(300, 30), tokens(200, 20)))
    assert record.usage == Usage(fresh=1_200, output=70)


def test_each_part_is_priced_by_the_model_of_its_turn() -> None:
    lines = [*turn(T0, "m-200k"), token_count(T0, tokens(100, 10)), *turn(T0, "secret-model")]
    assert read(meta(), *lines).cost == 10.0
    assert read(meta(), *lines, token_count(T0, tokens(200, 30))).cost is None


def test_counts_without_figures_bring_the_limits_alone() -> None:
    limits = {"primary": {"used_percent": 7.0, "window_minutes": 300, "resets_in_seconds": 60}}
    record = read(meta(), event(T0, "token_count", info=None, rate_limits=limits))
    assert record.usage == Usage()
    # Older versions count seconds from the record's time: 11:06:40 + 60 s.
    assert record.rate_limits == (
        RateLimit(key="codex:account", window="5h", used_pct=7.0, resets_at="2026-11-18T11:07:40.000Z"),
    )


def test_a_window_that_the_rollout_names_is_reported() -> None:
    record = read(meta(), *turn(T0), token_count(T0, tokens(100, 10), tokens(100, 10)))
    assert (record.context_limit, record.context_limit_source) == (272_000, "reported:rollout")


def test_after_a_compaction_the_context_is_unknown_until_the_next_count() -> None:
    lines = [
        meta(),
        *turn(T0),
        token_count(T0, tokens(100, 10), tokens(100, 10)),
        codex(T0 + 1, "compacted", message="CANARY"),
    ]
    assert read(*lines).context_tokens is None
    assert read(*lines, token_count(T0 + 2, tokens(140, 20), tokens(40, 10))).context_tokens == 50


@pytest.mark.parametrize(
    ("begin", "end", "tool"),
    [
        ("function_call", "function_call_output", "view_image"),
        ("custom_tool_call", "custom_tool_call_output", "apply_patch"),
        ("local_shell_call", "local_shell_call_output", "shell"),
    ],
)
def test_tools_of_every_kind_begin_and_end(begin: str, end: str, tool: str) -> None:
    name = {} if begin == "local_shell_call" else {"name": tool}
    lines = [meta(), *turn(T0), item(T0 + 1, begin, call_id="c1", arguments="CANARY", **name)]
    record = read(*lines)
    assert (record.status, record.tool, record.tool_at) == (Status.TOOL, tool, T0 + 1)
    assert read(*lines, item(T0 + 2, end, call_id="c1", output="CANARY")).status is Status.WORKING


def test_a_question_to_the_user_is_waiting() -> None:
    assert read(meta(), item(T0, "function_call", call_id="c", name="request_user_input")).status is Status.WAITING


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ([event(T0 + 2, "task_complete")], Status.IDLE),
        ([event(T0 + 2, "turn_aborted", reason="interrupted")], Status.IDLE),
        ([event(T0 + 2, "error", message="CANARY")], Status.ERROR),
        ([event(T0 + 2, "error", codex_error_info="usage_limit_exceeded")], Status.RATE_LIMITED),
        ([event(T0 + 2, "error", message="CANARY"), event(T0 + 3, "task_complete")], Status.ERROR),
    ],
)
def test_turns_end_in_several_ways(ending: list[bytes], status: Status) -> None:
    record = read(meta(), *turn(T0), item(T0 + 1, "function_call", call_id="c", name="shell"), *ending)
    assert (record.status, record.tool) == (status, None)


def test_versions_without_turn_events_leave_the_turns_end_open() -> None:
    lines = [meta(), event(T0, "user_message", message="CANARY"), item(T0 + 1, "message", role="assistant", content=[])]
    record = read(*lines)
    assert (record.status, record.open_ended) == (Status.WORKING, True)
    assert not read(*lines, item(T0 + 2, "function_call", call_id="c", name="shell")).open_ended


def copied_history(forked: float) -> list[bytes]:
    """A fork as versions before 2026 write it: the parent's records again, stamped with the time of the fork."""
    return [
        meta(forked, forked_from_id=PARENT),
        meta(forked, id=PARENT),
        *turn(forked, turn_id="01a10000-0000-7000-8000-000000000000"),
        token_count(forked, tokens(500, 50), tokens(500, 50)),
        item(forked, "function_call", call_id="old", name="shell"),
        token_count(forked, tokens(900, 90), tokens(400, 40)),
    ]


def test_a_forks_copy_of_its_parents_history_is_not_counted() -> None:
    own = T0 + 90
    record = read(
        *copied_history(T0),
        *turn(
            own, turn_id=f"{int(own * 1000):012x}"[:8] + "-" + f"{int(own * 1000):012x}"[8:] + "-7000-8000-000000000000"
        ),
        token_count(own, tokens(1_100, 100), tokens(200, 10)),
    )
    assert record.usage == Usage(fresh=200, output=10)
    assert record.cost == 10.0
    assert record.tool is None


def test_tools_in_a_forks_copy_are_not_running() -> None:
    assert read(*copied_history(T0)).tool is None


def test_a_forks_own_turn_in_the_second_of_the_fork_counts() -> None:
    record = read(
        *copied_history(T0),
        *turn(T0 + 0.5, started_at=int(T0)),
        token_count(T0 + 1, tokens(1_100, 100), tokens(200, 10)),
    )
    assert record.usage == Usage(fresh=200, output=10)


def test_a_fork_that_points_to_its_parents_file_begins_with_its_sum() -> None:
    record = read(
        meta(forked_from_id=PARENT, history_base={"thread_id": PARENT}),
        *turn(T0),
        token_count(T0, tokens(1_100, 100), tokens(200, 10)),
        token_count(T0, tokens(1_400, 110), tokens(300, 10)),
    )
    assert record.usage == Usage(fresh=500, output=20)


def test_a_sub_agent_names_its_parent_and_a_persons_fork_has_none() -> None:
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": PARENT, "depth": 1}}}
    assert read(meta(source=spawned)).parent == PARENT
    assert read(meta(source="cli", forked_from_id=PARENT)).parent is None


@pytest.mark.parametrize(
    "bad", [b"no json", b"[]", b'{"type":"event_msg","payload":3}', b'{"type":"response_item","payload":{"type":[]}}']
)
def test_a_line_of_another_shape_is_counted_and_the_next_one_read(bad: bytes) -> None:
    parser = CodexSession(THREAD, Flat())
    parser.feed(bad)
    parser.feed(token_count(T0, tokens(100, 10)))
    assert parser.unreadable == 1
    assert parser.record().usage == Usage(fresh=100, output=10)


def test_records_of_other_versions_are_passed_over() -> None:
    # The oldest rollouts have bare items without a payload; the newest have kinds that nobody has met.
    parser = CodexSession(THREAD, Flat())
    for one in (b'{"id":"x","timestamp":"2025-06-01T00:00:00Z","instructions":"CANARY"}', b'{"record_type":"state"}'):
        parser.feed(one)
    parser.feed(codex(T0, "hologram", shape=3))
    assert (parser.unreadable, parser.record().usage) == (0, Usage())
