"""The real opencode: what it shows of a turn, right to the token and the cent.

It is looked for on PATH, and in the folder that INTEROP_BIN names: `npm install opencode-ai` puts it into
`node_modules/.bin`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OPENCODE = shutil.which("opencode", path=os.environ.get("INTEROP_BIN", "") + os.pathsep + os.environ.get("PATH", ""))


def alone() -> str | None:
    """Why a program can't be run without a network here; None where it can."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "needs unshare and ip (Linux): the program must not reach the network"
    done = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return None if done.returncode == 0 else "needs the right to make network namespaces"


pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(OPENCODE is None, reason="opencode is not installed: npm install opencode-ai, and INTEROP_BIN"),
]


def test_a_turn_of_the_real_opencode_is_right_to_the_token_and_the_cent(tmp_path: Path) -> None:
    if (why := alone()) is not None:
        pytest.skip(why)
    command = ["unshare", "-rn", sys.executable, "-m", "tests.interop.opencode_session", str(OPENCODE), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    *lines, counted = [json.loads(line) for line in done.stdout.splitlines()]
    assert counted == {"counts": {}}
    statuses = [line["status"] for line in lines]
    kept = [status for number, status in enumerate(statuses) if number == 0 or statuses[number - 1] != status]
    # How it begins depends on what is told between two looks: starting, idle before the prompt is taken up, or neither.
    shown = [status for status in kept if status not in ("working", "starting")]
    assert shown[shown[0] == "idle" :] in (
        ["tool", "waiting", "tool", "idle", "exited"],
        ["waiting", "tool", "idle", "exited"],
    )
    tools = [line for line in lines if line["status"] == "tool"]
    assert {line["active_tool"] for line in tools} == {"bash"}
    assert all(line["active_tool_since"] is not None for line in tools)
    last = lines[-1]
    # 5,000 + 500 fresh and 2,000 + 7,000 cached; 100 + 60 out and 20 of reasoning. The title is not counted, by
    # opencode itself. At 3, 0.3 and 15 USD a million: 0.0165 + 0.0027 + 0.0027 = 0.0219.
    assert (last["tokens_in"], last["tokens_out"], last["tokens_cache_read"]) == (14_500, 180, 9_000)
    assert last["cost_usd"] == 0.0219
    assert (last["context_tokens"], last["context_limit"], last["context_pct"]) == (7_560, 128_000, 5.9)
    assert (last["model"], last["project"], last["runtime"]) == ("stub-large", "shop", "opencode")
    assert last["sources"]["cost_usd"] == last["sources"]["context_limit"] == "reported:opencode"
    assert "canary" not in done.stdout.lower() + done.stderr.lower()
