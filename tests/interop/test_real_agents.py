"""The real Claude Code, Codex and Gemini CLI, offline, set up by `meshfleet connect` and seen by a real node.

Their packages have some hundred megabytes each: `make real-agents` installs them and runs this; else it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

BIN = os.environ.get("REAL_AGENTS", "")
ROOT = Path(__file__).parent.parent.parent

Turn = dict[str, Any]


def missing(program: str) -> str | None:
    """Why a program can't be tried here."""
    if not BIN or not (Path(BIN) / program).exists():
        return f"{program} is not there: `make real-agents` installs it"
    try:
        alone = subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        alone = False
    return None if alone else "no network of its own can be had here (unshare -rn)"


@cache
def turn(program: str) -> Turn:
    """One turn of it."""
    told = alone("turn", program)
    assert told["returncode"] == 0, told
    return told


def alone(module: str, *words: str) -> Turn:
    """What a module here prints, in a network and a home of its own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    with TemporaryDirectory(prefix="meshfleet-real-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        home.mkdir()
        done = subprocess.run(
            ["unshare", "-rn", sys.executable, "-m", f"tests.interop.{module}", *words, folder, BIN],
            cwd=ROOT,
            env={**kept, "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    told: Turn = json.loads(done.stdout)
    return told


@pytest.fixture(params=["claude", "codex", "gemini"])
def program(request: pytest.FixtureRequest) -> str:
    """Each that is here."""
    name: str = request.param
    if (reason := missing(name)) is not None:
        pytest.skip(reason)
    return name


def last(told: Turn) -> Turn:
    state: Turn = told["states"][-1]
    return state


TOOLS = {"claude": "Bash", "codex": "Bash", "gemini": "run_shell_command"}


def test_the_running_tool_is_shown_while_it_runs_and_the_end_when_it_ends(program: str) -> None:
    told = turn(program)
    assert told["saw_the_end"], told["states"]
    at_work = [state for state in told["states"] if state["status"] == "tool"]
    assert {state["active_tool"] for state in at_work} == {TOOLS[program]}
    assert all(state["active_tool_since"] for state in at_work)
    assert (last(told)["status"], last(told)["active_tool"]) == ("exited", None)
    assert {state["project"] for state in told["states"]} == {"shop"}


def test_there_is_one_agent_however_many_ways_it_is_told_of(program: str) -> None:
    told = turn(program)
    assert len({state["agent_id"] for state in told["states"]}) == 1
    assert told["answers"] == 2


def test_the_session_is_not_disturbed_and_its_settings_are_put_back(program: str) -> None:
    told = turn(program)
    assert "canary answer" in told["stdout"]
    assert "hook error" not in told["stdout"] + told["stderr"]
    assert (told["connected"], told["undone"]) == ("", "")
    assert set(told["put_back"].values()) <= {True}


def test_nothing_of_what_it_works_on_is_shown(program: str) -> None:
    assert "canary" not in json.dumps(turn(program)["states"])


def test_claude_codes_figures_are_right_to_the_digit() -> None:
    if (reason := missing("claude")) is not None:
        pytest.skip(reason)
    told = turn("claude")
    state, own = last(told), json.loads(told["stdout"])
    # Answers 1 and 2: 100 + 200 fresh, 1,000 + 2,000 written to and 2,000 + 4,000 read from the cache, 51 + 52 out.
    assert (state["tokens_in"], state["tokens_out"]) == (9_300, 103)
    assert (state["tokens_cache_read"], state["tokens_cache_write"]) == (6_000, 3_000)
    # Sonnet 4.5 per million: 300 x 3 $ + 3,000 x 3.75 $ + 6,000 x 0.30 $ + 103 x 15 $ = 0.015495 $.
    assert state["cost_usd"] == pytest.approx(0.015495, abs=1e-9)
    assert state["cost_usd"] == pytest.approx(own["total_cost_usd"], abs=1e-9)
    # The second prompt: 200 + 2,000 + 4,000 of 200,000.
    assert (state["context_tokens"], state["context_limit"], state["model"]) == (6_200, 200_000, "claude-sonnet-4-5")


def test_codexs_figures_are_right_to_the_digit() -> None:
    if (reason := missing("codex")) is not None:
        pytest.skip(reason)
    state = last(turn("codex"))
    # Answers 1 and 2: 10,000 + 20,000 in, of which 4,000 + 8,000 cached, 100 + 200 out.
    assert (state["tokens_in"], state["tokens_out"], state["tokens_cache_read"]) == (30_000, 300, 12_000)
    # GPT-5-Codex per million: 18,000 x 1.25 $ + 12,000 x 0.125 $ + 300 x 10 $ = 0.027 $.
    assert state["cost_usd"] == pytest.approx(0.027, abs=1e-9)
    # All of the second response: 20,000 + 200.
    assert (state["context_tokens"], state["model"]) == (20_200, "gpt-5-codex")
    assert [(limit["window"], limit["used_pct"]) for limit in state["rate_limits"]] == [("5h", 37.5)]


def test_gemini_clis_figures_are_right_to_the_digit() -> None:
    if (reason := missing("gemini")) is not None:
        pytest.skip(reason)
    state = last(turn("gemini"))
    # Answers 1 and 2: 5,000 + 10,000 in, of which 1,000 + 2,000 cached, 40 + 80 out and 10 + 20 of thoughts.
    assert (state["tokens_in"], state["tokens_out"], state["tokens_cache_read"]) == (15_000, 150, 3_000)
    # Gemini 2.5 Pro per million: 12,000 x 1.25 $ + 3,000 x 0.125 $ + 150 x 10 $ = 0.016875 $.
    assert state["cost_usd"] == pytest.approx(0.016875, abs=1e-9)
    assert (state["context_tokens"], state["model"]) == (10_000, "gemini-2.5-pro")


@cache
def terminal() -> Turn:
    """One turn of Claude Code in its terminal."""
    if (reason := missing("claude")) is not None:
        pytest.skip(reason)
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not there, which the terminal is typed into by")
    return alone("terminal")


def test_in_the_terminal_a_person_who_is_asked_is_shown_and_so_is_what_was_granted() -> None:
    states = terminal()["states"]
    seen = [(state["status"], state["active_tool"]) for state in states]
    asked = seen.index(("waiting", "Bash"))
    granted = seen.index(("tool", "Bash"), asked)
    assert states[asked]["active_tool_since"] < states[granted]["active_tool_since"]
    assert ("idle", None) in seen[granted:]
    assert states[-1]["status"] == "exited"


def test_in_the_terminal_window_cost_and_limits_are_claude_codes_own() -> None:
    state = next(state for state in reversed(terminal()["states"]) if state["status"] == "idle")
    # As in print: 300 fresh, 3,000 written to and 6,000 read from the cache, 103 out; the second prompt has 6,200.
    assert (state["tokens_in"], state["tokens_out"], state["context_tokens"]) == (9_300, 103, 6_200)
    assert (state["context_limit"], state["sources"]["context_limit"]) == (200_000, "reported:statusline")
    assert (state["cost_usd"], state["sources"]["cost_usd"]) == (pytest.approx(0.015495), "reported:statusline")
    assert [(limit["window"], limit["used_pct"]) for limit in state["rate_limits"]] == [("5h", 42.0), ("7d", 7.0)]


def test_in_the_terminal_nothing_is_to_be_seen_of_us() -> None:
    screen = terminal()["screen"]
    assert "MY OWN LINE" in screen
    assert "hook" not in screen


def test_what_comes_by_file_hooks_and_telemetry_at_once_is_shown_from_one_of_them(program: str) -> None:
    sources = last(turn(program))["sources"]
    by_file = {"claude": "reported:transcript", "codex": "reported:rollout", "gemini": "reported:session file"}
    assert sources["tokens_in"] == by_file[program]
    assert sources["cost_usd"] == {"claude": "reported:otlp", "codex": "priced", "gemini": "priced"}[program]
