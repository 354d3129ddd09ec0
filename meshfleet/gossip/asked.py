"""How often one packet asks for the same.

Some questions take a few bytes and have all that is known for an answer: a Sum, a Sync with `reply`, a roll call, a
Want. A frame has room for 13,000 Sums, and at 128 members answering each took 11 s of processor time and 17 MB; a
datagram of 270 Wants for one node's snapshots brought 1,300 times its size. Whoever means well asks once or twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from meshfleet.gossip.limits import ASKED

if TYPE_CHECKING:
    from meshfleet.gossip.limits import Counts

A_ROLL, ALL_OF_IT = "a roll", "all of it"
"""What is asked for besides a node's snapshots; no node has a name with a blank in it."""


class Asked:
    """What the packet that is being handled has asked for so far."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._asked: Counter[str] = Counter()

    def begin(self) -> None:
        """Another packet."""
        if self._asked:
            self._asked.clear()

    def may_have(self, what: str) -> bool:
        """Whether it is still given an answer about `what`. If not, that is counted."""
        if self._asked[what] >= ASKED:
            self._counts["refused_repeat"] += 1
            return False
        self._asked[what] += 1
        return True
