"""Being a node that nobody can reach, behind address translation or a firewall: noticing it, and finding relays.

    is it?      on joining, and whenever it may have changed, a node asks up to three members on different hosts to
                dial it where it says that it listens, and to ping it there: in their network somebody else may have
                that address. None of them gets through: it is behind something.
    who         it then holds streams to three members that can be reached, and names them in its Alive. Which ones,
                rendezvous hashing of its name and theirs says: so relays are spread evenly over the fleet, a node comes
                back to the same ones, and when one of them goes only its own clients look for another. No place
                stays empty: who can't be dialled goes last, and a neighbour stands in until another stream stands.
    what        whatever goes to it unasked goes by one of them: sealed for its receiver, and passed on unopened. What
                it says itself it sends straight to whom it means, and answers come back the way the question went.

Nothing else depends on a relay: heartbeats of the hidden node leave by themselves, so nobody takes it for dead because
its relay is. How others send to it, and what a relay does, is in `ways`.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.gossip.messages import PingReq

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from meshfleet.fleet.names import NodeName
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.messages import NodeInfo
    from meshfleet.gossip.neighbours import Neighbours
    from meshfleet.gossip.outbox import Outbox
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster
    from meshfleet.gossip.timers import Timers

RELAYS = 3
"""Members that pass on for one hidden node. One may die and another be cut off at the same time, and the third is there
until both are replaced; each costs a stream."""

DIALLERS = 3
"""Members, on hosts of their own, who are asked to dial back. One that is cut off from here must not decide alone."""

DIALS_FOR = 3
"""Probe deadlines that a dial back may take: a handshake, on a loaded machine."""

LOOKS_AGAIN = 12
"""T between two looks whether a hidden node can be reached after all: a minute."""

PAUSE = 4
"""T between two requests to be dialled, whatever hints there are."""


class Relays:
    """Whether I need relays, and who they are."""

    def __init__(
        self, me: NodeName, host: str, timing: Timing, roster: Roster, outbox: Outbox, timers: Timers, rng: Random,
        counts: Counts, announce: Callable[[tuple[str, ...]], None],
    ) -> None:  # fmt: skip
        self._me = me
        self._host = host
        self._timing = timing
        self._roster = roster
        self._outbox = outbox
        self._timers = timers
        self._rng = rng
        self._counts = counts
        self._announce = announce
        self.neighbours: Neighbours
        self.hidden = False
        """Whether nobody gets through to me, as far as I know."""
        self.chosen: dict[NodeName, int] = {}
        """Whom I hold a stream to for this, and in which life of theirs."""
        self._failed: dict[NodeName, float] = {}
        """To whom of those that were chosen no stream could be opened, and when."""
        self._listed: tuple[str, ...] = ()
        self._seq = rng.getrandbits(31)
        """Not to be guessed: whoever holds the ring could answer in others' names that they got through to me."""
        self._asked: dict[str, bool | None] = {}
        """Who was asked to dial me, and whether it got through; None: no answer yet."""
        self._asked_at = -1e18

    # Whether I am hidden

    def wonder(self, now: float) -> None:
        """Something may have changed: have myself dialled, unless that was done a moment ago."""
        if now - self._asked_at < PAUSE * self._timing.heartbeat or not (diallers := self._diallers()):
            return
        self._asked_at = now
        self._seq += 1
        self._asked = dict.fromkeys([record.name for record in diallers])
        within = DIALS_FOR * self._timing.probe_deadline
        for record in diallers:
            self._outbox.datagram(record, PingReq(self._seq, self._me, within))
        seq = self._seq
        self._timers.at(now + 1.25 * within, lambda t: self._settle(seq, t))

    def ask_anew(self) -> None:
        """My address is another: what was found out before does not count."""
        self._asked_at = -1e18

    def _diallers(self) -> list[Record]:
        """Some that I hear, each on another host, none of them hidden itself."""
        found: dict[str, Record] = {}
        for record in self._roster.sample(len(self._roster)):
            well = record.presence is Presence.FRESH and not self._outbox.ways.by_stream(record)  # else no ping passes
            if well and not record.info.relays and record.info.host != self._host:
                found.setdefault(record.info.host, record)
                if len(found) == DIALLERS:
                    break
        return list(found.values())

    def dialled(self, seq: int, by: NodeName, *, through: bool, now: float) -> None:
        """What one of those who were asked tells."""
        if seq != self._seq or by not in self._asked:
            self._counts["stray_ack"] += 1
            return
        self._asked[by] = through
        if through or None not in self._asked.values():
            self._settle(seq, now)

    def _settle(self, seq: int, now: float) -> None:
        told = [through for through in self._asked.values() if through is not None]
        if seq != self._seq or not told:
            return
        self._asked.clear()
        if self.hidden is not any(told):
            return  # as it was
        self.hidden = not self.hidden
        self._counts["hidden" if self.hidden else "reachable"] += 1
        self.review(now)

    # Who passes on for me

    def review(self, now: float) -> None:
        """Fill the places of relays that are gone, and say who they are when that is another."""
        if not (self.hidden or self.chosen or self._listed):
            self._failed.clear()
            return
        wanted = self._wanted()
        for name in [name for name in self.chosen if name not in wanted]:
            del self.chosen[name]
            self.neighbours.let_go_of(name)
        for name, record in wanted.items():
            self.chosen[name] = record.epoch
            if not record.has_stream:
                self._outbox.keep_stream(record)
        listed = self._standing(wanted)
        if listed != self._listed and (listed or not self.hidden):
            self._listed = listed
            self._announce(listed)
        if self.hidden and now - self._asked_at >= LOOKS_AGAIN * self._timing.heartbeat:
            self.wonder(now)

    def stream_failed(self, record: Record, now: float) -> None:
        """No stream to it could be opened: another has its place from the next review on. Datagrams may pass all the
        same, so that it stays fresh: it may be hidden itself, and not have found out."""
        if record.name in self.chosen and not record.has_stream:
            self._failed[record.name] = now

    def _standing(self, wanted: dict[NodeName, Record]) -> tuple[NodeName, ...]:
        """Those whose stream stands. For one that is still to come, or never comes, stands in whoever has a stream with
        me anyway: with an empty place the two others are likelier to be lost together, and then nobody knows whom to
        ask whether a hidden member's kernel answers (plan 5173)."""
        standing = [name for name in wanted if wanted[name].has_stream]
        if not self.hidden or len(standing) == RELAYS:
            return tuple(standing)
        able = [r.name for r in self._roster if r.has_stream and r.name not in wanted and self._is_able(r)]
        return tuple([*standing, *ranked(f"relay {self._me}", able)][:RELAYS])

    def _wanted(self) -> dict[NodeName, Record]:
        """Those that are still good, then whose turn it is, on as many hosts as there are; last, who failed."""
        if not self.hidden:
            return {}
        able = {record.name: record for record in self._roster if self._is_able(record)}
        self._failed = {n: at for n, at in self._failed.items() if n in able and not able[n].has_stream}
        kept = {
            name: able[name]
            for name, epoch in self.chosen.items()
            if name in able and able[name].epoch == epoch and name not in self._failed
        }
        if len(kept) == RELAYS:
            return kept
        hosts = {record.info.host for record in kept.values()}
        order = [name for name in ranked(f"relay {self._me}", able) if name not in kept]
        order.sort(key=lambda name: self._failed.get(name, -inf))
        for another_host in (True, False):
            for name in order:
                if len(kept) < RELAYS and name not in kept and not (another_host and able[name].info.host in hosts):
                    kept[name] = able[name]
                    hosts.add(able[name].info.host)
        return kept

    def _is_able(self, record: Record) -> bool:
        good = record.presence is Presence.FRESH and not record.info.relays and record.info.host != self._host
        return good and (record.direct_at > record.direct_failed_at or record.has_stream)


def with_relays(info: NodeInfo, relays: tuple[str, ...]) -> NodeInfo:
    """The same node, with these relays."""
    return msgspec.structs.replace(info, relays=relays)
