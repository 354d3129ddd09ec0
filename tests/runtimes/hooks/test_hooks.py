"""Hooks and status lines as the real programs sent them, and as they may come in a bad moment."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.fleet.state import Status
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.hooks import accounts
from meshfleet.runtimes.hooks.doing import LATE
from meshfleet.runtimes.hooks.intake import SESSIONS_LIMIT, Hooks
from meshfleet.runtimes.record import Channel, SessionRecord
from meshfleet.runtimes.sessions import Key, canonical

DATA = Path(__file__).parent.parent / "data" / "hooks"
T0 = 1_795_000_000.0
S = Key("claude-code", "s1")


class Telling:
    """Hooks, told one a second unless said otherwise."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.desk = Desk(self.counts)
        self.now = T0
        self.hooks = Hooks(self.desk, host="box", counts=self.counts, wall=lambda: self.now)

    def post(self, path: str, body: object, after: float = 1.0) -> None:
        self.now += after
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        _, _, runtime = path.strip("/").partition("/")
        if runtime == "claude/statusline":
            self.hooks.statusline(raw)
        else:
            self.hooks.hook(runtime, raw)

    def say(self, event: str, after: float = 1.0, runtime: str = "claude", **more: object) -> None:
        self.post(f"/hooks/{runtime}", {"session_id": "s1", "hook_event_name": event, **more}, after)

    def heard(self, key: Key = S, channel: Channel = Channel.HOOKS) -> SessionRecord:
        record = self.desk.told(key, channel)
        assert record is not None
        return record

    def is_(self, key: Key = S) -> tuple[str | None, str | None]:
        record = self.heard(key)
        return (record.status.value if record.status else None, record.tool)


def recorded(name: str) -> list[tuple[str, dict[str, object]]]:
    lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    return [(line["path"], line["body"]) for line in map(json.loads, lines)]


def played(name: str) -> tuple[Telling, list[str]]:
    """All of a recording, and each status and tool that came of a hook of the session itself, repeats left out."""
    telling, seen = Telling(), [""]
    for path, body in recorded(name):
        telling.post(path, body)
        session = str(body["session_id"])
        key = next(k for k in sorted(telling.desk.keys()) if k == canonical(Key(k.runtime, session)))
        if "statusline" not in path and "agent_id" not in body:
            status, tool = telling.is_(key)
            seen.append(f"{status} {tool}" if tool else str(status))
    return telling, [now for before, now in itertools.pairwise(seen) if now != before]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("claude-code-print", ["starting", "working", "tool Bash", "working", "idle", "exited"]),
        (
            "claude-code-terminal",
            ["starting", "working", "tool Bash", "waiting Bash", "working", "idle", "working", "idle", "exited"],
        ),
        ("codex-exec", ["starting", "working", "tool Bash", "working", "idle", "exited"]),
        ("gemini-cli", ["starting", "working", "tool run_shell_command", "working", "idle", "exited"]),
    ],
)
def test_a_recorded_session_is_told_as_it_went(name: str, told: list[str]) -> None:
    telling, seen = played(name)
    assert seen == told
    assert telling.counts["runtimes_hooks_bad"] == telling.counts["runtimes_statuslines_bad"] == 0


def test_sub_agents_are_agents_of_their_own_under_their_session() -> None:
    telling, _ = played("claude-code-sub-agents")
    records = {key: telling.heard(key) for key in sorted(telling.desk.keys()) if telling.desk.told(key, Channel.HOOKS)}
    session = next(key for key, record in records.items() if record.parent is None)
    subs = [record for record in records.values() if record.parent == session.session]
    # Five began; the errand that compacts, with no type and no beginning, is none.
    assert (len(records), len(subs)) == (6, 5)
    assert {record.status for record in subs} == {Status.EXITED}
    assert {record.usage for record in subs} == {None}


def test_a_sub_agent_that_asks_waits_and_its_session_does_not() -> None:
    telling = Telling()
    telling.say("PreToolUse", tool_name="Agent", tool_use_id="t1")
    telling.say("SubagentStart", agent_id="a1", agent_type="general-purpose")
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t2", agent_id="a1")
    telling.say("PermissionRequest", tool_name="Bash", agent_id="a1")
    telling.say("Notification", notification_type="permission_prompt")
    assert (telling.is_(), telling.is_(Key("claude-code", "a1"))) == (("tool", "Agent"), ("waiting", "Bash"))
    telling.say("PostToolUse", tool_name="Bash", tool_use_id="t2", agent_id="a1")
    assert telling.is_(Key("claude-code", "a1")) == ("working", None)
    telling.say("SessionEnd")
    assert telling.is_(Key("claude-code", "a1"))[0] == "exited"


def test_the_status_line_tells_model_context_cost_and_limits() -> None:
    telling, _ = played("claude-code-sub-agents")
    session = next(key for key in sorted(telling.desk.keys()) if telling.desk.told(key, Channel.STATUSLINE))
    *_, last = [body for path, body in recorded("claude-code-sub-agents") if path.endswith("statusline")]
    telling.post("/hooks/claude/statusline", last)
    line = telling.heard(session, Channel.STATUSLINE)
    # The last one is after a compaction: nothing is in the context that anybody knows of.
    assert (line.model, line.version, line.context_tokens, line.context_limit) == (
        "claude-sonnet-4-5",
        (2, 1, 197),
        None,
        200_000,
    )
    assert line.cost == pytest.approx(0.434265)
    assert [(limit.window, limit.used_pct, limit.resets_at) for limit in line.rate_limits] == [
        ("5h", 42.0, "2026-11-24T06:00:00.000Z"),
        ("7d", 7.0, "2026-11-28T21:06:40.000Z"),
    ]
    assert {limit.key for limit in line.rate_limits} == {accounts.account((), "box")}
    before = [body for path, body in recorded("claude-code-sub-agents") if path.endswith("statusline")][-2]
    telling.post("/hooks/claude/statusline", before)
    # 1,200 in, 12,000 written to and 24,000 read from the cache: 37,200 of 200,000.
    assert telling.heard(session, Channel.STATUSLINE).context_tokens == 37_200


def test_what_a_status_line_does_not_tell_is_unknown() -> None:
    telling = Telling()
    first = next(body for path, body in recorded("claude-code-terminal") if path.endswith("statusline"))
    telling.post("/hooks/claude/statusline", first)
    line = telling.heard(Key("claude-code", str(first["session_id"])), Channel.STATUSLINE)
    assert (line.context_tokens, line.usage, line.rate_limits, line.status) == (None, None, (), None)


def test_concurrent_tools_and_a_question_among_them() -> None:
    telling = Telling()
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t1")
    telling.say("PreToolUse", tool_name="WebFetch", tool_use_id="t2")
    telling.say("PermissionRequest", tool_name="WebFetch")
    record = telling.heard()
    assert (telling.is_(), record.tool_at) == (("waiting", "WebFetch"), T0 + 3)
    telling.say("PostToolUse", tool_name="Bash", tool_use_id="t1")
    assert telling.is_() == ("waiting", "WebFetch")
    telling.say("PostToolUse", tool_name="WebFetch", tool_use_id="t2")
    assert telling.is_() == ("working", None)
    telling.say("PreToolUse", tool_name="AskUserQuestion", tool_use_id="t3")
    assert telling.is_() == ("waiting", "AskUserQuestion")
    telling.say("Stop")
    assert telling.is_() == ("idle", None)
    telling.say("Notification", notification_type="idle_prompt")
    assert telling.is_() == ("idle", None)


def test_a_question_that_is_told_again_was_asked_when_it_was_asked() -> None:
    telling = Telling()
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t1")
    telling.say("PermissionRequest", tool_name="Bash")
    telling.say("Notification", notification_type="permission_prompt", after=6.0)
    record = telling.heard()
    assert (record.status_at, record.tool_at, record.last_at) == (T0 + 2, T0 + 2, T0 + 8)
    alone = Telling()  # an older version, which has no PermissionRequest
    alone.say("PreToolUse", tool_name="Bash", tool_use_id="t1")
    alone.say("Notification", notification_type="permission_prompt")
    assert alone.is_() == ("waiting", "Bash")


def test_calls_without_ids_end_oldest_first() -> None:
    telling, key = Telling(), Key("gemini-cli", "s1")
    telling.say("BeforeTool", runtime="gemini", tool_name="read_file")
    telling.say("BeforeTool", runtime="gemini", tool_name="read_file")
    telling.say("BeforeTool", runtime="gemini", tool_name="run_shell_command")
    assert (telling.is_(key), telling.heard(key).tool_at) == (("tool", "read_file"), T0 + 1)
    telling.say("AfterTool", runtime="gemini", tool_name="read_file")
    assert telling.heard(key).tool_at == T0 + 2
    telling.say("AfterTool", runtime="gemini", tool_name="read_file")
    assert telling.is_(key) == ("tool", "run_shell_command")
    telling.say("Notification", runtime="gemini", notification_type="ToolPermission")
    assert telling.is_(key) == ("waiting", "run_shell_command")
    telling.say("AfterAgent", runtime="gemini")
    assert telling.is_(key) == ("idle", None)


def test_an_end_that_overtakes_its_beginning_leaves_nothing_running() -> None:
    telling = Telling()
    telling.say("UserPromptSubmit")
    telling.say("PostToolUse", tool_name="Bash", tool_use_id="t1")
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t1", after=0.01)
    assert telling.is_() == ("working", None)
    key = Key("gemini-cli", "s1")
    telling.say("BeforeAgent", runtime="gemini")
    telling.say("AfterTool", runtime="gemini", tool_name="x")
    telling.say("BeforeTool", runtime="gemini", tool_name="x", after=0.01)
    assert telling.is_(key) == ("working", None)


def test_what_comes_late_does_not_undo_the_end() -> None:
    telling = Telling()
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t1")
    telling.say("Stop")
    for late in ("PostToolUse", "PreToolUse"):
        telling.say(late, tool_name="Bash", tool_use_id="t1", after=LATE / 4)
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t2", after=LATE / 4)
    assert telling.is_() == ("idle", None)
    telling.say("PreToolUse", tool_name="Bash", tool_use_id="t3")
    assert telling.is_() == ("tool", "Bash")
    telling.say("SessionEnd")
    telling.say("SessionStart", source="startup", after=0.01)
    telling.say("Stop", after=0.01)
    assert telling.is_()[0] == "exited"
    telling.say("SessionStart", source="resume")
    assert telling.is_()[0] == "idle"


def test_a_turns_failure_is_told_and_a_limit_is_none() -> None:
    telling = Telling()
    telling.say("StopFailure", error="rate_limit")
    assert telling.is_()[0] == "rate_limited"
    telling.say("StopFailure", error="canary prose")
    assert telling.is_()[0] == "error"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"session_id":1}', b'{"session_id":"a b","hook_event_name":"Stop"}', b"\xff"]
)
def test_nonsense_is_counted_and_changes_nothing(body: bytes) -> None:
    telling = Telling()
    for path in ("claude", "codex", "gemini", "claude/statusline", "cursor"):
        telling.post(f"/hooks/{path}", body)
    assert telling.desk.keys() == set()
    assert telling.counts["runtimes_hooks_bad"] == 3
    assert telling.counts["runtimes_statuslines_bad"] == telling.counts["runtimes_hooks_unknown"] == 1


def test_the_number_of_sessions_remembered_is_bounded() -> None:
    telling = Telling()
    for number in range(SESSIONS_LIMIT + 5):
        telling.post("/hooks/claude", {"session_id": f"s{number}", "hook_event_name": "Stop"})
    assert telling.counts["runtimes_hooks_dropped"] == 5
    assert telling.counts["runtimes_desk_dropped"] == 5


NAMES = (
    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PermissionRequest", "Notification", "Stop"),
    *("StopFailure", "SessionEnd", "SubagentStart", "SubagentStop", "PreCompact", "PostCompact"),
)
EVENTS = st.fixed_dictionaries(
    {
        "hook_event_name": st.sampled_from(NAMES),
        "session_id": st.sampled_from(["s1", "s2"]),
    },
    optional={
        "tool_use_id": st.sampled_from(["t1", "t2", "t3"]) | st.integers(),
        "tool_name": st.sampled_from(["Bash", "Read", "AskUserQuestion"]) | st.none(),
        "agent_id": st.sampled_from(["a1", "a2"]),
        "agent_type": st.sampled_from(["", "x"]),
        "notification_type": st.sampled_from(["permission_prompt", "idle_prompt", "other"]) | st.lists(st.none()),
        "source": st.sampled_from(["startup", "resume", 7]),
    },
)


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=30), st.lists(st.floats(0, 2), min_size=30, max_size=30))
def test_whatever_comes_in_whatever_order_a_prompt_and_an_end_are_what_they_are(
    events: list[dict[str, object]], pauses: list[float]
) -> None:
    telling = Telling()
    for event, pause in zip(events, pauses, strict=False):
        telling.post("/hooks/claude", event, pause)
    telling.say("UserPromptSubmit")
    assert telling.is_() == ("working", None)
    telling.say("Stop")
    assert telling.is_() == ("idle", None)


def test_no_canary_gets_past_the_parsers() -> None:
    for name in sorted(path.stem for path in DATA.glob("*.jsonl")):
        assert "canary" in (DATA / f"{name}.jsonl").read_text()
        telling, _ = played(name)
        told = [msgspec.json.encode(dict(telling.desk.records(key))).decode() for key in sorted(telling.desk.keys())]
        assert told
        assert "canary" not in "".join(told)
        records = [r for key in sorted(telling.desk.keys()) for r in telling.desk.records(key).values()]
        assert {record.project for record in records} <= {"shop", None}


def test_an_account_is_the_same_on_all_machines_and_nobody_reads_it_back(tmp_path: Path) -> None:
    for machine in ("a", "b"):
        (tmp_path / machine / ".claude").mkdir(parents=True)
        (tmp_path / machine / ".claude.json").write_text('{"oauthAccount": {"accountUuid": "u-1", "x": "y"}}')
    keys = {accounts.account([tmp_path / machine / ".claude"], machine) for machine in ("a", "b")}
    assert len(keys) == 1
    assert "u-1" not in keys.pop()
    assert accounts.account((), "a") != accounts.account((), "b")
