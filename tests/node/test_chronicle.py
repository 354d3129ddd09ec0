"""What a node writes down of its fleet, over real nodes on loopback and over restarts."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.fleet.happening import Happened, Happening
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Status
from meshfleet.node import chronicle as module
from meshfleet.node.chronicle import FILE, KEPT, OLDER, Chronicle
from meshfleet.node.opening import open_node
from tests.node.meshing import config, see, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from meshfleet.node.node import Node


@asynccontextmanager
async def written(node: Node, folder: Path | None) -> AsyncIterator[Chronicle]:
    """A chronicle of that node while the block lasts; then all of it is in the file."""
    kept = Chronicle(node, time.time, folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.run)
        with trio.fail_after(30):
            await kept.changed(0)
        yield kept
        nursery.cancel_scope.cancel()


async def until(kept: Chronicle, holds: Callable[[list[tuple[Happened, str]]], bool]) -> None:
    """Wait until the lines are so."""
    with trio.fail_after(30):
        while not holds([(line.kind, line.subject) for line in kept.newest(KEPT)]):
            await kept.changed(kept.last)


async def test_who_came_went_and_came_back_can_be_read_later(tmp_path: Path) -> None:
    async with open_node(config("n1")) as n1, written(n1, tmp_path) as kept:
        async with open_node(config("n2", n1.address)) as n2:
            with trio.fail_after(30):
                await see(n1, 2)
                n2.publish(state("n2/a"))
                await until(kept, lambda lines: (Happened.APPEARED, "n2/a") in lines)
                n2.publish(state("n2/a", status=Status.WAITING))
                await until(kept, lambda lines: (Happened.WAITING, "n2/a") in lines)
                n2.publish(state("n2/a", status=Status.EXITED))
                await until(kept, lambda lines: (Happened.EXITED, "n2/a") in lines)
            port = n2.address.port
            await n2.leave()
        await until(kept, lambda lines: (Happened.LEFT, "n2") in lines)
        async with open_node(config("n2", n1.address, port=port)):
            await until(kept, lambda lines: (Happened.BACK, "n2") in lines)
    lines = [(line.kind, line.subject) for line in kept.newest(KEPT)]
    wanted = [Happened.JOINED, Happened.APPEARED, Happened.WAITING, Happened.EXITED, Happened.LEFT, Happened.BACK]
    assert [kind for kind, _ in lines if kind in wanted] == wanted
    assert next(line.text for line in kept.newest(KEPT) if line.kind is Happened.BACK) == "is back; it was left"


async def test_its_own_agents_are_told_of_too(tmp_path: Path) -> None:
    async with open_node(config("n1")) as n1, written(n1, tmp_path) as kept:
        n1.publish(state("n1/a"))
        await until(kept, lambda lines: (Happened.APPEARED, "n1/a") in lines)
        n1.publish(state("n1/a", status=Status.ERROR))
        await until(kept, lambda lines: (Happened.ERROR, "n1/a") in lines)
        n1.withdraw(AgentId("n1/a"))


async def test_a_restart_goes_on_where_it_was_and_passes_over_half_a_line(tmp_path: Path) -> None:
    async with open_node(config("n1")) as n1:
        async with written(n1, tmp_path) as kept:
            n1.publish(state("n1/a"))
            await until(kept, lambda lines: (Happened.APPEARED, "n1/a") in lines)
        assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
        with (tmp_path / FILE).open("ab") as file:
            file.write(b'{"id":99,"at":"2026-')
        async with written(n1, tmp_path) as again:
            lines = again.newest(KEPT)
    assert [line.id for line in lines[: kept.last + 1]] == list(range(1, kept.last + 2))
    assert [line.kind for line in lines if line.kind is Happened.STARTED] == [Happened.STARTED] * 2


async def test_the_file_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_LIMIT", 2_000)
    async with open_node(config("n1")) as n1:
        for _ in range(40):
            async with written(n1, tmp_path):
                pass
        async with written(n1, tmp_path) as kept:
            assert kept.last == 41
    assert (tmp_path / OLDER).stat().st_size + (tmp_path / FILE).stat().st_size <= 4_000
    assert kept.newest(1)[0].id == 41


async def test_where_it_cannot_be_written_it_is_kept_in_memory_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_node(config("n1")) as n1:
        async with written(n1, tmp_path / "not-there") as kept:
            n1.publish(state("n1/a"))
            await until(kept, lambda lines: (Happened.APPEARED, "n1/a") in lines)
        assert n1.counts["events_unsaved"] == kept.last
    assert "what happens can't be written down" in caplog.text


async def test_lines_after_an_id_and_the_newest() -> None:
    async with open_node(config("n1")) as n1, written(n1, None) as kept:
        for name in "abc":
            n1.publish(state(f"n1/{name}"))
        await until(kept, lambda lines: len(lines) == 4)
        assert [line.id for line in kept.after(1, 2)] == [2, 3]
        assert [line.id for line in kept.newest(2)] == [3, 4]
        assert kept.after(4, 10) == []


def test_a_line_is_read_as_it_was_written() -> None:
    line = Happening(id=1, at="2026-11-23T20:15:05.123Z", kind=Happened.DOWN, subject="n3", text="is down")
    assert msgspec.json.decode(msgspec.json.encode(line), type=Happening) == line
    assert Presence.DOWN.value in line.text
