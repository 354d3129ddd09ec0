"""`meshfleet connect` on real files, and the script that its hooks run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.connect import telling
from meshfleet.cli.connect.command import connect, connections, scripts
from meshfleet.errors import ConfigError
from meshfleet.node.settings import default_state_base
from meshfleet.runtimes.settings import find_runtimes
from tests.cli.processes import PATIENCE, node, one_line_of, run, seen
from tests.interop.model_api import ModelApi

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = 'printf \'%s · "mine" \' "$(cut -c1-9)"; exit 3'
USER = {"statusLine": {"type": "command", "command": OWN, "padding": 0}, "model": "opus"}


@pytest.fixture
def home() -> Path:
    """This user's home, with Claude Code's folder."""
    folder = Path.home()
    (folder / ".claude").mkdir()
    return folder


def settings_of(home: Path) -> Path:
    return home / ".claude" / "settings.json"


def do(runtime: str = "claude", *, undo: bool = False, dry_run: bool = False, node: str | None = None) -> int:
    return connect(runtime, undo=undo, dry_run=dry_run, node=node or "127.0.0.1:7879", as_json=True)


def test_a_dry_run_shows_the_change_and_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = settings_of(home)
    path.write_text(json.dumps(USER, indent=2))
    assert do(dry_run=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] is True
    assert told["diff"].startswith(f"--- {path}\n+++ {path}\n@@")
    assert '+    "PreToolUse": [' in told["diff"]
    assert path.read_text() == json.dumps(USER, indent=2)
    assert not scripts().exists()


def test_mode_link_and_backup(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text('{"a":1}')
    real.chmod(0o640)
    settings_of(home).symlink_to(real)
    do()
    told = json.loads(capsys.readouterr().out)
    assert Path(told["backup"]).read_text() == '{"a":1}'
    assert settings_of(home).is_symlink()
    assert (real.stat().st_mode & 0o777, json.loads(real.read_text())["a"]) == (0o640, 1)
    do(undo=True)
    assert (settings_of(home).is_symlink(), real.read_text()) == (True, '{"a":1}')
    assert list(scripts().iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["dotfiles.json"]


@pytest.mark.parametrize(
    ("runtime", "variable", "path"),
    [
        ("claude", "CLAUDE_CONFIG_DIR", "settings.json"),
        ("codex", "CODEX_HOME", "hooks.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
    ],
)
def test_settings_are_written_where_sessions_are_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, variable: str, path: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    read = find_runtimes(os.environ, home)
    assert (tmp_path / path).parent in (*read.claude_dirs, *read.codex_dirs, *read.gemini_dirs)
    (tmp_path / path).parent.mkdir(exist_ok=True)
    do(runtime)
    assert "/hooks/" in (tmp_path / path).read_text()
    do(runtime, undo=True)
    assert not (tmp_path / path).exists()


def test_the_script_stays_while_another_runtime_needs_it(home: Path) -> None:
    (home / ".codex").mkdir()
    do("claude")
    do("codex")
    do("claude", undo=True)
    assert (scripts() / telling.SCRIPT).exists()
    do("codex", undo=True)
    assert not (scripts() / telling.SCRIPT).exists()
    assert [path.name for path in (home / ".codex").iterdir()] == []


def test_telemetry_of_the_users_own_stays_as_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example", "OTEL_METRICS_EXPORTER": "otlp"}}
    settings_of(home).write_text(json.dumps(own))
    do()
    assert json.loads(settings_of(home).read_text())["env"] == own["env"]
    assert "Telemetry goes where you have it go" in capsys.readouterr().out


def test_telemetry_names_the_node_and_this_machine(home: Path) -> None:
    do()
    env = json.loads(settings_of(home).read_text())["env"]
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:7879/otlp"
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/json"
    assert env["OTEL_RESOURCE_ATTRIBUTES"].startswith("host.name=")
    assert "OTEL_LOG_USER_PROMPTS" not in env


@pytest.mark.parametrize(
    ("node", "runtime", "problem"),
    [
        ("https://127.0.0.1:7879", "claude", "no node of this machine"),
        ("http://10.0.0.7:7879", "claude", "no node of this machine"),
        ("127.0.0.1:7879", "cursor", "none of claude, codex"),
        ("127.0.0.1:7879", "gemini", "not on this machine"),
    ],
)
def test_what_can_not_be_connected_is_told(home: Path, node: str, runtime: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        do(runtime, node=node)


def test_opencode_is_told_how_to_be_started(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".config" / "opencode").mkdir(parents=True)
    do("opencode")
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] is False
    assert "opencode --port 4096" in told["notes"][0]
    do("opencode", undo=True)
    assert list((home / ".config" / "opencode").iterdir()) == []


def test_broken_settings_are_left_alone(home: Path) -> None:
    settings_of(home).write_bytes(b'{"a": 1')
    done = run("connect", "claude")
    assert done.returncode == 2
    assert "line 1, column 8" in one_line_of(done)
    assert settings_of(home).read_bytes() == b'{"a": 1'
    assert not scripts().exists()


def test_doctor_knows_what_is_connected_and_where_it_leads(home: Path) -> None:
    assert [(c.runtime, c.connected) for c in connections("http://127.0.0.1:7879")] == [("claude", False)]
    do()
    assert [(c.connected, c.problem) for c in connections("http://127.0.0.1:7879")] == [(True, None)]
    (moved,) = connections("http://127.0.0.1:7901")
    assert "another node" in str(moved.problem)
    (scripts() / telling.SCRIPT).unlink()
    (gone,) = connections("http://127.0.0.1:7879")
    assert "script is gone" in str(gone.problem)


# The script


@pytest.fixture
def api() -> Iterator[ModelApi]:
    """Keeps what is posted."""
    server = ModelApi()
    yield server
    server.close()


def line_of(home: Path) -> str:
    return str(json.loads(settings_of(home).read_text())["statusLine"]["command"])


def shell(command: str, said: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/sh", "-c", command], input=said, capture_output=True, timeout=30, env={**os.environ, **environment}
    )


def kept(api: ModelApi) -> tuple[str, object]:
    """The next thing posted. The sender works in the background."""
    assert api.came.wait(20)
    return api.kept[-1]


@pytest.mark.parametrize("path", ["curl", "python"])
def test_the_users_own_line_is_printed_and_ends_as_it_does_and_the_node_is_told(
    home: Path, api: ModelApi, tmp_path: Path, path: str
) -> None:
    settings_of(home).write_text(json.dumps(USER))
    do(node=api.url)
    without_curl = tmp_path / "bin"
    without_curl.mkdir()
    (without_curl / "cat").symlink_to("/bin/cat")
    (without_curl / "cut").symlink_to("/usr/bin/cut")
    said = b'{"session_id":"s","x":"%d \\\\n \xc3\xa9 $HOME"}\n\n'
    alone = shell(OWN, said)
    environment = {"PATH": str(without_curl)} if path == "python" else {}
    done = shell(line_of(home), said, **environment)
    assert (done.stdout, done.returncode, done.stderr) == (alone.stdout, alone.returncode, b"")
    assert done.stdout.endswith(b' "mine" ')
    assert kept(api) == ("/hooks/claude/statusline", json.loads(said))


def test_without_the_script_the_users_own_line_is_all_there_is(home: Path) -> None:
    settings_of(home).write_text(json.dumps(USER))
    do()
    (scripts() / telling.SCRIPT).unlink()
    done = shell(line_of(home), b"0123456789abc")
    assert (done.stdout, done.returncode, done.stderr) == (b'012345678 \xc2\xb7 "mine" ', 3, b"")


@pytest.mark.parametrize("own", ["cat", "cat # a comment", 'read -r x; echo "$x"', "cat <<E\nx\nE", "true", "exit 7"])
def test_any_line_works_as_it_did(home: Path, own: str) -> None:
    settings_of(home).write_text(json.dumps({"statusLine": {"type": "command", "command": own}}))
    do()
    alone, done = shell(own, b"a\nb"), shell(line_of(home), b"a\nb")
    assert (done.stdout, done.returncode) == (alone.stdout, alone.returncode)
    do(undo=True)
    assert line_of(home) == own


def test_a_node_that_is_gone_or_stalls_costs_the_session_nothing(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stalled:  # accepts by its backlog, and never answers
        do(node=f"http://127.0.0.1:{stalled.getsockname()[1]}")
        settings = json.loads(settings_of(home).read_text())
        hook = settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"]
        ended = threading.Event()

        def hooked() -> None:
            done = shell(hook, b"{}" * 500_000)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
            ended.set()

        threading.Thread(target=hooked, daemon=True).start()
        assert ended.wait(20), "the hook waited for the node"
    done = shell(hook, b"{}")  # nobody listens there any more
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_large_hook_arrives_whole(home: Path, api: ModelApi) -> None:
    do(node=api.url)
    hook = json.loads(settings_of(home).read_text())["hooks"]["PostToolUse"][0]["hooks"][0]["command"]
    said = {"session_id": "s", "tool_response": "%s\\n'" * 400_000}
    shell(hook, json.dumps(said).encode())
    assert kept(api) == ("/hooks/claude", said)


def running_node(home: Path, name: str, port: int) -> None:
    folder = default_state_base() / name
    folder.mkdir(parents=True)
    told = {"name": name, "http": f"http://127.0.0.1:{port}", "gossip": "127.0.0.1:1", "pid": os.getpid()}
    (folder / "running.json").write_text(json.dumps(told))


def test_without_a_word_hooks_tell_the_only_node_that_runs_here(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(node: str | None) -> tuple[str, str]:
        connect("claude", undo=False, dry_run=True, node=node, as_json=True)
        done = json.loads(capsys.readouterr().out)
        return done["node"], " ".join(done["notes"])

    usual = "http://127.0.0.1:7879"
    assert told(None)[0] == usual
    assert "No node runs here" not in told(None)[1]  # it may be started later
    running_node(home, "n1", 7900)
    assert told(None)[0] == "http://127.0.0.1:7900"
    assert f"No node runs here at {usual}. Running here: n1" in told(usual)[1]
    with monkeypatch.context() as other:
        other.setenv("MESHFLEET_HTTP", "127.0.0.1:7950")
        assert told(None)[0] == "http://127.0.0.1:7950"
    running_node(home, "n2", 7901)
    assert told(None)[0] == usual
    assert "n2 (--node http://127.0.0.1:7901)" in told(None)[1]
    assert "No node runs here" not in told("127.0.0.1:7901")[1]


@pytest.mark.processes
def test_a_hook_shows_at_a_real_node(home: Path, tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1", "--discover", "--log-level", "debug") as (process, told):
        assert run("connect", "claude", "--node", str(told["http"])).returncode == 0
        hook = json.loads(settings_of(home).read_text())["hooks"]["PreToolUse"][0]["hooks"][0]["command"]
        said = {"session_id": "0efa1768-57a8", "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "t"}
        shell(hook, json.dumps(said | {"cwd": "/canary/shop", "tool_input": {"command": "canary"}}).encode())
        view = seen(told["http"], lambda view: bool(view.agents))
        (agent,) = view.agents
        assert (agent.state.active_tool, agent.state.project, agent.state.status) == ("Bash", "shop", "tool")
        doctor = run("doctor", "--state-dir", str(tmp_path / "one"))
        assert "claude" in doctor.stdout
        said_it = [repr(view), doctor.stdout, run("status", "--node", str(told["http"])).stdout]
        process.terminate()
        said_it += process.communicate(timeout=PATIENCE)
    said_it += [path.read_bytes().decode("latin-1") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert "canary" not in "".join(said_it)
