"""opencode's events and answers -> what is known of its sessions."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from meshfleet.asking import EVENT_LIMIT, Events
from meshfleet.fleet.state import Status
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.opencode import telling
from meshfleet.runtimes.opencode.server import Listed, Server
from meshfleet.runtimes.record import Channel
from meshfleet.runtimes.sessions import Key
from meshfleet.runtimes.usage import Usage
from tests.runtimes.writing import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.runtimes.record import SessionRecord

RECORDED = DATA / "opencode"
NOW = 1_795_650_700.0
"""Shortly after what was recorded."""

PERMISSION = "ses_deae37663ffetBDhGIbkICVyIv"
PARENT = "ses_deae256f2ffeOYFH0LmFfEWtR7"
CHILD = "ses_deae24a7dffevh7ldQP4V27rEC"


def answer(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def stream(name: str) -> list[bytes]:
    return Events(Counter()).feed(answer(name))


class Told:
    """A server that was told some events, and what came of each."""

    def __init__(self, windows: bool = True) -> None:
        self.counts: Counter[str] = Counter()
        self.server = Server(self.counts)
        if windows:
            self.server.windows_are(telling.windows(answer("providers.json")))
        self.now: dict[str, SessionRecord] = {}

    def hear(self, *events: bytes, at: float = NOW) -> SessionRecord:
        for event in events:
            self.feed(event, at)
        return next(reversed(self.now.values()))

    def feed(self, event: bytes, at: float = NOW) -> None:
        self.server.event(event, at)
        for record in self.server.take_changed():
            self.now.pop(record.session, None)
            self.now[record.session] = record

    def each(self, events: list[bytes]) -> Iterator[tuple[str, dict[str, SessionRecord]]]:
        for event in events:
            self.feed(event)
            said = json.loads(event)
            yield said.get("payload", said)["type"], dict(self.now)


def event(kind: str, session: str = PARENT, **properties: object) -> bytes:
    return json.dumps({"type": kind, "properties": {"sessionID": session, **properties}}).encode()


def running(call: str, tool: str = "bash", status: str = "running", session: str = PARENT) -> bytes:
    state = {"status": status, "input": {"command": "CANARY"}, "time": {"start": int(NOW * 1000) - 5_000}}
    part = {"type": "tool", "tool": tool, "callID": call, "sessionID": session, "state": state}
    return event("message.part.updated", session, part=part)


def busy(kind: str = "busy") -> bytes:
    return event("session.status", status={"type": kind, "message": "CANARY", "attempt": 1})


def test_a_recorded_session_is_right_to_the_token_and_the_cent() -> None:
    told = Told()
    told.hear(*stream("permission.sse"))
    record = told.now[PERMISSION]
    # 5,000 fresh, 2,000 cached, 100 out, 20 thought; then 500 fresh, 7,000 cached, 60 out.
    assert record.usage == Usage(fresh=5_500, cache_read=9_000, output=180)
    assert record.usage.prompt == 14_500
    # At the configured 3, 0.3 and 15 USD a million: 0.0165 + 0.0027 + 0.0027.
    assert record.cost == pytest.approx(0.0219)
    assert (record.context_tokens, record.context_limit) == (7_560, 128_000)
    assert record.context_limit_source == "reported:opencode"
    assert (record.model, record.project, record.parent) == ("stub-large", "shop", None)
    assert record.status is Status.EXITED  # it was deleted in the end
    assert told.counts == Counter()


def test_a_recorded_session_shows_what_it_does_as_it_does_it() -> None:
    seen: list[tuple[Status | None, str | None]] = []
    for _, now in Told().each(stream("permission.sse")):
        if PERMISSION in now:
            here = (now[PERMISSION].status, now[PERMISSION].tool)
            if not seen or seen[-1] != here:
                seen.append(here)
    assert seen == [
        (Status.STARTING, None),
        (Status.IDLE, None),  # a prompt is there, and nobody works at it yet
        (Status.WORKING, None),
        (Status.TOOL, "bash"),
        (Status.WAITING, "bash"),
        (Status.TOOL, "bash"),
        (Status.WORKING, None),
        (Status.IDLE, None),
        (Status.EXITED, None),
    ]


def test_a_recorded_sub_session_is_under_its_parent_and_neither_counts_the_others_tokens() -> None:
    told = Told()
    both = {}
    for kind, now in told.each(stream("sub-session.sse")):
        if kind == "message.part.updated" and CHILD in now and now[CHILD].tool == "bash":
            both = now
        if kind == "question.asked":
            break
    assert both[PARENT].tool == "task"
    assert both[PARENT].status is both[CHILD].status is Status.TOOL
    assert both[CHILD].parent == PARENT
    # Each asked the model twice, with the figures of the session above.
    for session in (PARENT, CHILD):
        assert told.now[session].usage == Usage(fresh=5_500, cache_read=9_000, output=180)
        assert told.now[session].cost == pytest.approx(0.0219)


def test_a_recorded_question_waits_a_refusal_of_the_provider_is_an_error_and_a_new_prompt_ends_it() -> None:
    seen: list[tuple[str, Status | None]] = []
    for kind, now in Told().each(stream("sub-session.sse")):
        if kind.startswith(("question", "session.error", "session.status", "message.updated")) and PARENT in now:
            seen.append((kind, now[PARENT].status))
    kinds = [status for kind, status in seen]
    assert ("question.asked", Status.WAITING) in seen
    assert ("question.replied", Status.TOOL) in seen
    assert ("session.status", Status.ERROR) in seen  # it tries again
    after_error = kinds[seen.index(("session.error", Status.ERROR)) :]
    assert set(after_error) == {Status.ERROR}


def test_a_wait_for_a_person_does_not_count_as_the_tools_time() -> None:
    told = Told()
    asked = event("permission.asked", id="per_1", permission="bash", tool={"callID": "c"})
    told.hear(busy(), running("c"), asked, at=NOW)
    assert told.now[PARENT].tool_at == NOW - 5
    record = told.hear(event("permission.replied", requestID="per_1", reply="once"), at=NOW + 60)
    assert (record.status, record.tool, record.tool_at) == (Status.TOOL, "bash", NOW + 60)


@pytest.mark.parametrize(
    ("asks", "replies"),
    [
        (event("permission.updated", id="p"), event("permission.replied", permissionID="p", response="once")),
        (event("question.asked", id="p"), event("question.rejected", requestID="p")),
        (event("permission.asked", id="p"), event("permission.replied")),
    ],
    ids=["old names", "rejected", "unnamed"],
)
def test_older_and_other_words_for_asking_are_understood(asks: bytes, replies: bytes) -> None:
    told = Told()
    assert told.hear(busy(), asks).status is Status.WAITING
    assert told.hear(replies).status is Status.WORKING


def test_an_answer_broken_off_by_a_person_is_no_error() -> None:
    error = {"name": "MessageAbortedError", "data": {"message": "CANARY"}}
    assert Told().hear(busy(), event("session.error", error=error), event("session.idle")).status is Status.IDLE


def test_a_provider_that_says_429_limits_the_rate() -> None:
    told = Told()
    error = {"name": "APIError", "data": {"statusCode": 429, "message": "CANARY"}}
    user = event("message.updated", info={"id": "m1", "role": "user", "sessionID": PARENT, "time": {}})
    assert told.hear(user, busy(), event("session.error", error=error)).status is Status.RATE_LIMITED
    assert told.hear(user, event("session.idle")).status is Status.RATE_LIMITED
    again = event("message.updated", info={"id": "m2", "role": "user", "sessionID": PARENT, "time": {}})
    assert told.hear(again, busy()).status is Status.WORKING


def listing(doing: bytes = b"{}", waiting: bytes = b"[]", sessions: str = "sessions-running.json") -> Listed:
    return Listed(telling.sessions(answer(sessions)), telling.doing(doing), telling.requests(waiting))


def test_a_server_without_a_stream_is_understood_by_asking() -> None:
    told = Told()
    unclear = told.server.listed(listing(answer("status-running.json")), NOW, NOW, NOW - 3_600)
    assert unclear == [CHILD, PARENT]
    told.server.read(CHILD, telling.messages(answer("messages-running.json")), NOW)
    now = {record.session: record for record in told.server.take_changed()}
    assert now[CHILD].status is Status.TOOL
    assert now[CHILD].tool == "bash"
    assert now[PARENT].status is Status.WORKING
    assert told.server.listed(listing(sessions="sessions-done.json"), NOW + 10, NOW + 10, NOW - 3_600) == [
        PARENT,
        CHILD,
    ]
    told.server.read(CHILD, telling.messages(answer("messages-done.json")), NOW)
    done = {record.session: record for record in told.server.take_changed()}
    assert (done[CHILD].status, done[CHILD].tool, done[CHILD].context_tokens) == (Status.IDLE, None, 7_560)
    assert done[PARENT].usage == Usage(fresh=5_500, cache_read=9_000, output=180)


def test_a_list_of_what_waits_for_a_person_is_understood() -> None:
    told = Told()
    waiting = answer("permission-list.json").replace(PERMISSION.encode(), PARENT.encode())
    told.server.listed(listing(answer("status-running.json"), waiting), NOW, NOW, NOW - 3_600)
    now = {record.session: record for record in told.server.take_changed()}
    assert now[PARENT].status is Status.WAITING


def test_a_session_that_ended_long_ago_is_no_agent() -> None:
    told = Told()
    assert told.server.listed(listing(), NOW, NOW, since=NOW + 3_600) == []
    assert told.server.take_changed() == []


def test_the_stream_is_believed_where_an_answer_is_older() -> None:
    told = Told()
    told.hear(busy(), running("c"), at=NOW)
    told.server.listed(listing(), NOW - 1, NOW + 1, NOW - 3_600)  # asked before the tool began
    assert next(r.status for r in told.server.take_changed() if r.session == CHILD) is Status.STARTING
    assert told.now[PARENT].status is Status.TOOL
    told.server.listed(listing(), NOW + 2, NOW + 3, NOW - 3_600)
    assert next(r.status for r in told.server.take_changed() if r.session == PARENT) is Status.IDLE


def test_what_is_not_known_is_none() -> None:
    record = Told(windows=False).hear(busy())
    assert (record.usage, record.cost, record.context_tokens, record.context_limit, record.model) == (None,) * 5


@pytest.mark.parametrize(
    "bad",
    [
        b"no json",
        b"[]",
        b'{"type":"session.status","properties":3}',
        event("session.status", session="../../etc/CANARY", status={"type": "busy"}),
        event("session.status", session="x" * 1000, status={"type": "busy"}),
        b'{"type":"session.idle","properties":{}}',
        b'{"type":"session.idle","properties":' + b"[" * 100_000,
    ],
    ids=["text", "list", "number", "path", "long", "nameless", "deep"],
)
def test_an_event_of_another_shape_is_counted_and_the_next_one_heard(bad: bytes) -> None:
    told = Told()
    told.server.event(bad, NOW)
    assert told.counts["runtimes_bad_events"] == 1
    assert told.hear(busy()).status is Status.WORKING


def test_figures_that_cannot_be_are_not_taken() -> None:
    info = {"id": PARENT, "cost": -1, "tokens": {"input": -3, "output": "9", "cache": {}}, "time": {"updated": "x"}}
    record = Told().hear(event("session.updated", info=info))
    assert (record.usage, record.cost) == (Usage(), None)


def test_what_a_server_may_keep_here_is_bounded() -> None:
    told = Told()
    for number in range(600):
        told.hear(event("session.status", session=f"ses_{number:04}", status={"type": "busy"}))
    assert told.counts["runtimes_over_limit"] == 600 - 512
    for number in range(100):
        told.hear(event("permission.asked", id=f"per_{number}"), running(f"call_{number}"))
    assert told.hear(event("session.idle")).status is Status.IDLE


def test_an_event_that_is_too_long_is_left_out_and_counted() -> None:
    counts: Counter[str] = Counter()
    events = Events(counts)
    for _ in range(3 * EVENT_LIMIT // 65_536):
        assert events.feed(b"x" * 65_536) == []
    assert events.feed(b"\n\ndata: next\r\n\r\n") == [b"next"]
    assert events.feed(b"data: 1\ndata: 2\n: a comment\nid: 7\n\n") == [b"1\n2"]
    assert counts["runtimes_events_too_long"] == 1


def test_the_desk_has_the_sessions_under_their_own_channel() -> None:
    desk = Desk(Counter())
    record = Told().hear(busy())
    desk.hear(Key("opencode", PARENT), Channel.SERVER, record)
    assert desk.told(Key("opencode", PARENT), Channel.SERVER) == record
