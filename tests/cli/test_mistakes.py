"""Each mistake gets one line that says what to do, and the exit code that fits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from meshfleet import __version__
from tests.cli.processes import environment, invitation, node, one_line_of, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "--fo"), "No such option: --fo"),
        (("up", "--gossip"), "'--gossip' requires an argument. See `meshfleet up --help`."),
        (("upp",), "No such command 'upp'. Did you mean 'up'? See `meshfleet --help`."),
        (("stop",), "No such command 'stop'. Did you mean 'leave'? See `meshfleet --help`."),
        (("cost", "--by", "foo"), "Invalid value for '--by': 'foo' is not one of 'day', 'model'"),
        (("keys", "api", "create", "x", "--scope", "foo"), "Invalid value for '--scope': 'foo' is not one of 'read'"),
        (("invite", "--uses", "0"), "Invalid value for '--uses': it must be at least 1. See"),
        (("up", "--sample", "99"), "Invalid value for '--sample': it must be at most 64. See"),
        (("events", "--limit", "many"), "Invalid value for '--limit': it must be a whole number. See"),
        (("bench", "runtimes", "--size", "x"), "it must be a number. See"),
        (("up", "--state-dir", "/etc/hostname"), "/etc/hostname can't be used: it is a file, not a folder."),
        (("demo", "kil", "n1"), "No such command 'kil'. Did you mean 'kill'? See `meshfleet demo --help`."),
        (("demo", "kill"), "Missing argument 'NAMES'"),
        (("up", "--role", "boss"), "--role: 'boss' is none of agent, observer."),
        (("up", "--timing", "fast"), "--timing: 'fast' is not a preset. There are: lan, local, wan."),
        (("up", "--name", "a b"), "--name: 'a b' is not a valid node name."),
        (("up", "--gossip", "x:y"), "--gossip: address 'x:y': 'y' is not a port."),
        (("up", "--config", "/there/is/none"), "/there/is/none: there is no such file."),
        (("up", "--join", "no.such.host.invalid:1"), "'no.such.host.invalid' can't be resolved"),
        (("up", "--http", "192.0.2.1:7879"), "Add --tls own or --tls CERT,KEY"),
        (("up", "--tls", "mine"), "--tls 'mine' is neither `own` nor two files: --tls CERT,KEY."),
        (("up", "--http-name", "a:b"), "--http-name: 'a:b' is no host name or IP address"),
        (("up", "--invite", "mfi1_half"), "--invite: the invitation is not whole"),
        (("invite", "--expires", "soon"), "--expires: 'soon' is not a time such as 30m, 1h or 7d"),
        (("keys", "export-ca", "--private"), "--private writes a secret: give --out a file"),
        (("status", "--node", "ftp://127.0.0.1:1"), "nodes are asked over http or https, not ftp"),
        (("status", "--node", "a:b:c"), "--node: address 'a:b:c' is ambiguous"),
        (("join", "127.0.0.1"), "address '127.0.0.1' lacks a port"),
        (("leave", "--node", "http://127.0.0.1:1"), "no state dir here belongs to it"),
        (("proxy", "--listen", "0.0.0.0:7880"), "--listen 0.0.0.0:7880: the proxy listens on loopback alone"),
        (("proxy", "--to", "gateway"), "--to gateway: write NAME=URL"),
        (("demo", "--timing", "fast"), "'fast' is not a preset"),
        (("demo", "--nodes", "99"), "--nodes"),
    ],
)
def test_wrong_usage_is_told_in_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments, MESHFLEET_STATE_DIR=str(tmp_path / "state"))
    assert done.returncode == 2
    assert said in one_line_of(done)
    assert done.stdout == ""


def test_a_malformed_key_in_the_file_is_told_with_its_path_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "meshfleet.toml"
    path.write_text("[timing]\nheartbeet = 2\n")
    done = run("up", "--config", str(path))
    assert done.returncode == 2
    assert one_line_of(done).endswith("timing.heartbeet is not a setting. Did you mean 'heartbeat'?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--node", "127.0.0.1:{port}"), "no node answered at http://127.0.0.1:{port} (Connection refused)"),
        (("why", "n1", "--node", "127.0.0.1:{port}"), "no node answered at"),
        (("status", "--state-dir", "{folder}"), "no node runs in {folder}"),
        (("status", "-w", "--state-dir", "{folder}"), "no node runs in {folder}"),
        (("leave", "--state-dir", "{folder}"), "no node runs in {folder}"),
        (("forget", "n1", "--state-dir", "{folder}"), "no node runs in {folder}"),
        (("demo", "heal", "--state-dir", "{folder}"), "no demo runs in {folder}"),
    ],
)
def test_where_no_node_answers_the_exit_code_is_4(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and it refuses
        place = {"port": taken.getsockname()[1], "folder": tmp_path}
        done = run(*(word.format(**place) for word in arguments))
    assert done.returncode == 4
    assert said.format(**place) in one_line_of(done)


def test_something_else_that_answers_is_not_taken_for_a_node() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "meshfleet", "status", "--node", f"127.0.0.1:{port}"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stderr=pipe, text=True, env=environment()) as asking:
            connection, _ = server.accept()
            with closing(connection):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                said = asking.communicate(timeout=60)[1]
    assert asking.returncode == 4
    assert "answers, but not as a node of this version does" in said


@pytest.mark.processes
def test_what_is_taken_is_told_with_a_way_out(tmp_path: Path) -> None:
    with node(tmp_path / "one") as (_, told):
        gossip, http = str(told["gossip"]), str(told["http"]).removeprefix("http://")
        same_gossip = run("up", "--state-dir", str(tmp_path / "two"), "--gossip", gossip, "--http", "127.0.0.1:0")
        same_http = run("up", "--state-dir", str(tmp_path / "two"), "--gossip", "127.0.0.1:0", "--http", http)
        same_dir = run("up", "--state-dir", str(tmp_path / "one"), "--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert [done.returncode for done in (same_gossip, same_http, same_dir)] == [2, 2, 2]
    assert "is in use" in one_line_of(same_gossip)
    assert "--gossip" in one_line_of(same_gossip)
    assert "is in use" in one_line_of(same_http)
    assert "--http" in one_line_of(same_http)
    assert f"is held by the process with pid {told['pid']}" in one_line_of(same_dir)


def test_an_invitation_of_another_fleet_changes_nothing(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1"):
        line = invitation(tmp_path / "one")
    with node(tmp_path / "two", "--name", "n2"):
        pass
    before = (tmp_path / "two" / "ca.crt").read_bytes()
    done = run("up", "--state-dir", str(tmp_path / "two"), "--name", "n2", "--invite", line)
    assert done.returncode == 2
    assert "belongs to another fleet" in one_line_of(done)
    assert (tmp_path / "two" / "ca.crt").read_bytes() == before


def python(code: str) -> subprocess.CompletedProcess[str]:
    """`meshfleet version` in a Python that `code` has prepared."""
    code += "\nimport runpy; sys.argv = ['meshfleet', 'version']; runpy.run_module('meshfleet', run_name='__main__')"
    command = [sys.executable, "-c", f"import sys\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)


@pytest.mark.parametrize("arguments", [("version",), ("--version",), ("-V",)])
def test_the_version_is_told_by_whatever_people_try(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"meshfleet {__version__}")


def test_an_old_python_is_refused_in_one_line() -> None:
    done = python("sys.version_info = (3, 9, 18, 'final', 0)")
    assert done.returncode == 2
    assert "needs Python 3.11 or newer; this is 3.9.18" in one_line_of(done)


def test_a_missing_extra_is_named() -> None:
    done = python("sys.modules['typer'] = None")
    assert done.returncode == 2
    assert "the extra 'cli': pip install 'meshfleet[all]'" in one_line_of(done)


def test_a_reader_that_has_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "meshfleet", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment(), check=False, timeout=60)
    os.close(write)
    assert done.stderr == b""


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    """What makes `meshfleet version` slow is imports: so they are counted, as seconds would depend on the machine."""
    code = "import meshfleet.cli.main, sys; print(' '.join(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True, timeout=60)
    heavy = {"trio", "rich", "structlog", "cryptography", "starlette", "hypercorn", "genai_prices", "http.client"}
    assert heavy & set(done.stdout.split()) == set()
