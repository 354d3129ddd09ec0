"""Session files of a runtime's version, recorded for `tests/runtimes/data`: run a turn, keep what it wrote, scrubbed.

    unshare -rn python -m tests.interop.record claude BIN INTO [delegating]

BIN has the program, as `npm install --prefix` leaves it in `node_modules/.bin`; INTO is a folder that is made. The
model is `ModelApi`. Of each string what looks like a name, a number or a time is kept; all else is `CANARY`, so that
shape, order, ids, times and figures are as written.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.interop.model_api import ModelApi
from tests.interop.turn import PATIENCE, RUNTIMES, bring_loopback_up

Json = Any

WRITTEN = {
    "claude": (".claude/projects", "*.jsonl"),
    "codex": (".codex/sessions", "rollout-*.jsonl"),
    "gemini": (".gemini/tmp", "**/chats/**/session-*"),
}
"""Where each keeps its sessions, in its home."""

LATER = ("--dangerously-bypass-hook-trust", "--skip-trust")
"""Flags that older versions do not know, and that a recording without hooks does not need."""

FOLDER = "/home/canary-user/canary-folder/shop"
BULK = frozenset({"shape", "params", "schema", "input_schema", "prompt_snapshot", "systemPrompt", "addedLines"})
"""What describes tools and prompts at length, and tells nothing of the session: left out."""

_NAME = re.compile(r"[$A-Za-z0-9][A-Za-z0-9_.:+\[\]-]{0,99}")


def record(runtime: str, bin_folder: str, into: Path, *, delegating: bool) -> None:
    """See the module."""
    with TemporaryDirectory(prefix="meshfleet-record-", ignore_cleanup_errors=True) as folder:
        home, work = Path(folder) / "home", Path(folder) / "shop"
        home.mkdir()
        work.mkdir()
        api = ModelApi("sleep 1; echo canary-output", delegating=delegating)
        words, environment = RUNTIMES[runtime](home, api)
        words = [word for word in words if word not in LATER]
        environment |= {
            "HOME": str(home),
            "PATH": f"{Path(bin_folder).resolve()}:{os.environ['PATH']}",
            "TERM": "xterm",
        }
        environment |= {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
        done = subprocess.run(
            words, env=environment, cwd=work, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
        api.close()
        print(done.stdout[-2000:], done.stderr[-2000:], f"exit code {done.returncode}", sep="\n")
        base, pattern = WRITTEN[runtime]
        for path in sorted((home / base).rglob(pattern)):
            to = into / path.relative_to(home / base)
            if runtime != "gemini":  # theirs are named for the working directory, or for the day
                to = into.joinpath(*path.relative_to(home / base).parts[1 if runtime == "claude" else 3 :])
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text("".join(scrubbed_lines(path.read_text(), path.suffix == ".jsonl")))
            print(to)


def scrubbed_lines(text: str, lines: bool) -> list[str]:
    """The file without what anybody said."""
    if not lines:
        return [json.dumps(scrubbed(json.loads(text)), indent=2) + "\n"]
    return [json.dumps(scrubbed(json.loads(line)), separators=(",", ":")) + "\n" for line in text.splitlines()]


def scrubbed(value: Json, key: str = "") -> Json:
    """The value without what anybody said. Keys are the program's, but for those that hold a path or prose."""
    if isinstance(value, dict):
        kept = [(name, item) for name, item in value.items() if name not in BULK]
        return {name if _NAME.fullmatch(name) else "CANARY": scrubbed(item, name) for name, item in kept}
    if isinstance(value, list):
        return [scrubbed(item, key) for item in value]
    if not isinstance(value, str) or _NAME.fullmatch(value) or not value:
        return value
    return FOLDER if key in ("cwd", "workdir") else "CANARY"


if __name__ == "__main__":
    bring_loopback_up()
    record(sys.argv[1], sys.argv[2], Path(sys.argv[3]), delegating="delegating" in sys.argv[4:])
