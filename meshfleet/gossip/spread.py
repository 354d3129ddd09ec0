"""How snapshots reach everybody: a push to a few at first sight, digests for the rest.

Each member passes each new snapshot on once, to `fan_out` random members: most have it within a few hops of
milliseconds. Whom it missed finds out by digest (one number a node, see replica) and asks. Nothing is lost for good:
what a push lost, the next digest repairs; what digests lost, push-pull repairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.names import Address, NodeName
from meshfleet.gossip.limits import DATAGRAM_BYTES, FRAME_BYTES
from meshfleet.gossip.messages import Delta, Digest, Have, SnapshotMessage, Want

if TYPE_CHECKING:
    from random import Random

    from meshfleet.fleet.state import Snapshot
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.replica import Replica
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.rumors import Measure

HAVES = 40
"""Entries of one digest: about 25 bytes each, so that it fits a datagram beside other news."""

CHANGED_FOR = 10.0
"""Seconds for which a node whose snapshots changed is in every digest; the others take turns."""

TURNS = 8
"""How many of the unchanged are in each digest besides."""


class Spread:
    """Pushes, digests, and answers to digests."""

    def __init__(
        self,
        me: NodeName,
        timing: Timing,
        roster: Roster,
        replica: Replica,
        outbox: Outbox,
        measure: Measure,
        rng: Random,
    ) -> None:
        self._me = me
        self._timing = timing
        self._roster = roster
        self._replica = replica
        self._outbox = outbox
        self._measure = measure
        self._rng = rng
        self._changed: dict[NodeName, float] = {}

    def push(self, snapshots: list[Snapshot], at: float, but: tuple[str, ...] = ()) -> None:
        """Pass news on, at first sight of it. What doesn't fit a datagram is announced, and fetched by who lacks it."""
        for snapshot in snapshots:
            self._changed[snapshot.node] = at
            message: SnapshotMessage | Digest = SnapshotMessage(snapshot)
            if self._measure(message) > DATAGRAM_BYTES - 200:
                message = Digest((Have(snapshot.node, snapshot.epoch, snapshot.seq),))
            for record in self._roster.sample(self._timing.fan_out, but=(snapshot.node, *but)):
                self._outbox.datagram(record, message)

    def send_digest(self, at: float) -> None:
        """Tell one random member what is held: what changed of late, and some of the rest in turn."""
        chosen = self._roster.sample(1)
        if not chosen:
            return
        self._changed = {node: since for node, since in self._changed.items() if at - since < CHANGED_FOR}
        everything = self._replica.have()
        rest = [have for have in everything if NodeName(have.node) not in self._changed]
        entries = [have for have in everything if NodeName(have.node) in self._changed]
        entries += self._rng.sample(rest, min(TURNS, len(rest)))
        for i in range(0, len(entries), HAVES):
            self._outbox.datagram(chosen[0], Digest(tuple(entries[i : i + HAVES])))

    def everything(self) -> Digest:
        """The whole digest, for push-pull."""
        return Digest(tuple(self._replica.have()))

    def on_digest(self, digest: Digest, source: Address, sender: NodeName) -> None:
        """Ask for what I lack, send what the sender lacks."""
        known = tuple(
            have for have in digest.entries if have.node == self._me or self._roster.get(have.node) is not None
        )
        i_lack, they_lack = self._replica.compare(known)
        for i in range(0, len(i_lack), HAVES):
            self._outbox.datagram_to(source, sender, Want(tuple(i_lack[i : i + HAVES])))
        self._answer(they_lack, source, sender)

    def on_want(self, want: Want, source: Address, sender: NodeName) -> None:
        """Send what is asked for."""
        self._answer(list(want.entries), source, sender)

    def _answer(self, wanted: list[Have], source: Address, sender: NodeName) -> None:
        record = self._roster.get(sender)
        address = source if record is None else record.address
        for have in wanted:
            delta = self._replica.delta(have)
            if delta is None:
                continue
            for part in self._parts(delta):
                self._outbox.datagram_to(address, sender, part)

    def _parts(self, delta: Delta) -> list[Delta]:
        """`delta` in pieces that fit a stream frame: each covers its stretch of seqs, the last up to the end."""
        parts: list[Delta] = []
        taken: list[Snapshot] = []
        after, room = delta.after, FRAME_BYTES
        for snapshot in delta.snapshots:
            size = len(snapshot.body) + 200
            if taken and size > room:
                upto = min(taken[-1].seq, delta.upto)  # what came ahead of order proves nothing about the gap before it
                parts.append(Delta(delta.node, delta.epoch, after, max(after, upto), tuple(taken)))
                after, taken, room = max(after, upto), [], FRAME_BYTES
            taken.append(snapshot)
            room -= size
        return [*parts, Delta(delta.node, delta.epoch, after, delta.upto, tuple(taken))]

    def on_snapshot(self, snapshot: Snapshot, at: float, sender: str) -> bool:
        """Somebody's push; whether it was news. Who was never introduced, or is forgotten, has no agents here."""
        if self._roster.get(snapshot.node) is None or not self._replica.add(snapshot):
            return False
        self.push([snapshot], at, but=(sender,))
        return True

    def on_delta(self, delta: Delta, at: float) -> list[Snapshot]:
        """An answer to my digest. Not pushed on: who else lacks it asks for it."""
        if self._roster.get(delta.node) is None:
            return []
        news = self._replica.apply(delta)
        for snapshot in news:
            self._changed[snapshot.node] = at
        return news
