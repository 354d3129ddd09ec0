"""Everything private to Trio that the simulator touches: the order of tasks made a function of a seed, and tasks of a
stopped process held back.

Trio has no public switch for either. What is used here is checked when it is used, and said in a sentence if it is
gone; tests/sim/test_scheduling.py fails when a version of Trio changes it.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any

import trio
from trio._core import _run as internals

from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESS: ContextVar[int | None] = ContextVar("PROCESS", default=None)
"""Which virtual process a task belongs to: set in a process's first task, inherited by every task that it spawns."""

_FLAG = "_ALLOW_DETERMINISTIC_SCHEDULING"


@contextmanager
def deterministic(seed: str) -> Iterator[None]:
    """Within: `trio.run` schedules tasks in an order that `seed` alone decides. Restored afterwards.

    Both halves are needed. The seed makes Trio's own shuffle repeatable; the flag has it sort the tasks before it
    shuffles them, where several waited on one event and stand in the order of a set.
    """
    chance = getattr(internals, "_r", None)
    if not isinstance(chance, Random) or not isinstance(getattr(internals, _FLAG, None), bool):
        raise MeshfleetError(_changed("the switches of its scheduler"))
    flag, state = getattr(internals, _FLAG), chance.getstate()
    setattr(internals, _FLAG, True)
    chance.seed(seed)
    try:
        yield
    finally:
        setattr(internals, _FLAG, flag)
        chance.setstate(state)


class Holding:
    """Stops virtual processes as SIGSTOP does: wherever each of their tasks is, it runs no further. Make it inside the
    Trio run that it is for.

    What a held task waits for goes on happening, and deadlines pass; it learns of them when it runs again. So does a
    real process, whose kernel goes on without it.
    """

    def __init__(self) -> None:
        runner = getattr(internals.GLOBAL_RUN_CONTEXT, "runner", None)
        if runner is None or type(getattr(runner, "runq", None)) is not deque:
            raise MeshfleetError(_changed("its queue of tasks that can run"))
        self._queue = _Queue(runner.runq)
        runner.runq = self._queue

    def hold(self, process: int) -> None:
        """Let its tasks run no further."""
        self._queue.held.setdefault(process, [])
        ready = list(self._queue)
        self._queue.clear()
        for task in ready:
            self._queue.append(task)  # which puts this process's aside

    def release(self, process: int) -> None:
        """Let them run; each that became runnable meanwhile does so now."""
        self._queue.extend(self._queue.held.pop(process, []))


class _Queue(deque[Any]):
    """Trio's queue of tasks that can run. Those of held processes are put aside."""

    def __init__(self, tasks: deque[Any]) -> None:
        super().__init__(tasks)
        self.held: dict[int, list[Any]] = {}

    def append(self, task: Any, /) -> None:  # noqa: ANN401 - a Task; Trio's type of it would bind us closer
        if self.held:
            process = task.context.get(PROCESS)
            if process is not None and process in self.held:
                self.held[process].append(task)
                return
        super().append(task)


def _changed(what: str) -> str:
    return (
        f"Trio {trio.__version__} has changed {what}, on which the simulator's stack mode relies. "
        "Core mode does without: leave `--mode stack` out, or install an earlier Trio."
    )
