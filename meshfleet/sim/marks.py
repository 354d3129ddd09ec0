"""What a run exercised: one mark for each rule of the mesh that should come into play now and then.

A sweep adds the marks up. One that is never hit says that the plans have stopped reaching that rule, and that nothing
the sweep shows holds for it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.gossip.events import Event, Judged, Restarted, Stands
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.gossip.messages import Ack, Beats, Delta, Message, Packet, Ping, SnapshotMessage, Suspect, Sync, Via
from meshfleet.sim.invariants import Broken
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.world import World

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.orders import SendPacket
    from meshfleet.sim.host import Host

MARKS = {
    "cut": "somebody could not reach somebody",
    "death": "a process ended, or its host",
    "suspected": "somebody said of somebody that it does not answer",
    "refuted": "a suspicion was refuted by a higher incarnation",
    "probe_failed": "a probe failed: directly, through others, over a stream",
    "nacked": "a failed probe whose helpers said that they are well",
    "indirect_ack": "a probe that a helper answered",
    "stream_ack": "a probe that was answered over a stream",
    "late_ack": "an answer after its probe had failed",
    "buddy": "a ping that told whom it meant of the suspicion against it",
    "obituary": "somebody's proof of a death was heard of",
    "witnessed": "a process's end was seen on its own machine",
    "proven": "a bare end of a stream and a refusal proved a death",
    "presumed": "a death was presumed",
    "answers": "a process that only its kernel answered for",
    "refused": "a connection was refused",
    "reset": "a stream was reset",
    "group_loss": "members fell silent together",
    "split": "a node stood so",
    "partitioned": "a node stood so",
    "isolated": "a node stood so",
    "degraded": "a node stood so",
    "resuming": "a node stood so",
    "resumed": "a node had stood still",
    "send_refused": "a node's own network refused to send",
    "left": "a goodbye was heard",
    "restarted": "a later life of a known name",
    "old_life": "a packet of a life that is over",
    "unknown_beat": "a heartbeat of somebody who was not known",
    "push_pull": "two members compared everything",
    "repaired": "a snapshot that the push had missed",
    "overflow": "an answer to a digest that fitted no datagram",
}
"""Each mark, and what it means when it is hit."""

SUSPICIOUS = ("cut", "death", "suspected")
"""Without one of these a run has shown nothing."""

ASKED = 64
"""Lives that are asked at the end what they met: in a fleet of a thousand all would be too many, and no news."""

_COUNTS = {
    "refuted": "refuted", "late_ack": "late_ack", "resumed": "resumed", "send_refused": "own_send_error",
    "old_life": "old_life", "unknown_beat": "unknown_beat", "reset": "stream_reset",
}  # fmt: skip
"""Marks that members count themselves, under their own names."""

_FACTS = {
    Kind.SUSPECTED: "suspected", Kind.PROBE_FAILED: "probe_failed", Kind.INDIRECT_ACK: "indirect_ack",
    Kind.OBITUARY: "obituary", Kind.WITNESSED: "witnessed", Kind.REFUSED: "refused",
}  # fmt: skip
"""Marks that members remember as facts."""

_NACKS = re.compile(r"\((\d+) said so\)")


class Marks:
    """The marks of one run. What they count beyond hit or not is rough: facts are not remembered for ever."""

    def __init__(self) -> None:
        self.hit: Counter[str] = Counter()
        self._lives: list[Member] = []

    def lives(self, member: Member) -> None:
        """A process began a life: it is asked at the end what it met."""
        self._lives.append(member)

    def happened(self, event: Event) -> None:
        """A member said something."""
        match event:
            case Judged():
                self._judged(event)
            case Stands():
                self.hit[event.now.standing.value] += 1
                self.hit["group_loss"] += bool(event.now.groups)
            case Restarted():
                self.hit["restarted"] += 1
            case _:
                pass

    def _judged(self, event: Judged) -> None:
        verdict = event.verdict
        if verdict.certainty is Certainty.PRESUMED:
            self.hit["presumed"] += 1
        elif verdict.certainty is Certainty.PROVEN and any(fact.kind is Kind.EOF for fact in verdict.because):
            self.hit["proven"] += 1
        elif verdict.presence is Presence.LEFT:
            self.hit["left"] += 1
        elif any(reason.startswith("its process is there") for reason in verdict.reasons):
            self.hit["answers"] += 1

    def total(self) -> dict[str, int]:
        """All that were hit, in the order of MARKS."""
        total = Counter(self.hit)
        for member in self._lives[:ASKED]:
            for mark, name in _COUNTS.items():
                total[mark] += member.counts[name]
            for record in member.roster:
                for fact in record.facts:
                    if (mark_of := _FACTS.get(fact.kind)) is not None:
                        total[mark_of] += 1
                    if fact.kind is Kind.PROBE_FAILED and (said := _NACKS.search(fact.detail)) is not None:
                        total["nacked"] += int(said[1]) > 0
        return {mark: total[mark] for mark in MARKS if total[mark]}


UNMARKED = (SnapshotMessage, Beats)
"""What most messages are, and mark nothing."""


class Overheard(World):
    """A world in which it is noted what kinds of messages arrive, and looked whether what leaves fits."""

    marks: Marks

    def _send_packet(self, here: Host, member: Member, out: SendPacket, clock: float) -> None:
        if out.via is Via.DATAGRAM and out.size > DATAGRAM_BYTES:
            at = f"{self.now_us / MICROSECONDS:.3f} s"
            raise Broken(f"{at}: {here.name} sent a datagram of {out.size} bytes, more than {DATAGRAM_BYTES}")
        super()._send_packet(here, member, out, clock)

    def arrive(self, to: Host, packet: Packet, source: Address, via: Via) -> None:
        """A packet reaches its host."""
        if to.listens and not to.nic_down:
            for message in packet.messages:
                if type(message) not in UNMARKED:
                    self._overhear(message, packet, via)
        super().arrive(to, packet, source, via)

    def _overhear(self, message: Message, packet: Packet, via: Via) -> None:
        hit = self.marks.hit
        match message:
            case Ping():
                hit["buddy"] += any(isinstance(m, Suspect) and m.name == message.target for m in packet.messages)
            case Ack():
                hit["stream_ack"] += via is Via.STREAM
            case Delta():
                hit["repaired"] += bool(message.snapshots)
                hit["overflow"] += via is Via.STREAM
            case Sync():
                hit["push_pull"] += not message.reply
            case _:
                pass
