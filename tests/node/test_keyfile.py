"""API keys in a state dir: what is kept of them, who may read it, and that a running node sees each change."""

from __future__ import annotations

import json
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import ConfigError, StateDirError
from meshfleet.fleet.access import Scope
from meshfleet.node.keyfile import FILE, KEYS_LIMIT, LOCAL_KEY, KeyFile, read_local_key

if TYPE_CHECKING:
    from pathlib import Path

CREATED = "2026-11-23T20:15:05Z"


def test_a_key_is_kept_without_what_it_is_secret_by(tmp_path: Path) -> None:
    key = KeyFile(tmp_path).create(Scope.READ, "grafana", CREATED)
    kept = (tmp_path / FILE).read_text()
    assert key.secret.hex() not in kept
    assert json.loads(kept)["keys"] == [
        {
            "id": key.key_id,
            "scope": "read",
            "name": "grafana",
            "verifier": key.verifier().hex(),
            "created": CREATED,
        }
    ]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_running_node_sees_what_others_change(tmp_path: Path) -> None:
    node, command = KeyFile(tmp_path), KeyFile(tmp_path)
    assert node.entries() == ()
    key = command.create(Scope.AGENT, "build", CREATED)
    assert [entry.name for entry in node.entries()] == ["build"]
    assert node.find(key.key_id) is not None
    assert command.revoke("build").id == key.key_id
    assert node.find(key.key_id) is None
    (tmp_path / FILE).unlink()
    assert node.entries() == ()


def test_a_key_is_revoked_by_its_name_or_id(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    one, two = keys.create(Scope.READ, "one", CREATED), keys.create(Scope.READ, "two", CREATED)
    keys.revoke(one.key_id)
    assert [entry.id for entry in keys.entries()] == [two.key_id]
    with pytest.raises(ConfigError, match=r"no API key 'one'.*There are: two"):
        keys.revoke("one")


def test_a_name_is_plain_and_taken_once(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.create(Scope.READ, "grafana", CREATED)
    with pytest.raises(ConfigError, match="named grafana already"):
        keys.create(Scope.METRICS, "grafana", CREATED)
    for name in ("", "a b", "../x", "x" * 33):
        with pytest.raises(ConfigError, match="is no name for an API key"):
            keys.create(Scope.READ, name, CREATED)
    assert len(keys.entries()) == 1


def test_there_is_an_end_to_keys(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    entry = json.loads('{"keys": []}')
    first = keys.create(Scope.READ, "k", CREATED)
    one = json.loads((tmp_path / FILE).read_text())["keys"][0]
    entry["keys"] = [one | {"id": f"{number:016x}", "name": f"k{number}"} for number in range(KEYS_LIMIT)]
    (tmp_path / FILE).write_text(json.dumps(entry))
    assert keys.find(first.key_id) is None
    with pytest.raises(ConfigError, match="256 API keys already"):
        keys.create(Scope.READ, "one-more", CREATED)


def test_two_who_create_at_once_lose_nothing(tmp_path: Path) -> None:
    def create(number: int) -> None:
        KeyFile(tmp_path).create(Scope.READ, f"k{number}", CREATED)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.name for entry in KeyFile(tmp_path).entries()) == [f"k{number}" for number in range(8)]


@pytest.mark.parametrize("content", ["", "{", '{"keys": 7}', '{"keys": [{"id": "x"}]}', "\xff"])
def test_a_damaged_file_lets_nobody_in_and_says_so(tmp_path: Path, content: str) -> None:
    keys = KeyFile(tmp_path)
    key = keys.create(Scope.READ, "grafana", CREATED)
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    assert keys.find(key.key_id) is None
    with pytest.raises(StateDirError, match="is damaged"):
        keys.create(Scope.READ, "another", CREATED)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == content


def test_the_machines_own_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    key = KeyFile(tmp_path).local_key(CREATED)
    assert stat.S_IMODE((tmp_path / LOCAL_KEY).stat().st_mode) == 0o600
    again = read_local_key(tmp_path)
    assert again is not None
    assert again.text() == key.text() == KeyFile(tmp_path).local_key(CREATED).text()
    assert [(entry.name, entry.scope) for entry in KeyFile(tmp_path).entries()] == [("local", Scope.READ)]


@pytest.mark.parametrize("lost", [FILE, LOCAL_KEY])
def test_where_half_of_the_machines_key_is_lost_there_is_a_new_one(tmp_path: Path, lost: str) -> None:
    keys = KeyFile(tmp_path)
    before = keys.local_key(CREATED)
    (tmp_path / lost).unlink()
    after = keys.local_key(CREATED)
    assert after.text() != before.text()
    assert [entry.id for entry in keys.entries()] == [after.key_id]


def test_no_key_is_where_nothing_of_ours_is(tmp_path: Path) -> None:
    assert read_local_key(tmp_path) is None
    (tmp_path / LOCAL_KEY).write_bytes(b"\xff" * 5000)
    assert read_local_key(tmp_path) is None
