"""Claude Code's transcripts, recorded and made by hand: what is known after which lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.claude_code import ClaudeSession
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.record import TOOLS_LIMIT, SessionRecord
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import DATA, SESSION, T0, Flat, answer, line, prompt, result, system

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RECORDED = DATA / "claude-code"


def read(*lines: bytes, session: str = SESSION) -> SessionRecord:
    parser = ClaudeSession(session, Flat())
    for one in lines:
        parser.feed(one)
    return parser.record()


def steps(lines: Iterable[bytes], session: str = SESSION) -> list[tuple[str, str | None]]:
    """Status and tool after each line, repetitions left out."""
    parser = ClaudeSession(session, Flat())
    seen: list[tuple[str, str | None]] = []
    for one in lines:
        parser.feed(one)
        record = parser.record()
        assert record.status is not None
        if (now := (record.status.value, record.tool)) not in seen[-1:]:
            seen.append(now)
    return seen


def recorded(folder: str, session: str) -> tuple[Path, SessionRecord]:
    """A recorded session with its sub-agents, at real prices."""
    main = next((RECORDED / folder).glob(f"{session}*.jsonl"))
    parser = ClaudeSession(main.stem, Prices("anthropic"))
    for one in main.read_bytes().splitlines():
        parser.feed(one)
    for file in [*main.with_suffix("").rglob("agent-*.jsonl"), *main.parent.glob("agent-*.jsonl")]:
        for one in file.read_bytes().splitlines():
            parser.feed(one, file.stem.removeprefix("agent-"))
    assert parser.unreadable == 0
    return main, parser.record()


def test_two_tools_side_by_side_count_one_response() -> None:
    main, record = recorded("two-tools", "8df7a6f9")
    # Two responses (N = 1, 2): fresh 100 + 200, read 2,000 + 4,000, written 1,000 + 2,000, out 51 + 52. The first is
    # in three records. Cost: 300 x 3 + 6,000 x 0.3 + 3,000 x 3.75 + 103 x 15 = 900 + 1,800 + 11,250 + 1,545 = 15,495
    # millionths; Claude Code itself said total_cost_usd 0.015494999.
    assert record.usage == Usage(300, 6_000, 3_000, 0, 103)
    assert record.cost == pytest.approx(0.015495)
    # The context is the prompt of the last: 200 + 4,000 + 2,000 of 200,000.
    assert (record.context_tokens, record.context_limit) == (6_200, 200_000)
    assert (record.model, record.project, record.version) == ("claude-sonnet-4-5", "shop", (2, 1, 197))
    assert steps(main.read_bytes().splitlines(), main.stem) == [
        ("starting", None),
        ("working", None),
        ("tool", "Bash"),
        ("working", None),
        ("idle", None),
    ]


def test_a_sub_agents_tokens_count_but_not_its_context() -> None:
    main, record = recorded("sub-agent", "00f5c3a6")
    # Responses 3 and 6 are the session's, 4 and 5 its sub-agent's: N sums to 18. Out 53 + 54 + 55 + 56 = 218, of which
    # 55 stands only in what the session was told of its sub-agent; the sub-agent's own file ends with 1.
    # 1,800 x 3 + 36,000 x 0.3 + 18,000 x 3.75 + 218 x 15 = 5,400 + 10,800 + 67,500 + 3,270 = 86,970 millionths;
    # Claude Code itself said total_cost_usd 0.08696999.
    assert record.usage == Usage(1_800, 36_000, 18_000, 0, 218)
    assert record.cost == pytest.approx(0.08697)
    assert record.context_tokens == 600 + 12_000 + 6_000
    assert ("tool", "Agent") in steps(main.read_bytes().splitlines(), main.stem)
    assert ("tool", "Bash") not in steps(main.read_bytes().splitlines(), main.stem)


@pytest.mark.parametrize(("version", "session"), [("1.0.128", "653bdc5f"), ("2.0.59", "b497a2b6")])
def test_older_versions_keep_sub_agents_elsewhere_and_say_the_same(version: str, session: str) -> None:
    main, record = recorded(version, session)
    # Responses 1 and 4 are the session's, 2 and 3 its sub-agent's: N sums to 10, out 51 + 52 + 53 + 54 = 210.
    assert record.usage == Usage(1_000, 20_000, 10_000, 0, 210)
    # 1,000 x 3 + 20,000 x 0.3 + 10,000 x 3.75 + 210 x 15 = 3,000 + 6,000 + 37,500 + 3,150 = 49,650 millionths, as
    # both versions said themselves: total_cost_usd 0.04965.
    assert record.cost == pytest.approx(0.04965)
    # The fourth prompt: 400 + 8,000 + 4,000.
    assert record.context_tokens == 12_400
    seen = steps(main.read_bytes().splitlines(), main.stem)
    assert [step for step in seen if step != ("starting", None)] == [
        ("working", None),
        ("tool", "Task"),
        ("working", None),
        ("idle", None),
    ]


def test_sub_agents_in_the_background_count_before_the_session_hears_of_them() -> None:
    main, record = recorded("2.1.332", "2bd7508b")
    # Responses 1, 2 and 9 are the session's, 3 to 8 those of three sub-agents, each started by the one before: N sums
    # to 45, out 51 + … + 59 = 495.
    assert record.usage == Usage(4_500, 90_000, 45_000, 0, 495)
    # 4,500 x 3 + 90,000 x 0.3 + 45,000 x 3.75 + 495 x 15 = 13,500 + 27,000 + 168,750 + 7,425 = 216,675 millionths, as
    # it said itself: total_cost_usd 0.216675.
    assert record.cost == pytest.approx(0.216675)
    # The ninth prompt: 900 + 18,000 + 9,000.
    assert (record.context_tokens, record.version) == (27_900, (2, 1, 332))
    assert steps(main.read_bytes().splitlines(), main.stem) == [
        *(("starting", None), ("working", None), ("tool", "Agent"), ("working", None), ("idle", None)),
        *(("working", None), ("idle", None)),  # told that its sub-agent has ended
    ]


def test_a_sub_agents_file_may_be_read_before_its_parents() -> None:
    main = next((RECORDED / "sub-agent").glob("*.jsonl"))
    parser = ClaudeSession(main.stem, Flat())
    for file in main.with_suffix("").rglob("agent-*.jsonl"):
        for one in file.read_bytes().splitlines():
            parser.feed(one, file.stem.removeprefix("agent-"))
    for one in main.read_bytes().splitlines():
        parser.feed(one)
    assert parser.record().usage == Usage(1_800, 36_000, 18_000, 0, 218)


def test_an_api_error_is_an_error_without_tokens() -> None:
    _, record = recorded("failed", "c8411a95")
    assert (record.status, record.usage, record.cost, record.model) == (Status.ERROR, Usage(), 0.0, None)


def test_a_session_at_the_terminal_asks_is_refused_and_is_compacted() -> None:
    main, record = recorded("terminal", "377881ac")
    lines = main.read_bytes().splitlines()
    assert [status for status, _ in steps(lines, main.stem)] == [
        *("starting", "working", "tool", "working", "idle"),  # a sub-agent
        *("working", "waiting", "working", "idle"),  # a question
        *("working", "tool", "working", "idle"),  # a tool, refused; what follows is /compact
        *("working", "idle"),
    ]
    # The compaction left 859 tokens of 31,000, by its own word; the next answer saw 1,400 + 28,000 + 14,000.
    at = next(i for i, one in enumerate(lines) if b"compact_boundary" in one)
    assert read(*lines[:at], session=main.stem).context_tokens == 31_000
    assert read(*lines[: at + 1], session=main.stem).context_tokens == 859
    assert record.context_tokens == 43_400


def test_after_a_compaction_that_says_nothing_of_what_is_left_the_context_is_unknown() -> None:
    lines = [answer(T0, "a", read=31_000), system(T0 + 1, "compact_boundary", compactMetadata={"preTokens": 31_000})]
    assert read(*lines).context_tokens is None
    assert read(*lines, answer(T0 + 2, "b", read=900)).context_tokens == 900


def test_a_cleared_session_is_only_starting() -> None:
    _, record = recorded("terminal", "c43eaa4b")
    assert (record.status, record.usage) == (Status.STARTING, Usage())


def test_blocks_of_one_answer_grow_and_the_last_word_counts() -> None:
    record = read(
        answer(T0, "a", stop=None, fresh=3, read=22_000, write=2_000, out=2),
        answer(T0, "a", tools={"t1": "Bash"}, fresh=3, read=22_000, write=2_000, out=159),
        answer(T0 + 1, "a", tools={"t2": "Read"}, fresh=3, read=22_000, write=2_000, out=159),
    )
    assert record.usage == Usage(3, 22_000, 2_000, 0, 159)
    assert record.cost == 159.0


def test_without_a_request_id_the_messages_own_id_is_enough() -> None:
    record = read(*[answer(T0, "a", fresh=5, out=9, requestId=None)] * 3)
    assert record.usage == Usage(fresh=5, output=9)


def test_the_tool_that_has_run_longest_is_shown_with_its_begin() -> None:
    lines = [answer(T0 + 1, "a", tools={"t1": "Read"}), answer(T0 + 2, "a", tools={"t2": "Bash"})]
    assert (read(*lines).tool, read(*lines).tool_at) == ("Read", T0 + 1)
    record = read(*lines, result(T0 + 3, "t1"))
    assert (record.status, record.tool, record.tool_at) == (Status.TOOL, "Bash", T0 + 2)
    assert read(*lines, result(T0 + 3, "t1", "t2")).status is Status.WORKING


def test_a_tool_whose_end_got_lost_ends_with_the_next_answer() -> None:
    record = read(answer(T0, "a", tools={"t1": "Bash"}), answer(T0 + 60, "b"))
    assert (record.status, record.tool) == (Status.IDLE, None)


def test_tools_that_never_end_are_bounded() -> None:
    calls = {f"t{number}": "Bash" for number in range(10 * TOOLS_LIMIT)}
    ends = [result(T0 + 1, f"t{number}") for number in range(TOOLS_LIMIT)]
    assert read(answer(T0, "a", tools=calls), *ends).status is Status.WORKING


@pytest.mark.parametrize("tool", ["AskUserQuestion", "ExitPlanMode"])
def test_a_tool_that_asks_a_person_is_waiting(tool: str) -> None:
    assert read(answer(T0, "a", tools={"t1": tool})).status is Status.WAITING


def test_commands_of_the_terminal_are_no_prompts() -> None:
    said = ["<command-name>/model</command-name>", "<local-command-stdout>ok</local-command-stdout>"]
    idle = [prompt(), answer(T0, "a")]
    assert read(*idle, *[prompt(T0 + 1, text) for text in said]).status is Status.IDLE
    assert read(*idle, prompt(T0 + 1, "aside", isMeta=True)).status is Status.IDLE
    assert read(*idle, prompt(T0 + 1, "summary", isCompactSummary=True)).status is Status.IDLE
    assert read(*idle, prompt(T0 + 1, "go on")).status is Status.WORKING


def test_a_turn_that_was_broken_off_is_idle() -> None:
    broken = prompt(T0 + 2, "[Request interrupted by user]")
    assert read(prompt(), answer(T0, "a", tools={"t1": "Bash"}), broken).status is Status.IDLE


def test_older_versions_leave_the_turns_end_open() -> None:
    record = read(prompt(), answer(T0, "a", stop=None))
    assert (record.status, record.open_ended) == (Status.WORKING, True)
    assert not read(prompt(), answer(T0, "a", tools={"t1": "Bash"})).open_ended
    assert read(prompt(), answer(T0, "a", stop=None), system(T0, "turn_duration")).status is Status.IDLE


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (b'"apiErrorStatus": 429', Status.RATE_LIMITED),
        (b'"error": "rate_limit"', Status.RATE_LIMITED),
        (b'"apiErrorStatus": 500, "error": "unknown"', Status.ERROR),
    ],
)
def test_answers_that_did_not_come_say_why(error: bytes, status: Status) -> None:
    failed = answer(T0, "a", model="<synthetic>", isApiErrorMessage=True).replace(b"{", b"{" + error + b", ", 1)
    assert read(failed).status is status


def test_a_retry_after_too_many_requests_is_rate_limited_until_the_answer() -> None:
    retry = system(T0 + 1, "api_error", error={"status": 429})
    assert read(prompt(), retry).status is Status.RATE_LIMITED
    assert read(prompt(), retry, answer(T0 + 9, "a", tools={"t": "Bash"})).status is Status.TOOL


def test_sidechains_inside_an_older_file_count_tokens_alone() -> None:
    side = answer(T0 + 1, "s", tools={"t9": "Grep"}, fresh=7, out=3, model="other", isSidechain=True)
    record = read(answer(T0, "a", fresh=100, out=1), side)
    assert record.usage == Usage(fresh=107, output=4)
    assert (record.status, record.context_tokens, record.model) == (Status.IDLE, 100, "m-200k")


def test_records_copied_from_another_session_are_not_counted_again() -> None:
    record = read(
        answer(T0, "a", fresh=100, out=1, sessionId="another"),
        answer(T0, "b", fresh=200, out=1, forkedFrom={"sessionId": "another"}),
        answer(T0, "c", fresh=300, out=1),
    )
    assert record.usage == Usage(fresh=300, output=1)


def test_fast_mode_is_not_priced_since_the_list_has_no_price_for_it() -> None:
    fast = json.loads(answer(T0, "a", out=5))
    fast["message"]["usage"]["speed"] = "fast"
    record = read(json.dumps(fast).encode())
    assert record.usage is not None
    assert (record.usage.output, record.cost) == (5, None)


def test_a_context_larger_than_the_window_means_a_larger_window() -> None:
    record = read(answer(T0, "a", read=1_200, model="m-1k"))
    assert (record.context_limit, record.context_limit_source) == (1_000_000, "inferred:over the usual window")


def test_a_model_nobody_knows_has_no_window() -> None:
    record = read(answer(T0, "a", read=1_200, model="secret-model"))
    assert (record.model, record.context_tokens, record.context_limit, record.cost) == (
        "secret-model",
        1_200,
        None,
        None,
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"no json",
        b"[1, 2]",
        b'"text"',
        b"{" * 5_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"type":"assistant","message":{"content":{"no":"list"}}}',
        b'{"type":"assistant","message":{"usage":"none"}}',
    ],
)
def test_a_line_of_another_shape_is_counted_and_the_next_one_read(bad: bytes) -> None:
    parser = ClaudeSession(SESSION, Flat())
    parser.feed(bad)
    parser.feed(answer(T0, "a", out=5))
    assert parser.unreadable == 1
    assert parser.record().usage == Usage(output=5)


def test_unknown_records_and_fields_of_later_versions_are_passed_over() -> None:
    later = line(type="hologram", timestamp="2026-11-18T12:00:00Z", sessionId=SESSION, shape={"new": [1, 2]})
    record = read(answer(T0, "a", out=5), later, answer(T0 + 1, "b", out=6, hologram=True))
    assert record.usage == Usage(output=11)


def test_bytes_that_are_no_text_spoil_only_the_text_they_are_in() -> None:
    broken = answer(T0, "a", out=5).replace(b"CANARY", b"CAN\xff\xfeRY")
    assert read(broken).usage == Usage(output=5)


@pytest.mark.parametrize("number", ["-5", '"12"', "1e999", "null", "12.5", "99999999999999999999", "true"])
def test_numbers_that_are_no_counts_count_nothing(number: str) -> None:
    odd = answer(T0, "a", out=5, fresh=41).replace(b'"input_tokens": 41', b'"input_tokens": ' + number.encode())
    record = read(odd)
    assert record.usage in (Usage(output=5), Usage())
