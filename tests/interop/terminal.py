"""One turn of Claude Code in its terminal, with a real node: `python -m tests.interop.terminal FOLDER BIN`.

As `turn`, but typed into tmux: only there are a status line, and a person who is asked. Prints each state that the node
showed, and what was on the screen in the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.asking import Asked, reader
from tests.cli.processes import foreground, run
from tests.interop.model_api import ModelApi
from tests.interop.turn import bring_loopback_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.state import AgentState

PATIENCE = 40.0
LOOK_EVERY = 0.2
OWN_LINE = "MY OWN LINE"


class Terminal:
    """Claude Code in a terminal of tmux."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        variables = [f"{name}={value}" for name, value in environment.items()]
        size = ["-x", "120", "-y", "40"]
        start = [*self._tmux, "new-session", "-d", *size, "-c", str(folder / "shop"), "env", "-i", *variables, *words]
        subprocess.run(start, check=True)

    def type(self, text: str) -> None:
        """Type a line and end it, once it is there to be seen."""
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)
        wait_for(lambda: text in self.screen(), f"{text!r} on the screen")
        self.enter()

    def enter(self) -> None:
        """The Enter key."""
        subprocess.run([*self._tmux, "send-keys", "Enter"], check=True)

    def screen(self) -> str:
        """What is to be seen."""
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return done.stdout

    def close(self) -> None:
        """End it, whatever it does."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


def wait_for(holds: Callable[[], object], what: str) -> None:
    """Look again and again until it holds."""
    nobody = threading.Event()
    for _ in range(int(PATIENCE / LOOK_EVERY)):
        if holds():
            return
        nobody.wait(LOOK_EVERY)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def follow(url: str, states: list[AgentState]) -> None:
    """Keep each state that the node shows."""
    for view in reader(Asked(url)).views():
        for agent in view.agents:
            if not states or states[-1] != agent.state:
                states.append(agent.state)


def is_settled(state: AgentState) -> bool:
    """Whether the turn is over and both answers are in: the transcript has all tokens, the status line the context."""
    return (state.status.value, state.tokens_in, state.context_tokens) == ("idle", 9_300, 6_200)


def prepare(home: Path, work: Path) -> None:
    """As if it had been started before, with a status line of the user's own."""
    (home / ".claude").mkdir()
    own = {"statusLine": {"type": "command", "command": f"echo {OWN_LINE}"}, "theme": "dark"}
    (home / ".claude" / "settings.json").write_text(json.dumps(own, indent=2))
    known = {str(work): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}}
    started = {"hasCompletedOnboarding": True, "theme": "dark", "projects": known}
    (home / ".claude.json").write_text(json.dumps(started))


def play(folder: Path, bin_folder: str) -> dict[str, object]:
    """See the module."""
    home, work = Path(os.environ["HOME"]), folder / "shop"
    work.mkdir()
    prepare(home, work)
    # It writes, and so a person is asked.
    api = ModelApi("sleep 2; echo canary-output > ../x")
    environment = {
        "HOME": str(home),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": api.url,
        "CLAUDE_CODE_OAUTH_TOKEN": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    states: list[AgentState] = []
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--name", "n1", "--host", "box")
    with foreground("up", "--state-dir", str(folder / "state"), *free) as (_, told):
        url = str(told["http"])
        assert run("connect", "claude", "--node", url).returncode == 0
        threading.Thread(target=follow, args=(url, states), daemon=True).start()
        terminal = Terminal(folder, ["claude", "--model", "claude-sonnet-4-5"], environment)
        try:
            wait_for(lambda: OWN_LINE in terminal.screen(), "the status line")
            terminal.type("canary prompt")
            wait_for(lambda: "waiting" in [state.status.value for state in states], "the question, at the node")
            terminal.enter()
            wait_for(lambda: is_settled(states[-1]), "the turn's end, and all figures of it")
            screen = terminal.screen()
            terminal.type("/exit")
            wait_for(lambda: states[-1].status.value == "exited", "the session's end")
        finally:
            terminal.close()
    api.close()
    return {"states": msgspec.to_builtins(states), "screen": screen}


if __name__ == "__main__":
    bring_loopback_up()
    print(json.dumps(play(Path(sys.argv[1]), sys.argv[2])))
