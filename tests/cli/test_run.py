"""`meshfleet run`, in real processes: the command comes first, whatever its node does."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.asking import Asked, reader
from meshfleet.fleet.state import Status
from tests.cli.processes import COMMAND, PATIENCE, environment, foreground, node, one_line_of, run, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meshfleet.fleet.state import AgentState
    from meshfleet.fleet.view import FleetView

pytestmark = pytest.mark.processes

NOBODY = "http://127.0.0.1:9"

TELLS = """
import os, signal, sys
counts = {}
def heard(number, frame):
    print("heard", signal.Signals(number).name, flush=True)
    if number in (signal.SIGTERM, signal.SIGINT):
        sys.exit(7)
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH):
    signal.signal(each, heard)
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()
"""

COUNTS = """
import signal, sys
heard = []
def count(number, frame):
    heard.append(number)
    print("heard", len(heard), flush=True)
def end(number, frame):
    print("in all", len(heard), flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, count)
signal.signal(signal.SIGQUIT, end)
print("ready", flush=True)
while True:
    signal.pause()
"""

SLOW_NAMES = """
import fcntl, os, socket
def getaddrinfo(*arguments, **more):
    with open(os.environ["HELD"]) as held:
        fcntl.flock(held, fcntl.LOCK_SH)
    raise socket.gaierror(socket.EAI_NONAME, "no such name")
socket.getaddrinfo = getaddrinfo
"""


def state_in(view: FleetView, agent: str) -> AgentState | None:
    return next((each.state for each in view.agents if each.agent_id.endswith(agent)), None)


@contextmanager
def running(*arguments: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    command = [*COMMAND, "run", *arguments]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment(**extra)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_passed_on(code: int) -> None:
    done = run("run", "--node", NOBODY, "--", "sh", "-c", f"exit {code}")
    assert done.returncode == code


def test_a_command_that_a_signal_ended_has_128_and_its_number() -> None:
    assert run("run", "--node", NOBODY, "--", "sh", "-c", "kill -KILL $$").returncode == 128 + 9
    assert run("run", "--node", NOBODY, "--", "sh", "-c", "kill -TERM $$").returncode == 128 + 15


def test_a_command_that_cannot_be_started_says_so_as_shells_do(tmp_path: Path) -> None:
    missing = run("run", "--node", NOBODY, "--", "there-is-no-such-command")
    assert missing.returncode == 127
    assert missing.stderr == "meshfleet: there-is-no-such-command: no such file or directory. Nothing was run.\n"
    (tmp_path / "data").write_text("x")
    assert run("run", "--node", NOBODY, "--", str(tmp_path / "data")).returncode == 126


def test_a_script_that_does_not_say_who_reads_it_is_read_by_the_shell(tmp_path: Path) -> None:
    script = tmp_path / "says"
    script.write_text('echo "$0: $*"; exit 6\n')
    script.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    for name in (str(script), "says"):
        done = run("run", "--node", NOBODY, "--", name, "a b", "c", PATH=path)
        assert (done.returncode, done.stdout) == (6, f"{script}: a b c\n")


def test_output_input_and_arguments_are_the_commands_own() -> None:
    with running("--node", NOBODY, "--", "sh", "-c", 'cat; echo "$0 $@" >&2', "a b", "--id", "-h") as process:
        out, err = process.communicate("hello\n", PATIENCE)
    assert out == "hello\n"
    assert "a b --id -h\n" in err  # what we say may come before or after: the command does not wait for it


def test_without_a_node_it_is_said_once_that_nobody_watches() -> None:
    done = run("run", "--node", NOBODY, "--", "true")
    assert done.stderr == (
        "meshfleet: no node answers at http://127.0.0.1:9: nobody watches this run, unless one is started. "
        "`meshfleet up` does.\n"
    )


@pytest.mark.parametrize("address", ["http://[::1:7879", "ftp://box", "http://127.0.0.1:http", "http://a..b:7879"])
def test_an_address_that_is_none_does_not_keep_a_command_from_running(address: str) -> None:
    script = ("--", "sh", "-c", 'echo "{}" >&$MESHFLEET_FD; exit 5')
    for done in (run("run", *script, MESHFLEET_NODE=address), run("run", "--node", address, *script)):
        assert done.returncode == 5
        assert "nobody watches this run" in one_line_of(done)


def test_where_no_descriptor_is_left_for_telling_the_command_runs() -> None:
    story = (
        "import resource, sys\n"
        "from meshfleet.cli.run.running import run_words\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))  # a pipe is two; imports, and the command, need one\n"
        "sys.exit(run_words(sys.argv[1:]))\n"
    )
    script = 'test -z "$MESHFLEET_FD" && exit 5'
    command = [sys.executable, "-c", story, "--node", NOBODY, "--", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False)
    assert done.returncode == 5
    assert "this run is not told of: OSError" in one_line_of(done)


def test_a_machine_whose_node_rests_gets_it_beside_the_command(tmp_path: Path) -> None:
    free = {"MESHFLEET_GOSSIP": "127.0.0.1:0", "MESHFLEET_HTTP": "127.0.0.1:0", "MESHFLEET_NAME": "rests"}
    base = {**free, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    with foreground("up", "--no-discover", **base) as (before, _):
        before.terminate()
        before.wait(PATIENCE)
    running_json = next(tmp_path.rglob("rests")) / "running.json"
    assert not running_json.exists()
    with running("--id", "box/job", "--", "sh", "-c", "read x; exit 4", **base) as process:
        assert process.stderr is not None
        assert "one is started beside this run" in process.stderr.readline()
        deadline = time.monotonic() + PATIENCE
        while not running_json.exists():
            assert time.monotonic() < deadline
        told = json.loads(running_json.read_bytes())
        views = reader(Asked(told["http"], str(running_json.parent))).views()
        assert any(state_in(view, "box/job") is not None for view in views)
        process.communicate("go\n", PATIENCE)
        assert process.returncode == 4
        while running_json.exists():  # it says goodbye, and ends
            assert time.monotonic() < deadline


def test_a_command_shows_while_it_runs_and_as_exited_with_its_code(tmp_path: Path) -> None:
    line = '{"status": "tool", "active_tool": "compile", "tokens_in": 12}'
    script = f"echo '{line}' >&$MESHFLEET_FD; read x; exit 3"
    with (
        node(tmp_path / "n") as (_, told),
        running("--id", "box/build", "--node", str(told["http"]), "--", "sh", "-c", script) as process,
    ):
        there = seen(told["http"], lambda view: (s := state_in(view, "box/build")) is not None and s.tokens_in == 12)
        state = state_in(there, "box/build")
        assert state is not None
        assert (state.status, state.active_tool, state.runtime) == (Status.TOOL, "compile", "process")
        assert state.active_tool_since is not None
        assert state.sources["tokens_in"] == state.sources["status"] == "reported:agent"
        process.communicate("go\n", PATIENCE)
        assert process.returncode == 3
        gone = seen(told["http"], lambda view: (s := state_in(view, "box/build")) is not None and s.exit_code == 3)
        state = state_in(gone, "box/build")
        assert state is not None
        assert (state.status, state.active_tool) == (Status.EXITED, None)


def test_until_a_command_says_something_only_its_process_is_known(tmp_path: Path) -> None:
    with (
        node(tmp_path / "n") as (_, told),
        running("--id", "mute", "--node", str(told["http"]), "--", "cat") as process,
    ):
        state = state_in(seen(told["http"], lambda view: state_in(view, "/mute") is not None), "/mute")
        assert state is not None
        assert state.sources["status"] == "inferred:its process runs"
        assert (state.tokens_in, state.cost_usd, state.model, state.context_pct) == (None,) * 4
        process.communicate("", PATIENCE)


def test_where_run_itself_is_killed_the_command_goes_on_and_its_node_sees_it_end(tmp_path: Path) -> None:
    script = 'echo $$; while read x; do echo "{\\"tokens_in\\": 1}" >&$MESHFLEET_FD && echo went on; done'
    with (
        node(tmp_path / "n") as (_, told),
        running("--id", "box/left", "--node", str(told["http"]), "--", "sh", "-c", script) as process,
    ):
        pid = int(line_of(process))
        seen(told["http"], lambda view: state_in(view, "box/left") is not None)
        process.kill()
        process.wait(PATIENCE)
        assert process.stdin is not None
        process.stdin.write("x\n")
        process.stdin.flush()
        assert line_of(process) == "went on"
        os.kill(pid, signal.SIGKILL)
        seen(told["http"], lambda view: (s := state_in(view, "box/left")) is not None and s.status is Status.EXITED)


def test_a_node_that_accepts_and_says_nothing_holds_nothing_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        done = run("run", "--node", url, "--", "sh", "-c", 'echo "{}" >&$MESHFLEET_FD; exit 5')
    assert (done.returncode, done.stderr) == (5, "")


def test_a_server_of_names_that_takes_its_time_does_not_hold_a_command_up(tmp_path: Path) -> None:
    held = tmp_path / "held"
    (tmp_path / "sitecustomize.py").write_text(SLOW_NAMES)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    extra = {"MESHFLEET_NODE": "http://box.test:7879", "PYTHONPATH": path, "HELD": str(held)}
    with held.open("w") as server, ExitStack() as stack:
        fcntl.flock(server, fcntl.LOCK_EX)
        process = stack.enter_context(running("--", "sh", "-c", "echo ready; read x; exit 4", **extra))
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert select.select([process.stdout], [], [], PATIENCE)[0], "it waits for the server of names"
        assert line_of(process) == "ready"
        fcntl.flock(server, fcntl.LOCK_UN)
        assert "no node answers at http://box.test:7879: nobody watches" in process.stderr.readline()
        process.communicate("go\n", PATIENCE)
        assert process.returncode == 4


def test_more_lines_than_anybody_reads_do_not_stop_a_command() -> None:
    script = """
import os
print("ready", flush=True)
input()
for number in range(20_000):
    try:
        os.write(int(os.environ["MESHFLEET_FD"]), b'{"tokens_in": %d}\\n' % number)
    except BlockingIOError:
        pass
print("done", flush=True)
"""
    with running("--node", NOBODY, "--", sys.executable, "-c", script) as process:
        assert line_of(process) == "ready"
        process.send_signal(signal.SIGSTOP)  # nobody reads: the pipe holds some 64 KiB, and 500 are written
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert line_of(process) == "done"
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def test_lines_that_were_not_understood_are_told_once_without_what_they_said() -> None:
    done = run(
        "run",
        "--node",
        NOBODY,
        "--",
        "sh",
        "-c",
        'for i in 1 2 3; do echo "{\\"prompt\\": \\"CANARY\\"}" >&$MESHFLEET_FD; done',
    )
    assert "3 lines of MESHFLEET_FD were not understood; the first: " in done.stderr
    assert "CANARY" not in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_is_sent_to_run_alone_reaches_the_command_once(name: str) -> None:
    with running("--node", NOBODY, "--", sys.executable, "-c", TELLS) as process:
        assert line_of(process).startswith("ready")
        process.send_signal(signal.SIGUSR1)
        assert line_of(process) == "heard SIGUSR1"
        process.send_signal(signal.SIGHUP)
        assert line_of(process) == "heard SIGHUP"
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=PATIENCE)[0] == f"heard {name}\n"
        assert process.returncode == 7


class Terminal:
    """A program with a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.said = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment(PS1="$ ", TERM="dumb"))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def lend(self) -> None:
        """Until it has given the terminal to a program that it runs: keys go there from then on."""
        while os.tcgetpgrp(self._fd) == self.pid:
            os.sched_yield()

    def until(self, text: str) -> None:
        """Read until it has printed `text`, and forget what came before its end."""
        while text.encode() not in self.said:
            assert select.select([self._fd], [], [], PATIENCE)[0], self.said
            self.said += os.read(self._fd, 4096)
        self.said = self.said.partition(text.encode())[2]

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell with job control: bash")
def test_a_terminals_keys_reach_the_command_once_and_it_can_be_stopped_and_continued(tmp_path: Path) -> None:
    (tmp_path / "counts.py").write_text(COUNTS)
    terminal = Terminal("bash", "--norc", "--noprofile", "-i")
    try:
        terminal.until("$ ")
        terminal.type(f"{' '.join(COMMAND)} run --node {NOBODY} -- {sys.executable} {tmp_path}/counts.py; echo rc=$?\n")
        terminal.until("ready")
        terminal.type("\x1a")  # Ctrl-Z
        terminal.until("Stopped")
        terminal.until("rc=")
        terminal.type("fg; echo rc=$?\n")
        terminal.until("counts.py")
        terminal.lend()
        terminal.type("\x03")  # Ctrl-C
        terminal.until("heard 1")
        terminal.type("\x1c")  # Ctrl-\\
        terminal.until("in all 1")
        terminal.until("rc=7")
    finally:
        terminal.close()


def test_a_terminal_that_is_gone_ends_the_command_where_run_leads_its_session() -> None:
    reading, writing = os.pipe()  # open for as long as one of the two lives
    os.set_inheritable(writing, True)
    terminal = Terminal(*COMMAND, "run", "--node", NOBODY, "--", "sh", "-c", "echo ready; exec sleep 1000")
    os.close(writing)
    try:
        terminal.until("ready")
        os.close(terminal._fd)
        assert select.select([reading], [], [], PATIENCE)[0], "the hangup has ended nobody"
        assert os.read(reading, 1) == b""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(terminal.pid, signal.SIGKILL)
        os.waitpid(terminal.pid, 0)
        os.close(reading)
