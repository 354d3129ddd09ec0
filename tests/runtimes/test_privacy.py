"""Nothing of prompts, answers, tool inputs, paths or errors gets out: the recorded sessions are full of canaries."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.runtimes.agents import watch_agents
from meshfleet.runtimes.claude_code import ClaudeSession
from meshfleet.runtimes.codex import CodexSession
from meshfleet.runtimes.record import name, project_of
from meshfleet.runtimes.settings import find_runtimes
from tests.runtimes.writing import DATA, SESSION, T0, THREAD, Flat, Living, Recorder, answer, codex, item, meta, prompt

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RECORDED = 1_795_477_100.0
"""Just after the sessions of 2026-11-23; those of older versions were recorded later."""


def sessions_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jsonl"))


async def test_no_canary_is_ever_published_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "meshfleet")
    shutil.copytree(DATA / "claude-code", tmp_path / ".claude" / "projects")
    shutil.copytree(DATA / "codex", tmp_path / ".codex" / "sessions")
    for recorded in ("resumed", "0.41.2", "0.53.0"):
        shutil.copytree(DATA / "gemini-cli" / recorded, tmp_path / ".gemini" / "tmp", dirs_exist_ok=True)
    files = [path for folder in (".claude", ".codex", ".gemini") for path in sessions_in(tmp_path / folder)]
    assert all(b"canary" in path.read_bytes().lower() for path in files)
    for path in files:
        os.utime(path, (RECORDED, RECORDED))
    sink = Recorder()
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            settings = find_runtimes({}, tmp_path)
            await watch_agents(sink, host="box", settings=settings, wall=lambda: RECORDED, table=Living())

        nursery.start_soon(watch)
        await sink.until(lambda now: len(now) == 17)
        nursery.cancel_scope.cancel()
    said = msgspec.json.encode(sink.states).decode() + caplog.text
    assert "canary" not in said.lower()
    assert "/home" not in said
    assert {state.project for state in sink.states} == {"shop"}


def test_a_tool_or_model_whose_name_is_prose_or_a_path_is_not_named() -> None:
    claude = ClaudeSession(SESSION, Flat())
    claude.feed(answer(T0, "a", tools={"t": "rm -rf the canary"}, model="/home/canary/model.gguf"))
    assert (claude.record().tool, claude.record().model) == ("unnamed", None)
    thread = CodexSession(THREAD, Flat())
    for one in (
        meta(),
        codex(T0, "turn_context", model="the canary model"),
        item(T0, "function_call", call_id="c", name="a\ncanary"),
    ):
        thread.feed(one)
    assert (thread.record().tool, thread.record().model) == ("unnamed", None)


def test_only_the_last_component_of_a_folder_is_a_project() -> None:
    assert project_of("/home/canary/shop") == "shop"
    assert project_of("/home/canary/shop/") == "shop"
    assert project_of(r"C:\Users\canary\shop") == "shop"
    assert project_of("/home/canary/My Shop ü") == "My Shop ü"
    for nothing in (None, "", "/", "C:\\", "..", "/x/" + "y" * 300, "/x/a\nb"):
        assert project_of(nothing) is None


def test_a_project_stays_that_of_the_folder_the_session_began_in() -> None:
    session = ClaudeSession(SESSION, Flat())
    session.feed(prompt(T0))
    session.feed(prompt(T0 + 1).replace(b"/home/canary/shop", b"/home/canary/shop/src"))
    assert session.record().project == "shop"


def test_names_of_tools_and_models_as_they_are_get_through() -> None:
    for real in (
        "mcp__chrome-devtools__click",
        "claude-opus-4-8[1m]",
        "qwen3-coder:30b",
        "anthropic/claude-sonnet-4.5",
        "exec",
    ):
        assert name(real) == real
