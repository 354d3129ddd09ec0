"""Heartbeats that prove themselves: whoever tells them, by whatever way, only their origin can have raised them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.limits import CHAIN, FORGERIES_WITHIN, IN_VAIN, NEAR, PROVING, WASTED
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beat,
    Beats,
    Digest,
    Left,
    Message,
    NodeInfo,
    Packet,
    Ping,
    SnapshotMessage,
    Sync,
    Via,
)
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.tags import beat_tag, chain_end
from tests.gossip.signed import Signed, shot, stamp

if TYPE_CHECKING:
    from meshfleet.gossip.record import Record

REFUSED = ("forged_beat", "unproven_beat", "put_off_beat", "unexamined", "unproven_ack")


def refused(fleet: Signed) -> dict[str, int]:
    """What all members together refused of heartbeats and acks."""
    return {name: count for name in REFUSED if (count := sum(fleet.counts(node)[name] for node in fleet.world.hosts))}


def known(fleet: Signed, of: str, by: str = "n0") -> Record:
    record = fleet.world.hosts[by].member.roster.get(of)
    assert record is not None
    return record


def table(fleet: Signed, of: str, counter: int, proof: bytes, age: float = 0.0) -> Beats:
    return Beats((Beat(known(fleet, of).tag, counter, -age, proof),), 0.0)


WAYS = ["head of a datagram", "head of a stream's frame", "table", "snapshot", "sync"]


def bring(fleet: Signed, way: str, of: str, counter: int, proof: bytes) -> None:
    """n3 tells n0 of a heartbeat."""
    told: dict[str, tuple[str, Via, tuple[Message, ...]]] = {
        "head of a datagram": (of, Via.DATAGRAM, ()),
        "head of a stream's frame": (of, Via.STREAM, ()),
        "table": ("n3", Via.DATAGRAM, (table(fleet, of, counter, proof),)),
        "snapshot": ("n3", Via.DATAGRAM, (SnapshotMessage(shot(1, node=of, by=of), None, counter, 0.0, proof),)),
        "sync": ("n3", Via.STREAM, (Sync((), table(fleet, of, counter, proof), Digest(()), reply=False),)),
    }
    sender, via, messages = told[way]
    fleet.tell("n0", sender, *messages, via=via, beat=(counter, proof) if sender == of else (0, b""))


@pytest.mark.parametrize("way", WAYS)
def test_a_heartbeat_is_believed_if_it_is_its_origins_and_not_if_somebody_made_it_up(way: str) -> None:
    fleet = Signed()
    record = known(fleet, "n2")
    before = record.beat
    bring(fleet, way, "n2", before + 1, stamp("n3", before + 1))
    bring(fleet, way, "n2", before + 2, stamp("n2", before + 1))
    assert (record.beat, fleet.counts("n0")["forged_beat"]) == (before, 2)
    (forgery,) = fleet.world.hosts["n0"].member.vouching.forgeries()
    assert (forgery.kind, forgery.in_name_of, forgery.times) == ("heartbeat", "n2", 2)
    assert forgery.by == ("n2" if way.startswith("head") else "n3")
    bring(fleet, way, "n2", before + 3, stamp("n2", before + 3))
    assert (record.beat, record.proof, fleet.counts("n0")["forged_beat"]) == (before + 3, stamp("n2", before + 3), 2)


def test_in_an_honest_fleet_each_heartbeat_is_hashed_once_by_each_and_none_is_refused() -> None:
    fleet = Signed()
    for i in range(10):
        fleet.world.do("n1", partial(Member.publish, agent=AgentId("a"), body=b"%d" % i, now=fleet.world.now))
        fleet.world.run(2.0)
    assert refused(fleet) == {}
    for name, host in fleet.world.hosts.items():
        assert fleet.notaries[name].hashed == sum(record.beat for record in host.member.roster)
    assert fleet.world.all_fresh()


@pytest.mark.parametrize("way", WAYS)
def test_a_dead_node_is_not_kept_alive_by_repeating_what_it_last_said(way: str) -> None:
    fleet = Signed()
    fleet.world.power_off("n2")
    last = known(fleet, "n2").beat
    for _ in range(40):
        bring(fleet, way, "n2", last, stamp("n2", last))
        bring(fleet, way, "n2", last + 1, stamp("n3", last + 1))
        fleet.world.run(1.0)
    assert known(fleet, "n2").presence is not Presence.FRESH
    if way == "head of a stream's frame":
        return  # nobody but n2 can speak in one
    assert known(fleet, "n2").presence is Presence.DOWN, "packets under its name are no sign of life either"


def test_forged_answers_of_a_dead_node_do_not_keep_it_from_being_called_down() -> None:
    fleet = Signed()
    fleet.world.power_off("n2")
    for _ in range(400):
        seq = fleet.world.hosts["n0"].member.prober._seq
        acks = [Ack(each, "n2", 1) for each in range(seq - 5, seq + 1)]
        fleet.tell("n0", "n2", *acks)
        fleet.tell("n0", "n3", *acks)
        fleet.world.run(0.1)
    assert known(fleet, "n2").presence is Presence.DOWN
    assert fleet.counts("n0")["unproven_ack"] > 0


def test_a_helper_that_says_once_that_the_dead_answered_it_does_not_keep_it_from_being_called_down_for_good() -> None:
    fleet = Signed()
    fleet.world.power_off("n2")
    for _ in range(120):
        fleet.world.run(0.1)
        if known(fleet, "n2").suspicion is not None:
            seq = fleet.world.hosts["n0"].member.prober._seq
            fleet.tell("n0", "n3", *[Ack(each, "n2", 1) for each in range(seq - 5, seq + 1)])
    record = known(fleet, "n2")
    assert record.suspicion is not None
    assert record.indirect_at > record.suspicion.began
    fleet.world.run(2 * fleet.world.timing.presumed_after + 2.0)
    assert record.presence is Presence.DOWN


def test_a_forged_heartbeat_takes_nothing_from_the_packet_that_brings_it_and_its_ping_is_answered() -> None:
    fleet = Signed()
    member, now = fleet.world.hosts["n0"].member, fleet.world.now
    packet = Packet("n2", 1, known(fleet, "n2").beat + 1, 0.0, 0, (SnapshotMessage(shot(1)), Ping(7, "n0")), b"a lie")
    member.receive(packet, fleet.world.address("n2"), Via.DATAGRAM, now)
    answers = [message for out in member.outgoing(now) if isinstance(out, SendPacket) for message in out.messages]
    assert Ack(7, "n0", 1) in answers
    assert fleet.counts("n0")["forged_beat"] == 1
    assert fleet.world.body("n0", "n2", "a") == b"x"


def test_after_a_long_silence_the_gap_is_hashed_and_a_far_one_that_is_forged_is_paid_for_by_its_bearer_alone() -> None:
    fleet = Signed()
    record, notary = known(fleet, "n2"), fleet.notaries["n0"]
    end = chain_end(record.tag, record.beat)
    far = end - record.beat
    assert far > NEAR
    hashed = notary.hashed
    for _ in range(50):
        fleet.tell("n0", "n3", table(fleet, "n2", end, b"a lie"))
    assert notary.hashed - hashed < WASTED + CHAIN
    assert fleet.counts("n0")["unexamined"] > 0
    fleet.tell("n0", "n3", table(fleet, "n2", record.beat + 1, stamp("n2", record.beat + 1)))
    assert fleet.counts("n0")["forged_beat"] + fleet.counts("n0")["unexamined"] == 50, "a near one is always looked at"
    fleet.tell("n0", "n4", table(fleet, "n2", record.beat + 50, stamp("n2", record.beat + 50)))
    assert record.beat > 50
    fleet.world.run(FORGERIES_WITHIN + 1.0)
    fleet.tell("n0", "n3", table(fleet, "n2", end, stamp("n2", end)))
    assert record.beat == end


def test_what_a_packet_may_cost_in_vain_is_bounded() -> None:
    fleet = Signed()
    hashed = fleet.notaries["n0"].hashed
    record = known(fleet, "n2")
    lies = tuple(Beat(record.tag, record.beat + 1 + i % NEAR, 0.0, b"a lie") for i in range(500))
    fleet.tell("n0", "n3", Beats(lies))
    assert fleet.notaries["n0"].hashed - hashed <= IN_VAIN + NEAR
    assert fleet.counts("n0")["unexamined"] == 500 - fleet.counts("n0")["forged_beat"]


def test_a_newcomer_to_many_old_lives_believes_some_now_and_the_rest_when_it_is_told_again() -> None:
    fleet, names = Signed(2), [f"x{i}" for i in range(100)]
    for i, name in enumerate(names):
        info = NodeInfo(f"h-{name}", "10.9.9.9", i)
        fleet.tell("n0", "n1", Alive(name, 1, 0, info, 0, stamp(name, 0), b"", name.encode()), via=Via.STREAM)
    ends = {name: chain_end(beat_tag(name, 1), 0) for name in names}
    told = Beats(tuple(Beat(beat_tag(name, 1), end, 0.0, stamp(name, end)) for name, end in ends.items() if end > NEAR))
    assert sum(beat.counter for beat in told.entries) > PROVING
    hashed = fleet.notaries["n0"].hashed
    fleet.tell("n0", "n1", told)
    assert fleet.notaries["n0"].hashed - hashed <= PROVING
    assert fleet.counts("n0")["put_off_beat"] > 0
    fleet.tell("n0", "n1", told)
    assert all(known(fleet, name).beat == end for name, end in ends.items() if end > NEAR)
    assert fleet.counts("n0")["forged_beat"] == 0


# One chain after the other


def near_the_end(fleet: Signed, name: str, before: int) -> int:
    """Let `name` have raised all but a few of its chain's heartbeats, as its word says; where the chain ends."""
    member = fleet.world.hosts[name].member
    end = chain_end(beat_tag(name, 1), member.beats.counter)
    member.beats.counter, member.beats.proof = end - before, stamp(name, end - before)
    fleet.world.do(name, lambda m: m.membership.announce())
    fleet.world.run(2.0)
    return end


def test_when_a_chain_is_used_up_its_member_anchors_another_and_nobody_doubts_a_heartbeat() -> None:
    fleet = Signed()
    end = near_the_end(fleet, "n2", 3)
    incarnation = fleet.world.hosts["n2"].member.membership.me.incarnation
    fleet.world.run(20.0)
    me = fleet.world.hosts["n2"].member.membership.me
    assert (me.incarnation, me.beat, me.anchor) == (incarnation + 1, end, stamp("n2", end))
    assert {known(fleet, "n2", by).beat > end for by in ("n0", "n1", "n3", "n4")} == {True}
    assert refused(fleet) == {}
    assert fleet.world.all_fresh()


def test_no_snapshot_raises_the_first_heartbeat_of_a_chain_before_its_anchor_is_known() -> None:
    fleet = Signed()
    end = near_the_end(fleet, "n2", 1)
    beats = fleet.world.hosts["n2"].member.beats
    told: list[int] = []
    for i in range(24):
        fleet.world.do("n2", partial(Member.publish, agent=AgentId("a"), body=b"%d" % i, now=fleet.world.now))
        told.append(beats.counter)
        fleet.world.run(0.25)
    assert 8 <= told.count(end) <= 12, "for a beat interval, and then on twice a second"
    assert beats.counter > end + 1
    assert refused(fleet) == {}


def test_who_missed_the_new_anchor_holds_nobody_for_a_forger_asks_for_it_and_goes_on_then() -> None:
    fleet = Signed()
    end = near_the_end(fleet, "n2", 1)
    fleet.world.cut(["n0"], ["n1", "n2", "n3", "n4"])
    fleet.world.run(3.0)
    fleet.world.heal()
    member, now = fleet.world.hosts["n0"].member, fleet.world.now
    packet = Packet("n3", 1, 0, 0.0, 0, (table(fleet, "n2", end + 1, stamp("n2", end + 1)),))
    member.receive(packet, fleet.world.address("n3"), Via.DATAGRAM, now)
    assert fleet.counts("n0")["unproven_beat"] == 1
    asked = [out for out in member.outgoing(now) if isinstance(out, SendPacket) and isinstance(out.messages[0], Sync)]
    assert [(out.host, out.port) for out in asked] == [fleet.world.address("n3")]
    fleet.world.do("n0", lambda m: m.join(fleet.world.address("n3"), now))
    assert fleet.counts("n0")["forged_beat"] == 0
    fleet.world.run(5.0)
    assert known(fleet, "n2").beat > end
    assert known(fleet, "n2").presence is Presence.FRESH
    assert fleet.counts("n0")["forged_beat"] == 0


def test_heartbeats_under_way_when_an_alive_was_said_are_believed_too() -> None:
    fleet = Signed()
    record = known(fleet, "n2")
    before = record.beat
    info = NodeInfo("h-n2", "10.0.0.2", 7878)
    fleet.tell("n0", "n3", Alive("n2", 1, 9, info, before + 5, stamp("n2", before + 5), b"", b"n2"))
    for counter in (before + 3, before + 5, before + 6):
        fleet.tell("n0", "n3", table(fleet, "n2", counter, stamp("n2", counter)))
        assert record.beat == counter
    assert refused(fleet) == {}


def test_an_alive_alone_makes_nobody_fresh() -> None:
    fleet = Signed()
    fleet.world.power_off("n2")
    fleet.world.run(7.0)
    before = known(fleet, "n2").beat_at
    alive = Alive("n2", 1, 9, NodeInfo("h-n2", "10.0.0.2", 7878), 500, stamp("n2", 500), b"", b"n2")
    fleet.tell("n0", "n3", alive)
    assert known(fleet, "n2").beat_at == before
    assert known(fleet, "n2").presence is not Presence.FRESH


def test_a_later_life_has_chains_of_its_own() -> None:
    fleet = Signed()
    fleet.world.power_off("n2")
    fleet.world.run(40.0)
    fleet.world.do("n3", lambda m: m.forget(NodeName("n2"), fleet.world.now))
    fleet.world.start("n2", join="n0", epoch=2)
    fleet.world.run(10.0)
    assert known(fleet, "n2").epoch == 2
    assert fleet.world.all_fresh()
    assert refused(fleet) == {}


def test_who_was_forgotten_while_it_runs_goes_on_with_proofs_of_its_later_life() -> None:
    fleet = Signed()
    member = fleet.world.hosts["n2"].member
    member.membership._outlive(member.vouching.sign(Left("n2", 1, "n2")), fleet.world.now)
    fleet.world.run(10.0)
    assert member.epoch == 2
    assert member.membership.me.beat == 0
    assert known(fleet, "n2").epoch == 2
    assert member.beats.counter - known(fleet, "n2").beat <= 1
    assert refused(fleet) == {}


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=12))
def test_in_any_order_only_genuine_heartbeats_are_believed_and_the_newest_of_them_wins(
    told: list[tuple[int, bool]],
) -> None:
    fleet = _FLEET
    record = known(fleet, "n2")
    record.begin_life(fleet.world.now)
    for counter, genuine in told:
        fleet.tell("n0", "n3", table(fleet, "n2", counter, stamp("n2" if genuine else "n3", counter)))
    assert record.beat == max([counter for counter, genuine in told if genuine], default=0)
    assert record.proof == (stamp("n2", record.beat) if record.beat else b"")


_FLEET = Signed(4)


def test_whose_tag_another_took_before_keeps_its_heartbeats_to_itself_and_the_other_loses_none() -> None:
    fleet = Signed()
    roster, record = fleet.world.hosts["n0"].member.roster, known(fleet, "n2")
    other = known(fleet, "n4")
    other.tag = record.tag
    roster._retag(other, 0.0)
    roster.tags[record.tag] = record
    roster._retag(record, 0.0)
    assert roster.tags.get(record.tag) is record
    roster.remove(record)
    assert roster.tags.get(record.tag) is None
