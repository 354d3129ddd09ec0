"""What a wrong name may have meant."""

from __future__ import annotations

from difflib import get_close_matches
from heapq import nlargest
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from meshfleet.serve.limits import NEAR_CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Iterable

# difflib's default is 0.6; agents' ids share long beginnings, and half a name is what people type from memory.
CUTOFF = 0.5
LONGEST = 128
# difflib takes up to 1 ms for two names of that length, and the loop that would wait is the one that gossips.
COMPARED = 30


def near(wanted: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Up to `count` of the `known` that resemble `wanted`, best first: those that contain it, then difflib's.

    Bounded: of the first NEAR_CANDIDATES, difflib compares those that share the most pairs of letters. Nothing is near
    a name that is longer than any name may be.
    """
    if not wanted or len(wanted) > LONGEST:
        return ()
    candidates = list(dict.fromkeys(islice(known, NEAR_CANDIDATES)))
    folded, pairs = wanted.casefold(), _pairs(wanted)
    containing = [name for name in candidates if folded in name.casefold()]
    alike = nlargest(COMPARED, candidates, key=lambda name: len(pairs & _pairs(name)))
    similar = get_close_matches(wanted, alike, n=count, cutoff=CUTOFF)
    return tuple(dict.fromkeys([*containing[:count], *similar]))[:count]


def _pairs(name: str) -> set[str]:
    return {a + b for a, b in pairwise(name)}
