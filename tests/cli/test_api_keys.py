"""Readers' keys as they are lived with: made, used from elsewhere, revoked, and links for the page."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.cli.processes import COMMAND, PATIENCE, environment, foreground, invitation, node, one_line_of, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


def test_a_key_is_made_shown_once_used_and_revoked(tmp_path: Path) -> None:
    with node(tmp_path, "--name", "box") as (_, told):
        here = ("--state-dir", str(tmp_path))
        made = run("keys", "api", "create", "--scope", "read", "--name", "grafana", *here)
        key = made.stdout.strip()
        assert key.startswith("mf_read_")
        listed = run("keys", "api", "list", *here)
        assert listed.stdout.split()[4::4] == ["local", "grafana"]
        assert key not in listed.stdout
        assert [each["name"] for each in json.loads(run("keys", "api", "list", "--json", *here).stdout)] == [
            "local",
            "grafana",
        ]
        file = tmp_path / "a-key"
        file.write_text(f"{key}\n")
        stranger = {"HOME": str(tmp_path / "another-home")}
        url = ("--node", str(told["http"]))
        assert "--key-file FILE" in one_line_of(run("status", *url, **stranger))
        assert run("status", *url, "--key-file", str(file), **stranger).stdout.startswith("box is ")
        assert run("why", "box", *url, MESHFLEET_API_KEY=key, **stranger).stdout.startswith("box is")
        assert run("keys", "api", "revoke", "grafana", *here).stdout == "grafana is revoked.\n"
        token = run("keys", "api", "token", *url, "--key-file", str(file), **stranger)
        assert (token.returncode, "keys api list" in one_line_of(token)) == (2, True)
    log = tmp_path / "node.log"
    assert not log.exists()


def test_a_token_is_good_at_every_node_of_the_fleet(tmp_path: Path) -> None:
    with node(tmp_path / "one", "--name", "n1") as (_, one):
        invite = invitation(tmp_path / "one")
        with node(tmp_path / "two", "--name", "n2", "--host", "h2", "--invite", invite) as (_, two):
            token = run("keys", "api", "token", "--state-dir", str(tmp_path / "one")).stdout.strip()
            headers = {"Authorization": f"Bearer {token}"}
            for url, name in ((one["http"], "n1"), (two["http"], "n2")):
                answer = httpx.get(f"{url}/v1/fleet", headers=headers, trust_env=False)
                assert answer.json()["served_by"]["node"] == name


def test_commands_find_a_node_wherever_its_state_dir_is(tmp_path: Path) -> None:
    with node(tmp_path / "far" / "away", "--name", "box") as (_, told):
        for url in (str(told["http"]), str(told["http"]).replace("http://127.0.0.1", "localhost")):
            assert run("status", "--node", url).stdout.startswith("box is ")
        assert "box (--node http://" in one_line_of(run("status", "--state-dir", str(tmp_path)))
    gone = run("status", "--node", str(told["http"]))
    assert (gone.returncode, "box" in one_line_of(gone)) == (4, False)


def test_a_file_is_kept_with_a_fresh_token(tmp_path: Path) -> None:
    with node(tmp_path / "state") as (_, told):
        kept = tmp_path / "token"
        command = [*COMMAND, "keys", "api", "token", "--keep", str(kept), "--state-dir", str(tmp_path / "state")]
        with subprocess.Popen(command, env=environment()) as keeping:
            deadline = time.monotonic() + PATIENCE
            while not kept.exists():
                assert keeping.poll() is None
                assert time.monotonic() < deadline
            headers = {"Authorization": f"Bearer {kept.read_text()}"}
            assert httpx.get(f"{told['http']}/state", headers=headers, trust_env=False).status_code == 200
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            keeping.kill()


def test_a_link_opens_the_page_once(tmp_path: Path) -> None:
    with node(tmp_path) as (_, told):
        link = json.loads(run("link", "--state-dir", str(tmp_path), "--json").stdout)["link"]
        url, _, code = link.partition("/#code=")
        assert url == told["http"]
        answers = [httpx.post(f"{url}/auth/session", json={"code": code}, trust_env=False) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 401]
        assert run("link", "--node", url).stdout.startswith(f"{url}/#code=")


def test_over_tls_the_commands_of_the_machine_work_as_before(tmp_path: Path) -> None:
    with node(tmp_path, "--name", "box", "--tls", "own", "--http-name", "fleet.example.org") as (_, told):
        assert str(told["http"]).startswith("https://127.0.0.1:")
        assert run("status", "--state-dir", str(tmp_path)).stdout.startswith("box is ")
        assert run("status", "--node", str(told["http"]).removeprefix("https://")).stdout.startswith("box is ")
        key = run("keys", "api", "create", "--scope", "read", "--name", "k", "--state-dir", str(tmp_path)).stdout
        far = {"HOME": str(tmp_path / "another-home"), "MESHFLEET_API_KEY": key}
        untrusted = run("status", "--node", str(told["http"]), **far)
        assert "Copy http.crt" in one_line_of(untrusted)
        trusted = run("status", "--node", str(told["http"]), "--ca", str(tmp_path / "http.crt"), **far)
        assert trusted.stdout.startswith("box is ")


def test_no_secret_is_in_what_a_node_writes(tmp_path: Path) -> None:
    arguments = ("up", "--state-dir", str(tmp_path), "--gossip", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with foreground(*arguments, "--no-discover", "--log-level", "debug") as (process, told):
        run("status", "--state-dir", str(tmp_path))
        secret = (tmp_path / "reader.key").read_text().strip().rpartition("_")[2]
        os.kill(process.pid, 15)
        out, log = process.communicate(timeout=PATIENCE)
    assert "key=local" in log
    assert secret not in out + log + json.dumps(told)
    assert "mfs_" not in log
