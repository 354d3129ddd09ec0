"""A member with a good key that says anything at all: each kind of message, in any order, by datagram in anybody's
name, by stream in its own. In virtual time, with notaries that count in place of cryptography.

The others go on answering each other, so none of them is ever said to be gone; nothing goes back, nothing is made up of
them, nothing grows beyond its bound, and nothing raises.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshfleet.errors import WireError
from meshfleet.fleet.presence import Presence
from meshfleet.gossip import limits
from meshfleet.gossip.events import Judged
from meshfleet.gossip.messages import (
    Alive,
    Beat,
    Beats,
    Delta,
    Left,
    Obituary,
    Packet,
    Revoked,
    RollAnswer,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
    Via,
)
from meshfleet.sim.invariants import TIMERS_EACH
from meshfleet.wire.codec import decode_packet
from tests.fuzz.members import packets, tamed_packet
from tests.gossip.signed import Stamps, stamp
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.messages import Message

LIAR = "n9"
HONEST = ("n0", "n1", "n2")
AGENT = "a"

C = TypeVar("C", bound="Alive | Suspect | Left | Obituary | Row")


def in_its_name(message: Message, rng: Random) -> Message:
    """The same, with every signature and proof that the liar can make, and mostly of the life that is. What only the
    fleet's owner can say is looked at before the core hears it, so it is left out."""
    match message:
        case Alive() | Suspect() | Left() | Obituary() | Row():
            return _signed(message, rng)
        case SnapshotMessage():
            snapshot = msgspec.structs.replace(message.snapshot, signature=LIAR.encode())
            return msgspec.structs.replace(message, snapshot=snapshot, proof=stamp(LIAR, message.beat))
        case Delta():
            shots = [msgspec.structs.replace(shot, signature=LIAR.encode()) for shot in message.snapshots]
            return msgspec.structs.replace(message, snapshots=tuple(shots))
        case Beats() | RollAnswer():
            return msgspec.structs.replace(message, entries=tuple([_beat(beat) for beat in message.entries]))
        case Sync():
            claims, rows = [_signed(c, rng) for c in message.claims], [_signed(row, rng) for row in message.rows]
            return msgspec.structs.replace(message, claims=tuple(claims), rows=tuple(rows), revoked=())
    return message


def _signed(said: C, rng: Random) -> C:
    ours: dict[str, object] = {"signature": LIAR.encode()}
    if rng.randrange(4):
        ours["epoch"] = 1
        if isinstance(said, Row):
            ours["name"] = LIAR
        elif not isinstance(said, Alive):
            ours["by"] = LIAR
    return msgspec.structs.replace(said, **ours)


def _beat(beat: Beat) -> Beat:
    return msgspec.structs.replace(beat, proof=stamp(LIAR, beat.counter))


class Liar(RuleBasedStateMachine):
    """Three honest members, and the liar, which is otherwise one like them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(len(HONEST), notary=Stamps)
        self.world.start(LIAR, join="n0")
        for name in HONEST:
            self.world.publish(name, AGENT, b"first")
        self.world.run(10.0)
        assert self.world.all_fresh()
        self.seen: dict[tuple[str, str], tuple[int, ...]] = {}
        self.told = 0
        for host in self.world.hosts.values():
            host.events.clear()

    @rule(packet=packets, to=st.sampled_from(HONEST), seed=st.integers(0, 2**32), copies=st.sampled_from((1, 1, 1, 40)))
    def lies(self, packet: Packet, to: str, seed: int, copies: int) -> None:
        """To one of them, about anybody."""
        try:
            said = decode_packet(tamed_packet(packet, Random(seed)))
        except WireError:
            return
        via = Via.STREAM if seed % 2 else Via.DATAGRAM
        rng = Random(seed)
        messages = tuple([in_its_name(message, rng) for message in said.messages if not isinstance(message, Revoked)])
        lie = msgspec.structs.replace(said, messages=copies * messages, proof=stamp(LIAR, said.beat))
        if via is Via.STREAM:
            lie = msgspec.structs.replace(lie, source=LIAR)  # as its certificate says
        self.world.do(to, lambda member: member.receive(lie, self.world.address(LIAR), via, self.world.now))

    @rule(seconds=st.sampled_from((0.05, 0.5, 2.0, 7.0)))
    def time_passes(self, seconds: float) -> None:
        """The others go on."""
        self.world.run(seconds)

    @rule(name=st.sampled_from(HONEST))
    def an_agent_has_news(self, name: str) -> None:
        """An honest one's."""
        self.told += 1
        self.world.publish(name, AGENT, b"%d" % self.told)

    @invariant()
    def nobody_who_answers_is_said_to_be_gone(self) -> None:
        """By nobody who is honest, of nobody who is."""
        for name in HONEST:
            said = [each for each in self.world.hosts[name].events if isinstance(each, Judged) and each.name in HONEST]
            assert {each.verdict.presence for each in said} <= {Presence.FRESH, Presence.STALE}, said
            self.world.hosts[name].events.clear()

    @invariant()
    def nothing_goes_back_and_nothing_is_made_up(self) -> None:
        """Lives, words, heartbeats and snapshots that honest ones know of each other."""
        for name in HONEST:
            for other in [each for each in HONEST if each != name]:
                record, shelf = self.world.record(name, other), self.member(name).replica.shelf(other)
                own = self.member(other)
                held = (0, 0) if shelf is None else (shelf.epoch, shelf.complete)
                now = (record.epoch, record.alive.incarnation, record.beat, *held)
                before = self.seen.get((name, other), now)
                assert record.epoch <= own.epoch
                assert (record.epoch, record.alive.incarnation) <= (own.epoch, own.membership.me.incarnation)
                assert record.epoch < own.epoch or record.beat <= own.beats.counter
                assert shelf is None or all(s.signature == other.encode() for s in shelf.held.values())
                assert now[:2] >= before[:2]
                assert now[0] > before[0] or now[2] >= before[2]
                assert held >= before[3:]
                self.seen[name, other] = now

    @invariant()
    def everything_is_bounded(self) -> None:
        """By gossip/limits.py."""
        for member in [self.member(name) for name in HONEST]:
            assert {record.name for record in member.roster} <= {*HONEST, LIAR}, "nobody else has a key"
            assert len(member.roster._heard_of) <= limits.UNKNOWN_MEMBERS
            assert len(member.rumors) <= limits.RUMORS
            assert not member.outbox.waiting
            assert len(member.prober._relays) <= limits.PENDING_RELAYS
            assert len(member.spread._steps._pending) <= limits.STEPS
            assert member.spread._waiting <= limits.PENDING_DIGESTS
            assert len(member.vouching._forgeries) <= limits.FORGERS
            assert len(member.rows._theirs) <= len(member.roster)
            assert member.replica.bytes_held() <= limits.REPLICA_BYTES
            assert len(member.timers) <= TIMERS_EACH * 4 + 3 * (limits.PENDING_RELAYS + limits.PENDING_DIGESTS)
            for record in member.roster:
                known = record.known
                assert max(len(known.suspects), len(known.obituaries)) <= limits.ACCUSERS
                assert len(record.facts) <= limits.FACTS
                assert len(record.refusals) <= limits.REFUSALS

    def member(self, name: str) -> Member:
        """One of them."""
        return self.world.hosts[name].member

    def teardown(self) -> None:
        """Whatever was said, all of it is over a while after."""
        self.world.run(20.0)
        self.nobody_who_answers_is_said_to_be_gone()
        for name in HONEST:
            for other in [each for each in HONEST if each != name]:
                assert self.world.presence(name, other) is Presence.FRESH
                assert self.world.body(name, other, AGENT) == self.world.body(other, other, AGENT)


TestLiar = Liar.TestCase
TestLiar.settings = settings(max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck))
