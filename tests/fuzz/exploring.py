"""Two engines that look for inputs that crash a decoder or cost too much.

Hypothesis draws inputs that make sense, and alters them and the dearest that it came by. Atheris (libFuzzer)
follows which lines of ours an input reaches; it is not there for every system.
"""

from __future__ import annotations

import time
import traceback
from random import Random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.cost import too_dear
from tests.wire.test_hostile import mutated

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

ROUND = 200
"""Inputs of one round of Hypothesis. Each begins with another seed."""

DEAREST = 16
"""Inputs that took longest, which are altered further. Hypothesis has `target` for that; but its climbing goes on for
minutes without an input being tried, where inputs are large."""


class Finding(Exception):
    """An input that is not as it should be, and why."""

    def __init__(self, kind: str, why: str, data: bytes) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.data = data


def examine(decoder: Target, data: bytes) -> Finding | None:
    """What is wrong with how `decoder` takes `data`."""
    try:
        spent = too_dear(decoder, data)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Finding("crash", f"{type(error).__name__}: {error!s:.200} ({where.name}, line {where.lineno})", data)
    if spent is None:
        return None
    return Finding("dear", f"{len(data)} bytes take {spent.seconds * 1e3:.2f} ms and {spent.memory:,} bytes", data)


def inputs(decoder: Target) -> st.SearchStrategy[bytes]:
    """Inputs as they should be, altered ones, any at all, and long ones."""
    short = st.binary(max_size=min(decoder.longest, 400))
    altered = st.builds(lambda data, n: _altered(decoder, data, Random(n)), decoder.drawn, st.integers(0, 2**32))
    long = st.builds(
        lambda head, unit, tail: (head + unit * (decoder.longest // len(unit)))[: decoder.longest - len(tail)] + tail,
        decoder.drawn | short,
        st.binary(min_size=1, max_size=12),
        short,
    )
    drawn = [decoder.drawn, altered, altered, short, long]
    return st.one_of(*drawn, *([] if decoder.dear is None else [decoder.dear])).map(lambda d: d[: decoder.longest])


def _altered(decoder: Target, data: bytes, rng: Random) -> bytes:
    """As what it is, several times, or as bytes."""
    if decoder.alter is None or not rng.randrange(4):
        return mutated(data, rng)
    for _ in range(rng.randint(1, 4)):
        data = decoder.alter(data, rng)
    return data


def with_hypothesis(decoder: Target, seconds: float, first: int) -> tuple[int, list[Finding]]:
    """Inputs that were tried, and what was found: one input for each reason."""
    until = time.monotonic() + seconds
    tried = 0
    found: dict[str, Finding] = {}
    dearest: list[tuple[float, bytes]] = [(0.0, b"")]
    again = st.builds(
        lambda place, n: _altered(decoder, dearest[place % len(dearest)][1], Random(n))[: decoder.longest],
        st.integers(0, DEAREST - 1),
        st.integers(0, 2**32),
    )

    def one(data: bytes) -> None:
        nonlocal tried
        if time.monotonic() >= until:
            return
        tried += 1
        began = time.process_time()
        finding = examine(decoder, data)
        dearest.append((time.process_time() - began, data))
        dearest.sort(reverse=True)
        del dearest[DEAREST:]
        if finding is not None:
            found.setdefault(finding.why.partition(" (")[2] or finding.kind, finding)

    rounds = first
    while time.monotonic() < until:
        rounds += 1
        seed(rounds)(_settled(given(inputs(decoder) | again)(one)))()
    return tried, list(found.values())


_settled = settings(
    max_examples=ROUND,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
