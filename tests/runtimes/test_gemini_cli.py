"""Lines of Gemini CLI's session files -> what is known of a session."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from meshfleet.fleet.state import Status
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.gemini_cli import GeminiSession
from meshfleet.runtimes.merging import merged
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.record import Channel, SessionRecord, rfc3339
from meshfleet.runtimes.sessions import Key
from meshfleet.runtimes.settings import find_runtimes
from meshfleet.runtimes.states import Process, agent_id_of, agent_state, judge
from meshfleet.runtimes.usage import Usage
from meshfleet.runtimes.watch import classify, session_folders
from tests.runtimes.writing import DATA, T0, Flat, line

WHOLE = "6a9a9ef0-d2d3-451d-a419-50c1cae0738a"
SHORT = "6a9a9ef0"


def header(**more: object) -> bytes:
    said = {"projectHash": "0" * 64, "startTime": rfc3339(T0), "lastUpdated": rfc3339(T0), "kind": "main"}
    return line(sessionId=WHOLE, **said, **more)


def asked(at: float, text: str = "CANARY") -> bytes:
    return line(id="u", timestamp=rfc3339(at), type="user", content=[{"text": text}])


def answered(
    at: float,
    message: str,
    text: str = "",
    *,
    tokens: tuple[int, int, int, int, int] | None = None,
    calls: tuple[str, ...] = (),
    model: str = "gemini-2.5-pro",
) -> bytes:
    """An answer; `tokens` are input, cached, tool, output and thoughts, `calls` the ends that its tools came to."""
    record: dict[str, object] = {"id": message, "timestamp": rfc3339(at), "type": "gemini", "content": text}
    if tokens is not None:
        record["tokens"] = dict(zip(("input", "cached", "tool", "output", "thoughts"), tokens, strict=True))
    if calls:
        record["toolCalls"] = [{"id": "c", "name": "shell", "args": {"x": "CANARY"}, "status": call} for call in calls]
    return line(**record, model=model)


def read(*lines: bytes, prices: bool = False) -> SessionRecord:
    session = GeminiSession(SHORT, Prices("google") if prices else Flat())
    for one in lines:
        session.feed(one)
    assert session.unreadable == 0
    return session.record()


def recorded(name: str) -> SessionRecord:
    (file,) = (DATA / "gemini-cli" / name).rglob("*.jsonl")
    return read(*file.read_bytes().splitlines(), prices=True)


def test_a_recorded_session_is_right_to_the_token_and_the_cent() -> None:
    record = recorded("one-tool")
    # 6,000 in, of which 2,000 cached, 100 out and 30 thought; then 7,000 in, 5,000 cached, 40 out, 10 thought. The
    # first answer stands there twice. Fresh 4,000 + 2,000, read 2,000 + 5,000, out 130 + 50.
    assert record.usage == Usage(fresh=6_000, cache_read=7_000, output=180)
    # gemini-2.5-pro up to 200,000 tokens: 1.25 USD a million in, 0.125 cached, 10 out:
    # 0.0075 + 0.000875 + 0.0018 = 0.010175.
    assert record.cost == pytest.approx(0.010175, abs=1e-9)
    assert (record.context_tokens, record.context_limit) == (7_000, 1_048_576)
    assert record.context_limit_source == "inferred:gemini table"
    assert (record.model, record.session) == ("gemini-2.5-pro", WHOLE)


@pytest.mark.parametrize("version", ["0.41.2", "0.53.0"])
def test_older_versions_say_the_same(version: str) -> None:
    record = recorded(version)
    # Answers 1 and 2: 5,000 + 10,000 in, of which 1,000 + 2,000 cached, 40 + 80 out and 10 + 20 of thoughts.
    assert record.usage == Usage(fresh=12_000, cache_read=3_000, output=150)
    # 12,000 x 1.25 + 3,000 x 0.125 + 150 x 10 = 15,000 + 375 + 1,500 = 16,875 millionths.
    assert record.cost == pytest.approx(0.016875, abs=1e-9)
    assert (record.model, record.context_tokens, record.open_ended) == ("gemini-2.5-pro", 10_000, True)


def test_a_resumed_session_goes_on_counting_and_its_copied_history_is_not_counted_again() -> None:
    # Twice what is above. The resumed part begins with a copy of the history, without tokens.
    record = recorded("resumed")
    assert record.usage == Usage(fresh=12_000, cache_read=14_000, output=360)
    assert record.cost == pytest.approx(0.02035, abs=1e-9)


def test_the_last_word_of_an_answer_counts() -> None:
    record = read(
        header(),
        answered(T0, "a", tokens=(100, 0, 0, 5, 0)),
        answered(T0, "a", tokens=(100, 40, 10, 6, 2)),
        answered(T0 + 1, "b", tokens=(200, 0, 0, 1, 0)),
    )
    # a: 100 + 10 of tools are prompt, 40 of it cached: 70 fresh, 8 out. b: 200 fresh, 1 out.
    assert record.usage == Usage(fresh=270, cache_read=40, output=9)
    assert record.context_tokens == 200


def test_tokens_that_come_after_their_answer_are_counted() -> None:
    record = read(header(), answered(T0, "a", "CANARY"), answered(T0, "a", "CANARY", tokens=(50, 0, 0, 5, 0)))
    assert record.usage == Usage(fresh=50, output=5)


@pytest.mark.parametrize(
    ("lines", "status", "after_a_while"),
    [
        ([header()], Status.STARTING, Status.STARTING),
        ([header(), asked(T0)], Status.WORKING, Status.WORKING),
        ([header(), asked(T0), answered(T0, "a")], Status.WORKING, Status.WORKING),
        ([header(), asked(T0), answered(T0, "a", calls=("success",))], Status.WORKING, Status.WORKING),
        ([header(), asked(T0), answered(T0, "a", "CANARY")], Status.WORKING, Status.IDLE),
        ([header(), asked(T0), answered(T0, "a", calls=("cancelled",))], Status.WORKING, Status.IDLE),
        ([header(), line(timestamp=rfc3339(T0), type="error", content="CANARY")], Status.ERROR, Status.ERROR),
        ([header(), asked(T0), line(timestamp=rfc3339(T0), type="info", content="C")], Status.WORKING, Status.WORKING),
    ],
)
def test_what_a_session_does(lines: list[bytes], status: Status, after_a_while: Status) -> None:
    record = read(*lines)
    settings = find_runtimes({}, Path("/"))
    assert judge(record, Process.UNKNOWN, T0 + 1, settings).status is status
    assert judge(record, Process.UNKNOWN, T0 + 30, settings).status is after_a_while
    assert judge(record, Process.UNKNOWN, T0 + 4_000, settings).status is Status.EXITED


@pytest.mark.parametrize(
    "cut", [{"$set": {"messages": [], "lastUpdated": rfc3339(T0 + 2)}}, {"$rewindTo": "a"}], ids=["replaced", "rewound"]
)
def test_after_the_history_was_replaced_the_context_is_unknown_until_the_next_answer(cut: dict[str, object]) -> None:
    lines = [header(), answered(T0, "a", tokens=(900, 0, 0, 1, 0)), line(**cut)]
    assert read(*lines).context_tokens is None
    assert read(*lines).usage == Usage(fresh=900, output=1)
    assert read(*lines, answered(T0 + 3, "b", tokens=(70, 0, 0, 1, 0))).context_tokens == 70


@pytest.mark.parametrize(
    ("model", "window", "source"),
    [
        ("gemini-3-pro-preview", 1_048_576, "inferred:gemini table"),
        ("gemma-4-31b-it", 256_000, "inferred:gemini table"),
        ("m-200k", 200_000, "inferred:genai-prices"),
        ("another", None, None),
    ],
)
def test_the_window_is_gemini_clis_own_then_the_lists_then_unknown(
    model: str, window: int | None, source: str | None
) -> None:
    record = read(header(), answered(T0, "a", model=model))
    assert (record.context_limit, record.context_limit_source) == (window, source)


def test_whose_file_it_is_shows_from_its_place() -> None:
    tmp = Path("/home/canary/.gemini/tmp")
    main = classify(tmp / "shop" / "chats" / f"session-2026-11-25T23-50-{SHORT}.jsonl")
    assert main is not None
    assert (main.key, main.project, main.parent) == (("gemini-cli", SHORT), "shop", None)
    hashed = classify(tmp / ("a" * 64) / "chats" / f"session-2026-11-25T23-50-{SHORT}.jsonl")
    assert hashed is not None
    assert hashed.project is None
    below = classify(tmp / "shop" / "chats" / WHOLE / "investigator-1a2b3c4d.jsonl")
    assert below is not None
    assert (below.key, below.parent) == (("gemini-cli", "investigator-1a2b3c4d"), WHOLE)
    assert classify(tmp / "shop" / "chats" / f"session-2026-11-25T23-50-{SHORT}.json") is None
    assert classify(tmp / "shop" / "logs" / f"session-{WHOLE}.jsonl") is None
    claude = classify(Path("/home/canary/.claude/projects/chats") / f"{WHOLE}.jsonl")
    assert claude is not None
    assert claude.key.runtime == "claude-code"


def test_a_sub_agent_is_an_agent_of_its_own_and_names_its_parent() -> None:
    session = GeminiSession("investigator-1a2b3c4d", Flat(), WHOLE)
    session.feed(line(sessionId="investigator-1a2b3c4d", startTime=rfc3339(T0), kind="subagent"))
    record = session.record()
    assert record.parent == WHOLE
    assert agent_id_of("box", record) == "box/gemini-1a2b3c4d"
    assert agent_id_of("box", read(header())) == f"box/gemini-{SHORT}"


def test_what_is_told_under_the_whole_id_belongs_to_the_file_with_its_first_digits() -> None:
    desk = Desk(Counter())
    desk.hear(Key("gemini-cli", WHOLE), Channel.OTLP, read(header()))
    assert desk.keys() == {Key("gemini-cli", SHORT)}
    assert desk.told(Key("gemini-cli", WHOLE), Channel.OTLP) is not None
    desk.forget(Key("gemini-cli", WHOLE))
    assert desk.keys() == set()


def test_where_it_is_looked_for() -> None:
    home = Path("/home/canary")
    assert home / ".gemini" / "tmp" in session_folders(find_runtimes({}, home))
    elsewhere = find_runtimes({"GEMINI_CLI_HOME": "/srv/x"}, home)
    assert elsewhere.gemini_dirs == (Path("/srv/x/.gemini"),)


def test_the_sources_of_its_figures_are_told() -> None:
    record = recorded("one-tool")
    judged = judge(record, Process.UNKNOWN, record.last_at or 0.0, find_runtimes({}, Path("/")))
    state = agent_state(agent_id_of("box", record), merged({Channel.FILE: record}), judged, T0)
    assert state.sources["tokens_in"] == "reported:session file"
    assert state.sources["cost_usd"] == "priced"
    assert (state.tokens_in, state.tokens_out, state.tokens_cache_read) == (13_000, 180, 7_000)
    assert state.context_pct == 0.7  # 7,000 of 1,048,576
    assert state.active_tool is None


@pytest.mark.parametrize("bad", [b"no json", b"[]", b'{"type":3}', b'{"type":"gemini","toolCalls":3}', b'{"$set":[]}'])
def test_a_line_of_another_shape_is_counted_and_the_next_one_read(bad: bytes) -> None:
    session = GeminiSession(SHORT, Flat())
    session.feed(bad)
    session.feed(answered(T0, "a", tokens=(100, 0, 0, 10, 0)))
    assert session.unreadable == 1
    assert session.record().usage == Usage(fresh=100, output=10)


def test_figures_that_cannot_be_count_as_nothing() -> None:
    wrong = line(type="gemini", id="a", timestamp=rfc3339(T0), tokens={"input": -5, "output": "7", "cached": 9e99})
    assert read(header(), wrong).usage == Usage()
