"""What the simulator uses of Trio's inside: this fails when a version of Trio changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio._core import _run as internals
from trio.testing import MockClock

from meshfleet.errors import MeshfleetError
from meshfleet.sim.scheduling import PROCESS, Holding, deterministic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


async def passes(seconds: float) -> None:
    """Until so much virtual time has passed."""
    with trio.move_on_after(seconds):
        await trio.sleep_forever()


def order(seed: str) -> list[int]:
    """In which order ten tasks go on that waited for one event."""
    went: list[int] = []

    async def wait(event: trio.Event, number: int) -> None:
        await event.wait()
        went.append(number)

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(wait, event, number)
            await trio.testing.wait_all_tasks_blocked()
            event.set()

    with deterministic(seed):
        run(main)
    return went


def test_the_order_of_tasks_is_the_seeds() -> None:
    assert order("0") == order("0") == [3, 4, 0, 9, 2, 1, 5, 6, 8, 7]
    assert order("1") != order("0")


def test_trio_is_left_as_it_was_found() -> None:
    def found() -> tuple[object, object]:
        return internals._ALLOW_DETERMINISTIC_SCHEDULING, internals._r.getstate()

    before = found()
    with deterministic("0"):
        assert found() != before
    assert found() == before


@pytest.mark.parametrize("gone", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_a_trio_without_the_switches_is_told_in_a_sentence(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(internals, gone)
    with pytest.raises(MeshfleetError, match=r"has changed the switches of its scheduler.*Core mode does without"):
        order("0")


def test_a_trio_with_another_queue_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        Holding()
        with pytest.raises(MeshfleetError, match="has changed its queue of tasks"):
            Holding()  # the queue is ours already

    run(main)


def test_a_held_process_stands_still_while_its_deadlines_pass_and_others_go_on() -> None:
    ticks: list[tuple[int, float]] = []

    async def tick(process: int) -> None:
        PROCESS.set(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, process)  # which is of the same process, without being told

    async def forever(process: int) -> None:
        while True:
            await passes(1)
            ticks.append((process, trio.current_time()))

    async def main() -> None:
        holding = Holding()
        with trio.move_on_at(trio.current_time() + 9.5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tick, 1)
                nursery.start_soon(tick, 2)
                await passes(2.5)
                holding.hold(1)
                await passes(4)
                holding.release(1)
                await trio.sleep_forever()

    run(main)
    assert [at for process, at in ticks if process == 1] == [1, 2, 6.5, 7.5, 8.5]
    assert [at for process, at in ticks if process == 2] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
