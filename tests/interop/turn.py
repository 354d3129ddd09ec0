"""One turn of a real agent with a real node, in a network of its own: `python -m tests.interop.turn RUNTIME DIR BIN`.

Runs within `unshare -rn`, where there is nothing but loopback. The runtime is set up by `meshfleet connect`, answered
by `ModelApi`, and runs one shell command. Prints one JSON object: how it ended, each state that the node showed, and
what its settings were before and after `--undo`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from meshfleet.cli.asking import Asked, reader
from tests.cli.processes import foreground, run
from tests.interop.model_api import ModelApi

COMMAND = "sleep 3; echo canary-output"
"""Long enough to be seen while it runs, also on a machine that is busy with other things."""

PATIENCE = 120

UP, RUNNING, SET_FLAGS = 0x1, 0x40, {"linux": 0x8914}


def bring_loopback_up() -> None:
    """A new network has its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS[sys.platform], struct.pack("16sh14x", b"lo", UP | RUNNING))


def claude(home: Path, api: ModelApi) -> tuple[list[str], dict[str, str]]:
    """Claude Code, printing."""
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text('{"model": "claude-sonnet-4-5"}')
    environment = {
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return ["claude", "-p", "canary prompt", "--output-format", "json", "--allowedTools", "Bash"], environment


def codex(home: Path, api: ModelApi) -> tuple[list[str], dict[str, str]]:
    """Codex, without its terminal, and with hooks trusted as its terminal would ask for."""
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(
        'model = "gpt-5-codex"\nmodel_provider = "stub"\n[model_providers.stub]\nname = "stub"\n'
        f'base_url = "{api.url}/v1"\nwire_api = "responses"\nenv_key = "STUB_KEY"\nsupports_websockets = false\n'
    )
    trusted = "--dangerously-bypass-hook-trust"
    alone = "--dangerously-bypass-approvals-and-sandbox"
    return ["codex", "exec", trusted, alone, "--skip-git-repo-check", "canary prompt"], {"STUB_KEY": "dummy"}


def gemini(home: Path, api: ModelApi) -> tuple[list[str], dict[str, str]]:
    """Gemini CLI, without its terminal."""
    (home / ".gemini").mkdir()
    auth = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    (home / ".gemini" / "settings.json").write_text(json.dumps(auth, indent=1))
    environment = {"GOOGLE_GEMINI_BASE_URL": api.url, "GEMINI_API_KEY": "dummy"}
    words = ["gemini", "-p", "canary prompt", "-m", "gemini-2.5-pro", "-y", "-o", "json", "--skip-trust"]
    return words, environment


RUNTIMES = {"claude": claude, "codex": codex, "gemini": gemini}


TOKENS_IN = {"claude": 9_300, "codex": 30_000, "gemini": 15_000}
"""Known to be right when all is read of their own files; test_real_agents.py has the sums."""

AFTERWARDS = 3
"""Views that are looked at after that, of which there is one each two seconds: telemetry that comes last must add
nothing."""


def follow(url: str, runtime: str, states: list[object], ended: threading.Event) -> None:
    """Keep each state that the node shows, until one has exited and nothing more is expected."""
    settled = 0
    for view in reader(Asked(url)).views():
        for agent in view.agents:
            state = msgspec.to_builtins(agent.state)
            if not states or states[-1] != state:
                states.append(state)
            by_file = agent.state.sources.get("tokens_in") not in (None, "reported:otlp")
            all_read = by_file and agent.state.tokens_in == TOKENS_IN[runtime]
            if agent.state.status.value == "exited" and (settled or all_read):
                settled += 1
        if settled > AFTERWARDS:
            ended.set()
            return


def turn(runtime: str, folder: Path, bin_folder: str) -> dict[str, object]:
    """See the module."""
    home, work = Path(os.environ["HOME"]), folder / "shop"
    work.mkdir()
    api = ModelApi(COMMAND)
    words, environment = RUNTIMES[runtime](home, api)
    environment |= {"HOME": str(home), "PATH": f"{bin_folder}:{os.environ['PATH']}", "TERM": "xterm", "LANG": "C.UTF-8"}
    settings = {path: path.read_bytes() for path in home.rglob("*.json")}
    states: list[object] = []
    ended = threading.Event()
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--name", "n1", "--host", "box")
    with foreground("up", "--state-dir", str(folder / "state"), *free) as (_, told):
        url = str(told["http"])
        connected = run("connect", runtime, "--node", url)
        threading.Thread(target=follow, args=(url, runtime, states, ended), daemon=True).start()
        done = subprocess.run(
            words, env=environment, cwd=work, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
        saw_the_end = ended.wait(PATIENCE / 3)
    undone = run("connect", runtime, "--undo")
    api.close()
    return {
        "returncode": done.returncode,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "connected": connected.stderr,
        "undone": undone.stderr,
        "put_back": {path.name: path.read_bytes() == content for path, content in settings.items()},
        "answers": api.answers,
        "saw_the_end": saw_the_end,
        "states": states,
    }


if __name__ == "__main__":
    bring_loopback_up()
    print(json.dumps(turn(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
