"""A file of endpoints: what is in it, and that it is read anew however it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshfleet.discovery import file
from meshfleet.discovery.entries import read_entries
from meshfleet.discovery.file import File
from meshfleet.discovery.source import Found, Unfound
from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import Address, AgentId
from meshfleet.fleet.source import read_source
from tests.discovery.listening import watched

if TYPE_CHECKING:
    from collections.abc import Callable

TOML = """
[[endpoints]]
name = "box-2"
gossip = "10.0.0.7"

[[endpoints]]
name = "lab/summariser"
base_url = "https://10.0.0.9:8443/agent/"
token = "s3cret"
"""

YAML = """
endpoints:
  - name: box-2
    gossip: 10.0.0.7:7878
  - name: lab/summariser
    base_url: https://10.0.0.9:8443/agent
    token: s3cret
"""

BOTH = Found(
    nodes=(Address("10.0.0.7", 7878),),
    agents=(Endpoint(name=AgentId("lab/summariser"), base_url="https://10.0.0.9:8443/agent", token="s3cret"),),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [("f.toml", TOML), ("f.yaml", YAML), ("f.yml", YAML.partition("endpoints:\n")[2])],
    ids=["toml", "yaml", "a list alone"],
)
def test_toml_and_yaml_say_the_same(name: str, text: str) -> None:
    assert read_entries(text.encode(), Path(name)) == BOTH


@pytest.mark.parametrize("text", ["", "endpoints: []", "endpoints:"])
def test_an_empty_file_is_a_fleet_of_nobody_and_no_mistake(text: str) -> None:
    assert read_entries(text.encode(), Path("f.yaml")) == Found()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{name: a}", "give `gossip`"),
        ("{name: a, gossip: b, base_url: 'http://c'}", "both gossip and base_url"),
        ("{name: a, gossip: b, token: c}", "needs no token"),
        ("{name: a, base_url: ftp://c}", "no URL of a server"),
        ("{name: a, base_url: 'http://u:p@c'}", "give it as `token`"),
        ("{name: a, base_url: 'http://c.test', token: s3cret}", "in the clear"),
        ("{name: a, base_url: 'http://[::1', token: s3cret}", "no URL of a server"),
        ("{name: a, base_url: 'http://127.0.0.1', token: s3cret, token_file: t}", "both token and token_file"),
        ("{name: a, base_url: 'http://127.0.0.1', token_file: nowhere}", "nowhere can't be read"),
        ('{name: a, base_url: "http://127.0.0.1", token: "s3\\ncret"}', "on one line"),
        ("{name: 'a b', base_url: 'http://c'}", "not a valid agent id"),
        ("{name: a, base_url: 'http://c', events: no}", "events"),
        ("{name: a, url: 'http://c'}", "Did you mean 'base_url'?"),
        ("{name: 7, gossip: b}", "Expected `str`"),
        ("seven", "Expected `object`"),
        ("{name: a, gossip: b}\n- {name: a, gossip: c}", "the name is there twice"),
        ("&a {name: a, gossip: b}\n- *a", "alias"),
        ("!!python/object/apply:os.system [id]", "not valid YAML"),
        ("{name: s3cret", "not valid YAML"),
        ("s3cret: [", "not valid YAML"),
    ],
)
def test_a_wrong_entry_is_named_and_no_token_with_it(entry: str, says: str) -> None:
    with pytest.raises(Unfound) as wrong:
        read_entries(f"endpoints:\n- {entry}\n".encode(), Path("f.yaml"))
    assert says in str(wrong.value)
    assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[[endpoints]]\nname = 'a", b"endpoints = 7", b"other = 7"])
def test_a_broken_toml_says_so(content: bytes) -> None:
    with pytest.raises(Unfound, match=r"f\.toml"):
        read_entries(content, Path("f.toml"))


def a_thousand_times_a_thousand() -> str:
    """A few lines of YAML that stand for 10^9 entries, by aliases of aliases."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join([*lines, "endpoints: *a8"])


@pytest.mark.parametrize("text", [a_thousand_times_a_thousand(), "[" * 2_000, "- " * 2_000], ids=["bomb", "[[", "- -"])
def test_yaml_that_would_fill_the_memory_is_refused(text: str) -> None:
    with pytest.raises(Unfound):
        read_entries(text.encode(), Path("f.yaml"))


def test_a_token_is_nowhere_to_be_seen() -> None:
    assert "s3cret" not in repr(BOTH)


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watching tells at once, where it works; what is seen by looking alone shall not take seconds."""
    monkeypatch.setattr(file, "LOOK_EVERY", 0.5)


def source(path: Path) -> File:
    return File(read_source(f"file:{path}"))


def written(path: Path, *hosts: str) -> Path:
    path.write_text("".join(f"- {{name: {host}, gossip: {host}}}\n" for host in hosts))
    return path


def in_place(path: Path) -> None:
    written(path, "b", "c")


def by_an_editor(path: Path) -> None:
    """A new file, renamed over the old one."""
    written(path.with_suffix(".tmp"), "b", "c").replace(path)


def by_a_backup(path: Path) -> None:
    """The old one is moved away, and a new one made."""
    path.rename(path.with_suffix(".bak"))
    written(path, "b", "c")


@pytest.mark.parametrize("change", [in_place, by_an_editor, by_a_backup])
async def test_the_file_is_read_anew_however_it_is_changed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = written(tmp_path / "f.yaml", "a")
    async with watched(source(path)) as told:
        await told.nodes("a:7878")
        change(path)
        assert (await told.nodes("b:7878", "c:7878")).problem is None


async def test_a_mounted_configmap_is_read_anew_when_its_link_turns(tmp_path: Path) -> None:
    for folder, hosts in (("..one", ("a",)), ("..two", ("b",))):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "f.yaml", *hosts)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "f.yaml").symlink_to("..data/f.yaml")
    async with watched(source(tmp_path / "f.yaml")) as told:
        await told.nodes("a:7878")
        (tmp_path / "..new").symlink_to("..two")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await told.nodes("b:7878")


async def test_a_broken_file_keeps_the_last_good_one_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "f.yaml", "a")
    async with watched(source(path)) as told:
        await told.nodes("a:7878")
        path.write_text("- {name: a")
        broken = await told.until(lambda found: found.problem is not None)
        assert [str(node) for node in broken.nodes] == ["a:7878"]
        assert "not valid YAML" in str(broken.problem)
        path.unlink()
        gone = await told.until(lambda found: "can't be read" in str(found.problem))
        assert gone.nodes == broken.nodes
        written(path, "b")
        assert (await told.nodes("b:7878")).problem is None


async def test_a_file_that_is_not_there_yet_is_found_when_it_is(tmp_path: Path) -> None:
    async with watched(source(tmp_path / "f.yaml")) as told:
        assert "no such file" in str((await told.until(lambda found: found.problem is not None)).problem)
        written(tmp_path / "f.yaml", "a")
        await told.nodes("a:7878")


async def test_a_pipe_in_place_of_the_file_does_not_hold_the_node_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.yaml")
    async with watched(source(tmp_path / "f.yaml")) as told:
        assert "is no file" in str((await told.until(lambda found: found.problem is not None)).problem)


async def test_tokens_that_others_may_read_are_a_problem_and_are_used(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(TOML)
    path.chmod(0o644)
    async with watched(source(path)) as told:
        found = await told.until(lambda found: found.agents == BOTH.agents)
        assert "chmod 600 f.toml" in str(found.problem)
        path.chmod(0o600)
        assert (await told.until(lambda found: found.problem is None)).agents == BOTH.agents
        path.chmod(0o640)
        await told.until(lambda found: found.problem is not None)


async def test_a_token_file_is_read_with_it(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("s3cret\n")
    path = tmp_path / "f.yaml"
    path.write_text("- {name: a, base_url: 'http://127.0.0.1:1', token_file: t}")
    async with watched(source(path)) as told:
        assert (await told.until(lambda found: bool(found.agents))).agents[0].token == "s3cret"
