"""How often one packet asks for the same, how much it is answered, and how often one peer asks for everything.

Some questions take a few bytes and have all that is known for an answer: a Sum, a Sync with `reply`, a roll call, a
Want. A frame has room for 13,000 Sums, and at 128 members answering each took 11 s of processor time and 17 MB; a
datagram of 270 Wants for one node's snapshots brought 1,300 times its size. Whoever means well asks once or twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from meshfleet.gossip.limits import ANSWER_BYTES, ASKED, TOLD_ALL, TOLD_ALL_PEERS, TOLD_ALL_WITHIN
from meshfleet.gossip.messages import Via

if TYPE_CHECKING:
    from meshfleet.gossip.limits import Counts

A_ROLL = "a roll"
"""What is asked for besides a node's snapshots; no node has a name with a blank in it."""

RELAYED = ""
"""Whoever asks by way of a relay: what they are called, any member can have made up, and few do."""


class Asked:
    """What the packet that is being handled has asked for so far, and who was told everything of late."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._asked: Counter[str] = Counter()
        self._peer, self._at = "", 0.0
        self._answered = 0
        """Bytes of snapshots."""
        self._told_all: dict[str, tuple[float, int]] = {}
        """Peer -> since when it is counted how often it asked for everything, and how often; the latest last."""

    def begin(self, peer: str, via: Via, at: float) -> None:
        """Another packet."""
        self._peer, self._at, self._answered = peer if via is Via.STREAM else RELAYED, at, 0
        if self._asked:
            self._asked.clear()

    def may_have(self, what: str) -> bool:
        """Whether it is still given an answer about `what`. If not, that is counted."""
        if self._asked[what] >= ASKED:
            self._counts["refused_repeat"] += 1
            return False
        self._asked[what] += 1
        return True

    def may_have_all(self) -> bool:
        """Whether it is compared with all that is known, and told it where that differs: over packets, not in each."""
        since, times = self._told_all.pop(self._peer, (self._at, 0))
        if self._at - since >= TOLD_ALL_WITHIN:
            since, times = self._at, 0
        self._told_all[self._peer] = (since, min(times + 1, TOLD_ALL))
        if len(self._told_all) > TOLD_ALL_PEERS:
            del self._told_all[next(iter(self._told_all))]
        if times >= TOLD_ALL:
            self._counts["refused_repeat"] += 1
            return False
        return True

    def may_take(self, size: int) -> bool:
        """Whether so many more bytes of snapshots go in answer to a datagram; the first do in any case. If not, that is
        counted: they are asked for again."""
        if self._answered and self._answered + size > ANSWER_BYTES:
            self._counts["refused_rest"] += 1
            return False
        self._answered += size
        return True
