"""What an input costs: processor time and memory, each as little as it can be measured to be."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

TRIES = 7
"""How often an input that seems too dear is measured again: other processes make it seem so, and it has to be so each
time."""


class Spent(NamedTuple):
    """What one input took."""

    seconds: float
    memory: int


def seconds_of(target: Target, data: bytes) -> float:
    """Processor time of this process for one input, in seconds."""
    began = time.process_time()
    target.run(data)
    return time.process_time() - began


def memory_of(target: Target, data: bytes) -> int:
    """Bytes that Python allocates for one input, at the highest. What OpenSSL and the CBOR reader take for themselves
    is not in it."""
    tracemalloc.start()
    try:
        target.run(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def too_dear(target: Target, data: bytes) -> Spent | None:
    """What `data` costs, if that is more than the target allows."""
    spent = Spent(seconds_of(target, data), memory_of(target, data))
    tries = 0
    while not target.cost.allows(len(data), *spent):
        if (tries := tries + 1) > TRIES:
            return spent
        gc.collect()  # a collection that falls due in the middle is not of this input's making
        spent = Spent(min(spent.seconds, seconds_of(target, data)), min(spent.memory, memory_of(target, data)))
    return None


def per_byte(target: Target, data: bytes) -> Spent:
    """What `data` costs beyond what is free, for each of its bytes: seconds, and bytes."""
    seconds = min(seconds_of(target, data) for _ in range(3)) - target.cost.seconds
    memory = memory_of(target, data) - target.cost.memory - len(data)
    return Spent(max(0.0, seconds) / max(1, len(data)), max(0, memory) // max(1, len(data)))
