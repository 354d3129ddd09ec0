"""Whose snapshots I hold, and whose I lack: one shelf a node, described by one number.

A node draws the seqs of all its agents' snapshots from one counter, so a shelf that is complete up to 88 can be
described as that, whatever it holds (scuttlebutt's max-version digest). Snapshots may also arrive ahead of order,
pushed; they are shown at once, and the number follows when the gap is known to be closed.

Merging shelves is a join: the highest epoch, the highest floor of those up to where all is held, and of each agent the
highest seq above that floor. A floor counts from there on, not when it is first heard of: what lives is published anew
before the snapshot that raises it, and until that has come nothing that lives is to vanish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import AGENTS_LIMIT, Snapshot
from meshfleet.gossip.limits import BESIDES, REPLICA_BYTES, WITHDRAWN, Counts
from meshfleet.gossip.messages import Delta, Have

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


BESIDE = 200
"""Bytes that a snapshot takes on its way beside its body: names, signature, head and seal."""


class Shelf:
    """All that is held of one node's agents."""

    __slots__ = ("_ahead", "bytes", "complete", "epoch", "floor", "held", "signed_to")

    def __init__(self, epoch: int = -1) -> None:
        self.clear(epoch)

    def clear(self, epoch: int) -> None:
        """Begin another life of the node."""
        self.epoch = epoch
        self.floor = 0
        """Nothing at or below this seq lives, as a snapshot up to `complete` says, or for want of room."""
        self.complete = 0
        """Everything that lives of this epoch up to this seq is held."""
        self.signed_to = 0
        """The highest seq that the node itself is known to have given: beyond it nobody can claim completeness."""
        self.held: dict[AgentId, Snapshot] = {}
        self.bytes = 0
        self._ahead: dict[int, tuple[int, int]] = {}
        """seq -> follows and floor, of snapshots beyond `complete`."""

    def is_news(self, snapshot: Snapshot) -> bool:
        """Whether `snapshot` would change anything here: what is held, what lives, or up to where all is held."""
        if snapshot.epoch != self.epoch:
            return snapshot.epoch > self.epoch
        if snapshot.seq <= self.floor:
            return False
        known = self.held.get(snapshot.agent)
        ahead = snapshot.seq > self.complete
        tells = snapshot.seq not in self._ahead if ahead else _floor(snapshot) > self.floor
        return known is None or known.seq < snapshot.seq or tells

    def add(self, snapshot: Snapshot) -> bool:
        """Hold `snapshot`, if it is news."""
        if snapshot.epoch < self.epoch:
            return False
        if snapshot.epoch > self.epoch:
            self.clear(snapshot.epoch)
        self.signed_to = max(self.signed_to, snapshot.seq)
        if snapshot.seq <= self.floor:
            return False
        known = self.held.get(snapshot.agent)
        newer = known is None or known.seq < snapshot.seq
        if newer:
            self.held[snapshot.agent] = snapshot
            self.bytes += len(snapshot.body) - (len(known.body) if known is not None else 0)
        self._reach(snapshot)
        return newer and snapshot.agent in self.held

    def complete_to(self, after: int, upto: int) -> None:
        """Everything that lives in (after, upto] has been added, says who told it: believed as far as the node signed
        anything, or one lie about its seqs would go round for ever."""
        upto = min(upto, self.signed_to)
        if after <= self.complete < upto:
            self.complete = upto
            self._follow_up()

    def since(self, after: int) -> list[Snapshot]:
        """What is held beyond `after`, in order of seq."""
        return sorted((s for s in self.held.values() if s.seq > after), key=_by_seq)

    def living(self) -> list[Snapshot]:
        """Snapshots of agents that were not withdrawn, in order of seq."""
        return sorted((s for s in self.held.values() if not s.withdrawn), key=_by_seq)

    def make_room(self, seq: int) -> None:
        """The oldest goes, for good, be it what comes with `seq`. An origin holds no more than fits, so of more than
        that the oldest is what it has let go, or has published anew."""
        self.raise_floor(min(seq, *(s.seq for s in self.held.values())))

    def _reach(self, snapshot: Snapshot) -> None:
        if snapshot.seq > self.complete and (snapshot.follows > self.complete or self._ahead):
            self._ahead[snapshot.seq] = (snapshot.follows, _floor(snapshot))
            self._follow_up()
            if len(self._ahead) > 2 * AGENTS_LIMIT:  # the digest will close the gap; remembering more helps nobody
                del self._ahead[min(self._ahead)]
            return
        self.complete = max(self.complete, snapshot.seq)
        self.raise_floor(_floor(snapshot))

    def _follow_up(self) -> None:
        """Let `complete` climb over whatever it now reaches, and the floor with it."""
        for seq in sorted(self._ahead):
            follows, floor = self._ahead[seq]
            if follows <= self.complete or seq <= self.complete + 1:
                self.complete = max(self.complete, seq)
                self.raise_floor(floor)
                del self._ahead[seq]

    def raise_floor(self, floor: int) -> None:
        """Nothing at or below `floor` lives any more."""
        if floor <= self.floor:
            return
        self.floor = floor
        self.held = {agent: s for agent, s in self.held.items() if s.seq > floor}
        self.bytes = sum(len(s.body) for s in self.held.values())


def _floor(snapshot: Snapshot) -> int:
    """Below itself: only one who lies says that its own word does not live."""
    return min(snapshot.floor, snapshot.seq - 1)


def _by_seq(snapshot: Snapshot) -> int:
    return snapshot.seq


class Replica:
    """The shelves of the whole fleet, mine among them."""

    def __init__(self, me: NodeName, epoch: int, counts: Counts, sign: Callable[[Snapshot], Snapshot]) -> None:
        self._me = me
        self._sign = sign
        self._counts = counts
        self._shelves: dict[str, Shelf] = {me: Shelf(epoch)}
        self._seq = 0
        self.version = 0
        """Grows whenever what is held may have changed."""
        self.said = 0
        """Bytes of snapshots that were news so far, everybody's, mine among them: as many for each that was there."""

    def shelf(self, node: str) -> Shelf | None:
        """The shelf of one node, if anything is known of it."""
        return self._shelves.get(node)

    def __iter__(self) -> Iterator[tuple[str, Shelf]]:
        return iter(self._shelves.items())

    def publish(self, agent: AgentId, body: bytes) -> list[Snapshot]:
        """A new snapshot of an agent of mine: what is to be spread. Empty `body` withdraws the agent."""
        spread = [self._publish(agent, body)]
        shelf = self._shelves[self._me]
        withdrawn = sorted((s for s in shelf.held.values() if s.withdrawn), key=_by_seq)
        if len(withdrawn) > WITHDRAWN:
            # Tombstones can't be kept for ever, and can't just be forgotten: whoever was away would keep the agent.
            # So all that still lives below the youngest but one is published anew, and the floor is raised over that.
            # The youngest goes once more, last, and carries the floor: nobody else may be left to tell it, and whoever
            # holds all up to there holds what lives.
            top = withdrawn[-2].seq
            spread += [self._publish(s.agent, s.body) for s in shelf.living() if s.seq <= top]
            shelf.raise_floor(top)
            spread.append(self._publish(withdrawn[-1].agent, b""))
        return spread

    def _publish(self, agent: AgentId, body: bytes) -> Snapshot:
        shelf = self._shelves[self._me]
        self.version += 1
        self._seq += 1
        others = max((s.seq for s in shelf.held.values() if s.agent != agent), default=0)
        snapshot = self._sign(Snapshot(self._me, Epoch(shelf.epoch), self._seq, others, shelf.floor, agent, body))
        shelf.add(snapshot)
        self.said += len(body) + BESIDE
        return snapshot

    def begin_life(self, epoch: int) -> list[Snapshot]:
        """My own epoch changed: publish everything that lives under the new one."""
        shelf = self._shelves[self._me]
        living = shelf.living()
        shelf.clear(epoch)
        self._seq = 0
        return [self._publish(s.agent, s.body) for s in living]

    def is_news(self, snapshot: Snapshot) -> bool:
        """Whether somebody's snapshot would change anything here."""
        shelf = self._shelves.get(snapshot.node)
        return snapshot.node != self._me and (shelf is None or shelf.is_news(snapshot))

    def add(self, snapshot: Snapshot) -> bool:
        """Hold somebody's snapshot; whether it was news."""
        if snapshot.node == self._me:
            return False  # nobody tells me about my own agents
        shelf = self._shelves.get(snapshot.node)
        if shelf is None:
            shelf = self._shelves[snapshot.node] = Shelf()
        another = snapshot.agent not in shelf.held and snapshot.epoch == shelf.epoch
        if another and self.bytes_held() >= REPLICA_BYTES:
            self._counts["refused_snapshot"] += 1
            return False
        if another and snapshot.seq > shelf.floor and len(shelf.held) > AGENTS_LIMIT + WITHDRAWN + BESIDES:
            self._counts["refused_snapshot"] += 1
            shelf.make_room(snapshot.seq)
        self.version += 1
        news = shelf.add(snapshot)
        self.said += (len(snapshot.body) + BESIDE) * news
        return news

    def apply(self, delta: Delta) -> list[Snapshot]:
        """Hold what a delta brings; what of it was news."""
        news = [snapshot for snapshot in delta.snapshots if snapshot.node == delta.node and self.add(snapshot)]
        shelf = self._shelves.get(delta.node)
        if shelf is not None and delta.node != self._me and shelf.epoch == delta.epoch:
            shelf.complete_to(delta.after, delta.upto)
            self.version += 1
        return news

    def have(self, nodes: list[str] | None = None) -> list[Have]:
        """The digest: of everybody's shelves, or of `nodes`."""
        names = self._shelves if nodes is None else nodes
        shelves = [(name, shelf) for name in names if (shelf := self._shelves.get(name)) is not None]
        return [Have(node, shelf.epoch, self._top(node, shelf)) for node, shelf in shelves if shelf.epoch >= 0]

    def compare(self, entries: tuple[Have, ...]) -> tuple[list[Have], list[Have]]:
        """What I lack and what the sender lacks, by its digest: the first as what I have, the second as what it has."""
        i_lack: list[Have] = []
        they_lack: list[Have] = []
        for have in entries:
            shelf = self._shelves.get(have.node)
            if shelf is not None and have.complete == shelf.complete and have.epoch == shelf.epoch:
                continue  # as it nearly always is
            mine = (-1, 0) if shelf is None else (shelf.epoch, self._top(have.node, shelf))
            theirs = (have.epoch, have.complete)
            if theirs > mine:
                known = mine[1] if mine[0] == have.epoch else 0
                if have.complete and have.node != self._me:
                    i_lack.append(Have(have.node, have.epoch, known))
            elif theirs < mine:
                they_lack.append(have)
        return i_lack, they_lack

    def delta(self, want: Have) -> Delta | None:
        """What I hold beyond what somebody has of one node."""
        shelf = self._shelves.get(want.node)
        if shelf is None or shelf.epoch < want.epoch:
            return None
        after = want.complete if want.epoch == shelf.epoch else 0
        upto = self._top(want.node, shelf)
        snapshots = shelf.since(after)
        if upto <= after and not snapshots:
            return None
        return Delta(want.node, shelf.epoch, after, max(upto, after), tuple(snapshots))

    def drop(self, node: NodeName) -> None:
        """Forget a node's agents."""
        self._shelves.pop(node, None)
        self.version += 1

    def bytes_held(self) -> int:
        """Bytes of all bodies of all shelves."""
        return sum(shelf.bytes for shelf in self._shelves.values())

    def _top(self, node: str, shelf: Shelf) -> int:
        return self._seq if node == self._me else shelf.complete
