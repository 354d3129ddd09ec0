"""What happens when a part of the node fails: it is said with context, counted, and the part begins again.

A part that fails time and again is given up, and with it the node: a node that limps in silence would be the liar that
meshfleet is there to replace.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import trio

from meshfleet.errors import MeshfleetError
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAILURES = 10
"""Failures of one part within WINDOW that end the node."""
WINDOW = 60.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0

log = get_logger("meshfleet.node")


class PartFailed(MeshfleetError):
    """A part of the node failed time and again. The node ends."""


async def supervise(name: str, part: Callable[[], Awaitable[None]], counts: Counter[str]) -> None:
    """Run `part` until it returns; after an exception log it, pause (0.1 s, doubling up to 10 s) and run it again.

    Errors of configuration are not tried again: they are raised at once. Raises PartFailed at the tenth failure in a
    minute.
    """
    failures: deque[float] = deque(maxlen=FAILURES)
    while True:
        try:
            await part()
        except Exception as error:
            if _is_final(error):
                raise
            counts[f"failed_{name}"] += 1
            now = trio.current_time()
            failures.append(now)
            if len(failures) == FAILURES and now - failures[0] < WINDOW:
                raise PartFailed(
                    f"{name} failed {FAILURES} times within a minute, the last time with {error!r}."
                ) from error
            recent = sum(1 for when in failures if now - when < WINDOW)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (recent - 1))
            log.error("a part of the node failed and begins again", part=name, pause_s=pause, exc_info=error)
            await trio.sleep(pause)
        else:
            return


def _is_final(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_final(inner) for inner in error.exceptions)
    return isinstance(error, MeshfleetError)
