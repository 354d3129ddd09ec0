"""`watch_agents` on real files: what a session's file says is soon published, whatever happens to the file."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.fleet.state import AgentState, Status
from meshfleet.runtimes.agents import SLICE, watch_agents
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.followed import PREVIEW_FROM
from meshfleet.runtimes.settings import RuntimesSettings, find_runtimes
from meshfleet.runtimes.tail import Lines, Tail
from tests.runtimes.writing import (
    DATA,
    SESSION,
    T0,
    THREAD,
    Flat,
    Living,
    Recorder,
    answer,
    event,
    line,
    meta,
    prompt,
    result,
    token_count,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshfleet.runtimes.usage import Tariff

AGENT = "box/claude-1f3c9a02"
TARIFFS: dict[str, Tariff] = {"claude-code": Flat(), "codex": Flat(), "gemini-cli": Flat()}


class Home:
    """A home folder with the files of both runtimes, and who watches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = Recorder()
        self.counts: Counter[str] = Counter()
        self.desk = Desk(self.counts)
        self.table = Living()
        self.now = T0 + 10
        # Looking and scanning so rarely that only the watching of files can bring what a test waits for.
        self.settings = msgspec.structs.replace(find_runtimes({}, folder), look_every=0.2, scan_every=0.5)

    @property
    def session(self) -> Path:
        return self.folder / ".claude" / "projects" / "-home-canary-shop" / f"{SESSION}.jsonl"

    @property
    def rollout(self) -> Path:
        return (
            self.folder / ".codex" / "sessions" / "2026" / "11" / "18" / f"rollout-2026-11-18T11-06-40-{THREAD}.jsonl"
        )

    def write(self, path: Path, *lines: bytes, mode: str = "ab", changed: float | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(b"".join(one + b"\n" for one in lines))
        at = self.now if changed is None else changed
        os.utime(path, (at, at))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Recorder]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch)
            yield self.sink
            nursery.cancel_scope.cancel()

    async def watch(self) -> None:
        await watch_agents(
            self.sink,
            host="box",
            settings=self.settings,
            wall=lambda: self.now,
            counts=self.counts,
            tariffs=TARIFFS,
            table=self.table,
            desk=self.desk,
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def shows(agent: str, **fields: object) -> Callable[[dict[str, AgentState]], bool]:
    """Whether an agent is shown with these fields."""

    def holds(now: dict[str, AgentState]) -> bool:
        return agent in now and all(getattr(now[agent], name) == value for name, value in fields.items())

    return holds


async def test_a_session_is_found_and_followed_as_it_grows(home: Home) -> None:
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.WORKING, project="shop"))
        home.write(home.session, answer(T0 + 1, "a", tools={"t": "Bash"}, out=5))
        await sink.until(shows(AGENT, status=Status.TOOL, active_tool="Bash", tokens_out=5))
        home.write(home.session, result(T0 + 2, "t"), answer(T0 + 3, "b", out=7))
        await sink.until(shows(AGENT, status=Status.IDLE, tokens_out=12, cost_usd=12.0))


async def test_folders_and_sessions_that_come_later_are_found_too(home: Home) -> None:
    async with home.watched() as sink:
        home.write(home.rollout, meta(), event(T0, "task_started"))
        home.write(home.session, prompt(T0))
        await sink.until(lambda now: set(now) == {AGENT, "box/codex-0b1178c5"})


async def test_without_a_look_or_a_scan_the_system_itself_tells_of_new_lines(home: Home) -> None:
    home.settings = msgspec.structs.replace(home.settings, look_every=3600.0, scan_every=3600.0)
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.WORKING))
        home.write(home.session, answer(T0 + 1, "a"))
        await sink.until(shows(AGENT, status=Status.IDLE))


async def test_without_a_word_from_the_system_looking_finds_new_lines(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(folder: Path, changed: Callable[[set[str]], None]) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr("meshfleet.runtimes.agents.watch", deaf)
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.WORKING))
        home.write(home.session, answer(T0 + 1, "a"))
        await sink.until(shows(AGENT, status=Status.IDLE))
        home.write(home.rollout, meta(), event(T0, "task_started"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.WORKING))


async def test_a_partial_last_line_is_published_when_it_is_whole(home: Home) -> None:
    whole = answer(T0 + 1, "a", out=5) + b"\n"
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT))
        for piece in (whole[:40], whole[40:]):
            with home.session.open("ab") as file:
                file.write(piece)
            assert sink.now[AGENT].status is Status.WORKING
        await sink.until(shows(AGENT, status=Status.IDLE, tokens_out=5))


async def test_a_session_that_was_cut_or_replaced_is_counted_anew(home: Home) -> None:
    home.write(home.session, prompt(T0), answer(T0, "a", out=5), answer(T0, "b", out=6))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, tokens_out=11))
        home.write(home.session, answer(T0 + 1, "c", out=3), mode="wb")
        await sink.until(shows(AGENT, tokens_out=3))
        other = home.folder / "other"
        home.write(other, answer(T0 + 2, "d", out=2), answer(T0 + 2, "e", out=2), prompt(T0 + 3))
        os.replace(other, home.session)
        await sink.until(shows(AGENT, tokens_out=4, status=Status.WORKING))


async def test_a_long_file_shows_its_status_at_once_and_its_sums_when_all_is_read(home: Home) -> None:
    # 400 responses of 5 tokens, with the output of their tools between them.
    bulk = result(T0, "t", toolUseResult={"stdout": "CANARY " * 2_000})
    past = [one for n in range(400) for one in (answer(T0, f"m{n}", out=5, fresh=9), bulk)]
    home.write(home.session, prompt(T0), *past, answer(T0 + 1, "end", tools={"x": "Read"}, out=5, fresh=77))
    assert home.session.stat().st_size > PREVIEW_FROM
    async with home.watched() as sink:
        await sink.until(shows(AGENT, tokens_out=401 * 5))
    assert sink.states[0].status is Status.TOOL
    assert (sink.states[0].active_tool, sink.states[0].context_tokens) == ("Read", 77)
    assert (sink.states[0].tokens_in, sink.states[0].tokens_out, sink.states[0].cost_usd) == (None, None, None)
    assert (sink.states[0].project, sink.states[-1].cost_usd) == ("shop", 401 * 5.0)


async def test_a_file_that_is_half_read_tells_nothing(home: Home) -> None:
    # Over one slice, and read in order: its first half alone would be history.
    bulk = result(T0 - 9000, "t", toolUseResult={"stdout": "CANARY " * 2_000})
    home.write(home.session, prompt(T0 - 9000), *[bulk] * 90, answer(T0, "a", out=5))
    assert SLICE < home.session.stat().st_size < PREVIEW_FROM
    async with home.watched() as sink:
        await sink.until(shows(AGENT))
    assert [(state.status, state.tokens_out) for state in sink.states] == [(Status.IDLE, 5)]


async def test_sub_agents_files_count_for_their_session(home: Home) -> None:
    shutil.copytree(DATA / "claude-code" / "sub-agent", home.session.parent)
    home.now = 1_795_476_700.0  # a minute after it was recorded
    for path in home.session.parent.rglob("*.jsonl"):
        os.utime(path, (home.now, home.now))
    async with home.watched() as sink:
        # As Claude Code itself counted: in 1,800 + 36,000 + 18,000, out 218 (see test_claude_code.py).
        await sink.until(shows("box/claude-00f5c3a6", tokens_in=55_800, tokens_out=218, context_tokens=18_600))
    assert set(sink.now) == {"box/claude-00f5c3a6"}


async def test_sub_agents_files_that_stand_beside_their_sessions_count_as_well(home: Home) -> None:
    (main,) = (path for path in (DATA / "claude-code" / "2.0.59").iterdir() if not path.name.startswith("agent-"))
    home.now = 1_795_687_260.0  # soon after it was recorded
    folder = home.session.parent
    shutil.copytree(main.parent, folder)
    another = folder / "00000000-0000-4000-8000-000000000000.jsonl"
    home.write(another, prompt(home.now))
    late = folder / "agent-e3d6ba85.jsonl"
    late.rename(home.folder / "late")
    for path in folder.iterdir():
        os.utime(path, (home.now, home.now))
    async with home.watched() as sink:
        await sink.until(shows("box/claude-b497a2b6", tokens_in=15_500, tokens_out=105))
        (home.folder / "late").rename(late)
        # As Claude Code itself counted: 1,000 + 20,000 + 10,000 in, 210 out (see test_claude_code.py).
        await sink.until(shows("box/claude-b497a2b6", tokens_in=31_000, tokens_out=210))
    assert set(sink.now) == {"box/claude-b497a2b6", "box/claude-00000000"}


async def test_history_is_left_alone_until_it_speaks_again(home: Home) -> None:
    home.write(home.session, prompt(T0 - 7200), answer(T0 - 7200, "a", out=5), changed=T0 - 7200)
    home.write(home.rollout, meta())
    async with home.watched() as sink:
        await sink.until(lambda now: "box/codex-0b1178c5" in now)
        assert AGENT not in sink.now
        home.write(home.session, answer(T0 + 1, "b", out=6))
        await sink.until(shows(AGENT, tokens_out=11))


async def test_a_session_that_speaks_again_brings_its_sub_agents_sums(home: Home) -> None:
    home.settings = msgspec.structs.replace(home.settings, scan_every=3600.0)
    old = home.session.with_suffix("") / "subagents" / "agent-a1b2c3.jsonl"
    home.write(home.session, answer(T0 - 7200, "a", out=5), changed=T0 - 7200)
    home.write(old, answer(T0 - 7200, "s", out=30, isSidechain=True), changed=T0 - 7200)
    home.write(home.rollout, meta())
    async with home.watched() as sink:
        await sink.until(lambda now: "box/codex-0b1178c5" in now)
        home.write(home.session, answer(T0, "b", out=6))
        await sink.until(shows(AGENT, tokens_out=41))


async def test_history_is_not_even_opened(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write(home.session, prompt(T0 - 7200), changed=T0 - 7200)
    home.write(home.rollout, meta())
    read: list[Path] = []
    first = Tail.read

    def noted(tail: Tail, most: int = 0) -> Lines:
        read.append(tail.path)
        return first(tail, most)

    monkeypatch.setattr(Tail, "read", noted)
    async with home.watched() as sink:
        await sink.until(lambda now: "box/codex-0b1178c5" in now)
    assert set(read) == {home.rollout}


async def test_an_agent_that_was_withdrawn_does_not_come_back_with_the_next_scan(home: Home) -> None:
    # Its file is younger than an hour, so only the memory of having let it go keeps it away.
    home.settings = msgspec.structs.replace(home.settings, exited_shown=60.0, scan_every=0.05)
    home.write(home.session, prompt(T0 - 400, version="2.1.197"), changed=T0 - 400)
    async with home.watched() as sink:
        home.write(home.rollout, meta(), event(T0, "task_started"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.WORKING))
        home.write(home.rollout, event(T0 + 1, "task_complete"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.IDLE))
    assert (set(sink.now), home.counts["runtimes_retired"]) == ({"box/codex-0b1178c5"}, 1)


async def test_an_old_file_that_was_only_touched_is_history_too(home: Home) -> None:
    home.write(home.session, prompt(T0 - 7200))
    home.write(home.rollout, meta(), event(T0, "task_started"))
    async with home.watched() as sink:
        await sink.until(lambda now: "box/codex-0b1178c5" in now)
        home.write(home.rollout, event(T0 + 1, "task_complete"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.IDLE))
    assert all(state.agent_id != AGENT for state in sink.states)


async def test_a_process_shows_before_it_wrote_a_line_waits_and_ends(home: Home) -> None:
    def process(status: str, at: float) -> None:
        said = line(pid=77, sessionId=SESSION, cwd="/home/canary/shop", status=status, statusUpdatedAt=at * 1000)
        home.write(home.folder / ".claude" / "sessions" / "77.json", said, mode="wb")

    home.table.pids.add(77)
    process("idle", T0)
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.IDLE, project="shop", model=None))
        home.write(home.session, prompt(T0 + 1), answer(T0 + 2, "a", tools={"t": "Bash"}))
        await sink.until(shows(AGENT, status=Status.TOOL))
        process("waiting", T0 + 3)
        await sink.until(shows(AGENT, status=Status.WAITING, active_tool="Bash"))
        home.table.pids.clear()
        await sink.until(shows(AGENT, status=Status.EXITED, active_tool=None))
        home.now += home.settings.exited_shown + 1
        await sink.until(lambda now: not now)
    assert sink.withdrawn == [AGENT]


async def test_a_process_that_ends_without_a_line_leaves_nothing(home: Home) -> None:
    home.table.pids.add(77)
    home.write(home.folder / ".claude" / "sessions" / "77.json", line(pid=77, sessionId=SESSION))
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.STARTING))
        home.table.pids.clear()
        await sink.until(lambda now: not now)


async def test_an_archived_rollout_is_one_agent_that_exited(home: Home) -> None:
    home.write(home.rollout, meta(), event(T0, "task_started"), token_count(T0, tokens(100, 10)))
    async with home.watched() as sink:
        await sink.until(shows("box/codex-0b1178c5", status=Status.WORKING, tokens_in=100))
        archive = home.folder / ".codex" / "archived_sessions"
        archive.mkdir()
        home.rollout.rename(archive / home.rollout.name)
        await sink.until(shows("box/codex-0b1178c5", status=Status.EXITED, tokens_in=100))


async def test_a_session_whose_file_was_deleted_is_withdrawn(home: Home) -> None:
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT))
        home.session.unlink()
        await sink.until(lambda now: not now)


async def test_a_file_that_cant_be_read_is_named_once_and_the_others_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home.write(home.session, prompt(T0))
    opened = Path.open

    def refusing(path: Path, mode: str = "r", buffering: int = -1) -> object:
        if path == home.session:  # root, as whom tests may run, can read any file
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, buffering)

    monkeypatch.setattr(Path, "open", refusing)
    async with home.watched() as sink:
        with trio.fail_after(10):
            while home.counts["runtimes_unreadable"] < 2:  # tried again at each scan
                await trio.lowlevel.checkpoint()
        monkeypatch.setattr(Path, "open", opened)
        home.write(home.rollout, meta(), event(T0, "task_started"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.WORKING))
        await sink.until(shows(AGENT, status=Status.WORKING))
    (said,) = [record.getMessage() for record in caplog.records if record.name == "meshfleet.runtimes"]
    assert home.session.name in said
    assert "Permission denied" in said
    assert "canary" not in said, "the log names the file, not its folders"


async def test_a_parser_that_breaks_on_one_session_costs_that_session_alone(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Flat):
        def cost(self, model: str, usage: object, at: float) -> float | None:
            raise ValueError("CANARY: the text of a file")

    monkeypatch.setitem(TARIFFS, "claude-code", Broken())
    home.write(home.session, answer(T0, "a", out=5))
    async with home.watched() as sink:
        home.write(home.rollout, meta(), event(T0, "task_started"))
        await sink.until(shows("box/codex-0b1178c5", status=Status.WORKING))
        with trio.fail_after(10):
            while not home.counts["runtimes_failed"]:
                await trio.lowlevel.checkpoint()
    (said,) = [record.getMessage() for record in caplog.records if record.name == "meshfleet.runtimes"]
    assert SESSION in said
    assert "ValueError" in said
    assert "CANARY" not in caplog.text


def test_the_folders_are_those_of_the_runtimes_own_variables(tmp_path: Path) -> None:
    plain = find_runtimes({}, tmp_path)
    assert plain.claude_dirs == (tmp_path / ".claude", tmp_path / ".config" / "claude")
    assert plain.codex_dirs == (tmp_path / ".codex",)
    moved = find_runtimes({"CLAUDE_CONFIG_DIR": "/c", "CODEX_HOME": "/x"}, tmp_path)
    assert (moved.claude_dirs, moved.codex_dirs) == ((Path("/c"),), (Path("/x"),))
    assert isinstance(plain, RuntimesSettings)
