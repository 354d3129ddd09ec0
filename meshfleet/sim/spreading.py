"""Many runs over processes of this machine, for a table that needs all of them. A sweep, which adds up as it goes and
may run on a cluster, has its own way."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


def over_processes(
    work: Sequence[JobT], play: Callable[[JobT], ResultT], jobs: int | None, done: Callable[[int, int], None]
) -> dict[JobT, ResultT]:
    """What `play` makes of each of `work`. `done` is told how many of how many are over."""
    results: dict[JobT, ResultT] = {}
    # Spawned, not forked: the same on every system, and a fork would copy whatever threads hold.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = {pool.submit(play, job): job for job in work}
        try:
            for future in as_completed(waiting):
                results[waiting[future]] = future.result()
                done(len(results), len(work))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results
