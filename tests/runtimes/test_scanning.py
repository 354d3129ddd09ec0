"""Which files a scan finds, and that one it could not look for is not taken for one that is gone."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.fleet.state import Status
from meshfleet.runtimes import watch
from meshfleet.runtimes.watch import scan
from tests.runtimes.test_watching import AGENT, Home, shows
from tests.runtimes.writing import T0, answer, event, meta, prompt

if TYPE_CHECKING:
    from pathlib import Path

CODEX = "box/codex-0b1178c5"


class Failing:
    """`os.scandir`, which fails for some folders: tests may run as root, who can list any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._scandir = os.scandir
        self.folders: set[Path] = set()
        self.code = errno.EMFILE
        self.times = 0
        monkeypatch.setattr(os, "scandir", self)

    def __call__(self, folder: str) -> os._ScandirIterator[str]:
        if any(str(each) == folder for each in self.folders):
            self.times += 1
            raise OSError(self.code, os.strerror(self.code), folder)
        return self._scandir(folder)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def scanned(failing: Failing) -> None:
    """Until a whole scan, judged and shown, has had no luck."""
    before = failing.times
    with trio.fail_after(10):
        while failing.times < before + 2:
            await trio.lowlevel.checkpoint()


async def test_a_folder_that_cant_be_listed_once_takes_no_agent_away(home: Home, failing: Failing) -> None:
    home.write(home.session, prompt(T0))
    home.write(home.rollout, meta(), event(T0, "task_started"))
    async with home.watched() as sink:
        await sink.until(lambda now: set(now) == {AGENT, CODEX})
        failing.folders = {home.folder / ".claude" / "projects", home.rollout.parent}
        await scanned(failing)
        home.write(home.session, answer(T0 + 1, "a"))
        await sink.until(shows(AGENT, status=Status.IDLE))  # and its file is read on
        assert sink.withdrawn == []
        home.session.unlink()
        failing.folders = {home.rollout.parent}
        await sink.until(lambda now: set(now) == {CODEX})  # below another folder than those that fail


async def test_a_folder_that_is_gone_takes_its_agents_away(home: Home, failing: Failing) -> None:
    home.write(home.session, prompt(T0))
    async with home.watched() as sink:
        await sink.until(shows(AGENT))
        failing.code = errno.ENOENT
        failing.folders = {home.session.parent}
        await sink.until(lambda now: not now)


def test_a_scan_names_what_it_did_not_look_at(home: Home, failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write(home.session, prompt(T0))
    home.write(home.rollout, meta())
    folders = [home.folder / ".claude", home.folder / ".codex", home.folder / "nowhere"]
    assert scan(folders).unlisted == frozenset()
    monkeypatch.setattr(watch, "FILES_LIMIT", 1)
    beyond = scan(folders)
    assert [file.path for file in beyond.files] == [home.rollout]
    assert beyond.unlisted == {home.folder / ".claude"}
    assert beyond.may_have(home.session)
    assert not beyond.may_have(home.rollout)


def test_a_file_that_goes_while_its_folder_is_listed_hides_none_of_the_others(home: Home) -> None:
    home.write(home.session, prompt(T0))
    for number in range(9):
        home.session.with_name(f"{number:08x}-0000-4000-8000-000000000000.jsonl").symlink_to("nothing")
    assert [file.path for file in scan([home.folder]).files] == [home.session]


async def test_an_agent_whose_projects_folder_is_a_link_stays(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = home.folder / "elsewhere"
    link = home.session.parent
    link.parent.mkdir(parents=True)
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    (link.parent / "twice").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(link.parent)
    home.write(home.session, prompt(T0))
    home.settings = msgspec.structs.replace(home.settings, scan_every=0.05)
    scans = 0

    def counted(folders: list[Path]) -> watch.Listed:
        nonlocal scans
        scans += 1
        return scan(folders)

    monkeypatch.setattr("meshfleet.runtimes.agents.scan", counted)
    async with home.watched() as sink:
        await sink.until(shows(AGENT, status=Status.WORKING))
        home.write(home.session, answer(T0 + 1, "a", out=5))  # told by whichever path the system has
        await sink.until(shows(AGENT, status=Status.IDLE, tokens_out=5))
        before = scans
        with trio.fail_after(10):
            while scans < before + 3:
                await trio.lowlevel.checkpoint()
        assert sink.withdrawn == []


def test_a_folder_that_two_paths_lead_to_is_listed_once_by_its_real_one(home: Home) -> None:
    home.write(home.session, prompt(T0))
    (home.session.parent.parent / "link").symlink_to(home.session.parent)
    (home.session.parent / "loop").symlink_to(home.session.parent.parent)
    told = home.session.parent.parent / "link" / home.session.name
    assert [file.path for file in scan([home.folder / ".claude"]).files] == [home.session]
    found = watch.find(str(told))
    assert found is not None
    assert found.path == home.session
