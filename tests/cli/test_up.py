"""`up` as it is lived with: asked, administered, ended, started again."""

from __future__ import annotations

import json
import os
import platform
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.up import _names
from meshfleet.node.ledger import LEDGER
from meshfleet.node.settings import Given, load, machine_name
from tests.cli.processes import (
    COMMAND,
    PATIENCE,
    environment,
    foreground,
    invitation,
    node,
    one_line_of,
    presences,
    run,
    seen,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


def test_commands_find_the_node_by_its_state_dir(tmp_path: Path) -> None:
    with node(tmp_path, "--name", "box") as (process, told):
        assert told["name"] == "box"
        assert json.loads((tmp_path / "running.json").read_text()) == told
        assert told["pid"] == process.pid
        status = run("status", "--state-dir", str(tmp_path))
        assert status.returncode == 0
        assert status.stdout.startswith("box is connected")
        assert json.loads(run("status", "--node", str(told["http"]), "--json").stdout)["served_by"]["node"] == "box"
        assert run("why", "box", "--state-dir", str(tmp_path)).stdout.startswith("box is ● fresh, says box")
        assert json.loads(run("why", "box", "--state-dir", str(tmp_path), "--json").stdout)["name"] == "box"
        unknown = run("why", "bix", "--node", str(told["http"]))
        assert unknown.returncode == 2
        assert "box" in one_line_of(unknown)


def test_the_only_node_here_is_administered_by_whatever_name_it_goes() -> None:
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-discover")
    with foreground("up", "--name", "first", *free):
        assert run("invite").stdout.startswith("mfi1_")
        with foreground("up", "--name", "second", *free):
            told = one_line_of(run("invite"))  # which of the two?
            assert "Running here: first" in told
            assert "second" in told
            assert run("invite", MESHFLEET_NAME="second").stdout.startswith("mfi1_")


def test_leave_ends_the_node_and_clears_up(tmp_path: Path) -> None:
    with node(tmp_path) as (process, _):
        left = run("leave", "--state-dir", str(tmp_path), "--json")
        assert json.loads(left.stdout) == {"ok": True}
        assert process.wait(PATIENCE) == 0
    assert not (tmp_path / "running.json").exists()
    assert not (tmp_path / "admin.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_says_goodbye_to_the_others(tmp_path: Path, number: signal.Signals) -> None:
    with node(tmp_path / "one", "--name", "n1") as (_, one):
        joining = ("--name", "n2", "--host", "h2", "--invite", invitation(tmp_path / "one"))
        with node(tmp_path / "two", *joining) as (process, _):
            seen(one["http"], lambda view: presences(view) == {"n1": "fresh", "n2": "fresh"})
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        seen(one["http"], lambda view: presences(view)["n2"] == "left")


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with node(tmp_path) as (process, _):
        process.send_signal(signal.SIGSTOP)  # so that both have come when it goes on
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == 130
    assert not (tmp_path / "running.json").exists()


def test_a_node_keeps_its_identity_and_its_peers_over_a_restart(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1") as (_, one):
        joining = ("--name", "n2", "--host", "h2", "--invite", invitation(tmp_path / "one"))
        with node(tmp_path / "two", *joining) as (_, two):
            seen(two["http"], lambda view: presences(view) == {"n1": "fresh", "n2": "fresh"})
            before = seen(one["http"], lambda view: presences(view).get("n2") == "fresh")
            run("leave", "--state-dir", str(tmp_path / "two"))
        assert (tmp_path / "two" / "ca.crt").read_text() == (tmp_path / "one" / "ca.crt").read_text()
        assert not (tmp_path / "two" / "ca.key").exists()
        with node(tmp_path / "two", "--name", "n2", "--host", "h2"):
            after = seen(one["http"], lambda view: presences(view).get("n2") == "fresh")
    epochs = [next(each.epoch for each in view.nodes if each.name == "n2") for view in (before, after)]
    assert epochs[0] < epochs[1]


def test_join_and_forget_are_asked_of_the_running_node(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1") as (_, one):
        invite = invitation(tmp_path / "one")
        with node(tmp_path / "two", "--name", "n2", "--host", "h2", "--invite", invite) as (process, _):
            joined = run("join", str(one["gossip"]), "--state-dir", str(tmp_path / "two"))
            assert joined.stdout == "Joined through n1.\n"
            seen(one["http"], lambda view: presences(view).get("n2") == "fresh")
            there = run("forget", "n2", "--state-dir", str(tmp_path / "one"))
            assert there.returncode == 1
            assert "n2 is fresh" in one_line_of(there)
            process.kill()
            process.wait(PATIENCE)
            seen(one["http"], lambda view: presences(view)["n2"] == "down")
            gone = run("status", "--node", str(one["http"]))
            assert gone.returncode == 1
            assert "n2 down: " in gone.stdout
            assert run("forget", "n2", "--state-dir", str(tmp_path / "one")).stdout == "n2 is forgotten.\n"
            seen(one["http"], lambda view: presences(view).get("n2") in (None, "left"))
            assert run("status", "--node", str(one["http"])).returncode == 0
    refused = run("join", "127.0.0.1:1", "--state-dir", str(tmp_path / "one"))
    assert refused.returncode == 4


def test_made_up_agents_are_carried_on_request(tmp_path: Path) -> None:
    with node(tmp_path, "--sample", "2") as (_, told):
        view = seen(told["http"], lambda view: len(view.agents) == 2 and bool(view.totals.tokens_in))
        assert run("status", "--node", str(told["http"])).stdout.count(view.agents[0].agent_id[:12]) >= 1
        assert all("/sample-" in agent.agent_id for agent in view.agents)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as ledger:
        assert not [line for line in ledger.iterdump() if "/sample-" in line], "nobody pays for them"


def test_a_node_leaves_with_whoever_started_it(tmp_path: Path) -> None:
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-discover", "--with-stdin", "--json")
    command = [*COMMAND, "up", "--state-dir", str(tmp_path), *free]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_people_are_told_where_to_look(tmp_path: Path) -> None:
    free = ("--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-discover")
    command = [*COMMAND, "up", "--state-dir", str(tmp_path), "--name", "box", *free]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.terminate()
    assert lines[0].endswith("node box\n")
    assert lines[1].startswith("  view    http://127.0.0.1:")
    assert lines[2].startswith("  gossip  127.0.0.1:")


def test_watching_prints_each_change(tmp_path: Path) -> None:
    with (
        node(tmp_path, "--name", "box") as (_, told),
        foreground("status", "--watch", "--node", str(told["http"])) as (watching, view),
    ):
        assert view["served_by"]
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["nodes"][0]["name"] == "box"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 0


def test_the_node_of_a_killed_process_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    with node(tmp_path) as (process, _):
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    assert (tmp_path / "running.json").exists()
    assert run("status", "--state-dir", str(tmp_path)).returncode == 4
    with node(tmp_path, "--name", "again") as (_, told):
        assert told["name"] == "again"


@pytest.mark.parametrize(
    ("http", "gossip", "also"),
    [
        ("127.0.0.1:0", "10.0.0.7:7878", set()),
        ("10.0.0.8:0", "10.0.0.7:7878", {"10.0.0.8"}),
        ("0.0.0.0:0", "10.0.0.7:7878", {"10.0.0.7"}),
        ("[::]:0", "box.example.org:7878", {"box.example.org"}),
        ("0.0.0.0:0", "0.0.0.0:7878", set()),
    ],
)
def test_where_all_addresses_are_bound_the_view_has_the_one_by_which_the_fleet_knows_the_machine(
    http: str, gossip: str, also: set[str]
) -> None:
    given = Given(http=http, gossip=gossip, tls="own", http_name=("view.example.org",))
    own = {"localhost", "127.0.0.1", "::1", "view.example.org"}
    assert set(_names(load(given, {}))) - {machine_name().lower(), platform.node().lower()} == own | also
