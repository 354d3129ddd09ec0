"""One session's files come, go and come back: each line counts once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.runtimes.followed import Followed
from meshfleet.runtimes.usage import RECENT
from meshfleet.runtimes.watch import Found, find
from tests.runtimes.writing import SESSION, T0, THREAD, Flat, answer, codex, meta, tokens

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1 << 20
EACH = RECENT + 10
OWN = (EACH, float(EACH))
ALL = (5 * EACH, 5.0 * EACH)


def found(path: Path, *lines: bytes) -> Found:
    path.parent.mkdir(parents=True, exist_ok=True)
    if lines:
        path.write_bytes(b"".join(one + b"\n" for one in lines))
    file = find(str(path))
    assert file is not None
    return file


def used(followed: Followed) -> tuple[int, float | None]:
    """Tokens out and cost, once all has been read."""
    while followed.behind:
        followed.catch_up(MOST)
    record = followed.record(None)
    assert record.usage is not None
    return record.usage.output, record.cost


def claude(folder: Path, *agents: str) -> list[Found]:
    """A session with one token in each response of its own and two in those of a sub-agent. They are more than are
    remembered, so that one that is read twice counts twice."""
    main = folder / "projects" / "-shop" / f"{SESSION}.jsonl"
    files = [found(main, *(answer(T0, f"m{n}", out=1) for n in range(EACH)))]
    for name in agents:
        path = main.with_suffix("") / "subagents" / f"agent-{name}.jsonl"
        said = (answer(T0, f"{name}{n}", out=2, isSidechain=True) for n in range(EACH))
        files.append(found(path, *said))
    return files


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_was_dropped_and_is_found_again_counts_once(tmp_path: Path, which: int) -> None:
    files = claude(tmp_path, "a1", "a2")
    followed = Followed(files[0].key, Flat())
    for file in files:
        followed.add(file)
    assert used(followed) == ALL
    course = followed.course()
    followed.drop(files[which].path)
    assert used(followed) == ALL  # what was read of it stays known
    followed.add(files[which])
    assert used(followed) == ALL
    assert followed.course() == course, "a ledger that recalls it books no more"


def test_an_archived_rollout_is_read_anew(tmp_path: Path) -> None:
    turns = [
        codex(T0 + n, "token_usage_record", usage=tokens(100, 10), thread_token_usage=tokens(100 * n, 10 * n))
        for n in (1, 2)
    ]
    name = f"rollout-2026-11-18T11-06-40-{THREAD}.jsonl"
    turn = codex(T0, "turn_context", model="gpt-5")
    before = found(tmp_path / "sessions" / name, meta(), turn, *turns)
    followed = Followed(before.key, Flat())
    followed.add(before)
    assert used(followed) == (20, 20.0)
    archive = tmp_path / "archived_sessions" / name
    archive.parent.mkdir()
    before.path.rename(archive)
    followed.drop(before.path)
    followed.add(found(archive))
    assert used(followed) == (20, 20.0)
    assert followed.archived


def test_a_file_that_never_could_be_read_has_nothing_read_anew(tmp_path: Path) -> None:
    main, agent = claude(tmp_path, "a1")
    followed = Followed(main.key, Flat())
    followed.add(main)
    assert used(followed) == OWN
    for _ in range(2):  # found by each scan, dropped at each try
        followed.add(agent)
        followed.drop(agent.path)
        assert not followed.behind
