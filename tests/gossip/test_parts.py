"""The small parts of a member, each by itself."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip import limits
from meshfleet.gossip.awareness import Awareness
from meshfleet.gossip.beats import Heartbeats
from meshfleet.gossip.listening import Listening
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Left,
    Message,
    NodeInfo,
    Obituary,
    Ping,
    SnapshotMessage,
    Suspect,
    Via,
)
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.outbox import Outbox
from meshfleet.gossip.roster import Roster
from meshfleet.gossip.rumors import Rumors
from meshfleet.gossip.suspicion import shortest, timeout
from meshfleet.gossip.timers import Timers
from meshfleet.gossip.vouching import Trusting, Vouching
from meshfleet.gossip.ways import Ways
from tests.gossip.drawing import claims
from tests.gossip.rosters import INFO, LAN
from tests.gossip.world import OVERHEAD, measure

if TYPE_CHECKING:
    from meshfleet.gossip.messages import Claim, Rumored

# timers


def test_timers_run_in_order_and_never_early() -> None:
    ran: list[str] = []
    timers = Timers()
    timers.at(2.0, lambda t: ran.append("second"))
    timers.at(1.0, lambda t: ran.append("first"))
    timers.at(2.0, lambda t: ran.append("third"))
    timers.at(1.5, lambda t: ran.append("never")).cancel()
    timers.run_due(0.9)
    assert (ran, timers.next()) == ([], 1.0)
    timers.run_due(1.0)
    assert (ran, timers.next()) == (["first"], 2.0)
    timers.run_due(9.0)
    assert ran == ["first", "second", "third"]
    assert timers.next() == float("inf")


def test_a_timer_that_sets_itself_anew_does_not_spin() -> None:
    timers, ran = Timers(), []

    def again(now: float) -> None:
        ran.append(now)
        timers.at(now, again)

    timers.at(1.0, again)
    timers.run_due(5.0)
    assert ran == [5.0]
    assert len(timers) == 1


# listening


def test_silence_counts_only_while_listening() -> None:
    clock = Listening(LAN, 0.0)
    for tick in range(1, 11):
        assert not clock.advance(tick * 0.5)
    assert clock.at(5.0) == 5.0
    assert not clock.advance(6.8)  # 1.8 s deaf: at most 1.0 counts, and nothing is resumed
    assert clock.at(6.8) == pytest.approx(6.0)
    assert not clock.is_resuming(6.8)


def test_a_long_gap_begins_all_ages_anew_for_one_t() -> None:
    clock = Listening(LAN, 0.0)
    assert clock.advance(60.0)
    assert clock.at(60.0) == pytest.approx(1.0)
    assert clock.resumed_at == clock.at(60.0)
    assert clock.is_resuming(60.0 + LAN.heartbeat - 0.1)
    assert not clock.is_resuming(60.0 + LAN.heartbeat)


def test_a_clock_that_goes_back_changes_nothing() -> None:
    clock = Listening(LAN, 10.0)
    assert not clock.advance(9.0)
    assert clock.at(10.0) == 10.0


# awareness and suspicion


def test_health_rises_by_one_a_round_at_most_and_only_where_most_helpers_were_silent() -> None:
    me = Awareness(LAN)
    for asked, silent, score in ((0, 0, 0), (3, 1, 0), (3, 2, 1), (3, 3, 2), (2, 1, 2), (1, 1, 3)):
        me.round_ended(asked=asked, silent=silent)
        assert me.score == score
    me.probe_succeeded()
    me.was_suspected()
    assert (me.score, me.multiplier) == (3, 4)


def test_health_has_two_ends() -> None:
    me = Awareness(LAN)
    me.probe_succeeded()
    assert me.score == 0
    for _ in range(20):
        me.was_suspected()
    assert me.score == LAN.health_max


def test_the_paper_s_bounds_of_suspicion() -> None:
    assert shortest(5, LAN) == 4.0
    assert shortest(1_000, LAN) == pytest.approx(12.0)
    assert timeout(1, 5, 5, LAN) == pytest.approx(24.0)
    assert timeout(3, 5, 5, LAN) == pytest.approx(4.0)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10_000))
def test_more_confirmations_never_lengthen_a_suspicion(confirmed: int, could: int, members: int) -> None:
    low = shortest(members, LAN)
    lasts = timeout(confirmed, could, members, LAN)
    assert low - 1e-9 <= lasts <= LAN.suspicion_beta * low + 1e-9
    assert timeout(confirmed + 1, could, members, LAN) <= lasts
    if could < LAN.confirmations:
        assert lasts == LAN.suspicion_beta * low


# rumors and outbox


def rumors(counts: Counter[str] | None = None) -> Rumors:
    return Rumors(LAN, measure, Counter() if counts is None else counts)


def taken(it: Rumors, room: int, members: int) -> list[Rumored]:
    return it.take(room, members)[0]


def test_a_rumor_is_sent_a_bounded_number_of_times() -> None:
    it = rumors()
    it.add(Suspect("a", 1, 0, "x"))
    sent = 0
    while taken(it, 1_000, 5):
        sent += 1
    assert sent == LAN.retransmit * 1
    it.add(Suspect("a", 1, 0, "x"))
    assert sum(1 for _ in range(99) if taken(it, 1_000, 98)) == LAN.retransmit * 2


def test_a_rumor_that_others_tell_too_needs_to_be_sent_less_often_but_never_less_than_in_a_small_fleet() -> None:
    it, claim = rumors(), Suspect("a", 1, 0, "x")
    it.add(claim)
    for _ in range(LAN.retransmit - 1):
        assert taken(it, 1_000, 98)
        it.heard(claim, 98)
        it.heard(Suspect("a", 1, 1, "x"), 98)  # another one says nothing of this
    it.heard(claim, 98)
    assert taken(it, 1_000, 98) == [claim]  # the fifth, and five were heard
    assert not taken(it, 1_000, 98)
    it.add(claim)
    for _ in range(99):
        it.heard(claim, 98)
    assert sum(1 for _ in range(99) if taken(it, 1_000, 98)) == LAN.retransmit


def test_what_somebody_waits_for_is_sent_as_often_as_ever() -> None:
    it, claim = rumors(), Left("a", 1, "a")
    it.add(claim)
    for _ in range(99):
        it.heard(claim, 98)
    assert sum(1 for _ in range(99) if taken(it, 1_000, 98)) == 2 * LAN.retransmit


def test_the_newest_about_a_node_replaces_the_older() -> None:
    it = rumors()
    it.add(Alive("a", 1, 0, INFO))
    it.add(Suspect("a", 1, 0, "x"))
    it.add(Obituary("a", 1, 0, "y", "seen"))
    it.add(Suspect("b", 1, 0, "x"))
    it.add(Alive("a", 1, 1, INFO))
    assert set(taken(it, 1_000, 5)) == {Alive("a", 1, 1, INFO), Suspect("b", 1, 0, "x")}


def test_obituaries_and_goodbyes_go_first_then_the_least_sent() -> None:
    it = rumors()
    it.add(Suspect("a", 1, 0, "x"))
    it.take(1_000, 5)
    it.add(Suspect("b", 1, 0, "x"))
    it.add(Obituary("c", 1, 0, "x", "seen"))
    it.add(Left("d", 1, "d"))
    assert [c.name for c in taken(it, 1_000, 5)] == ["c", "d", "b", "a"]


@given(st.lists(claims(), max_size=30), st.integers(0, 300))
def test_rumors_never_take_more_room_than_there_is(told: list[Claim], room: int) -> None:
    it = rumors()
    for claim in told:
        it.add(claim)
    chosen, size = it.take(room, 5)
    assert sum(measure(c) for c in chosen) == size <= room


def test_rumors_are_bounded_and_what_was_sent_most_goes() -> None:
    counts: Counter[str] = Counter()
    it = rumors(counts)
    it.add(Suspect("first", 1, 0, "x"))
    it.take(10_000, 5)
    for i in range(limits.RUMORS):
        it.add(Suspect(f"n{i}", 1, 0, "x"))
    assert (len(it), counts["dropped_rumor"]) == (limits.RUMORS, 1)
    assert all(c.name != "first" for _ in range(200) for c in taken(it, 1_000_000, 5))


def outbox(counts: Counter[str] | None = None) -> Outbox:
    counts = Counter() if counts is None else counts
    roster = Roster(NodeName("me"), Random(1), counts)
    beats = Heartbeats("me", 1, LAN, roster, counts, 0.0, Vouching(Trusting(), roster, counts))
    ways = Ways(NodeName("me"), roster, counts)
    return Outbox(measure, OVERHEAD, rumors(counts), beats, counts, ways, LAN.state_rate)


HERE = Address("10.0.0.1", 7878)


@given(st.lists(st.binary(max_size=3_000), max_size=20))
def test_every_datagram_fits_and_nothing_is_lost(bodies: list[bytes]) -> None:
    it = outbox()
    sent: list[Message] = []
    for i, body in enumerate(bodies):
        message = SnapshotMessage(Snapshot(NodeName("n"), Epoch(1), i, 0, 0, AgentId("a"), body))
        sent.append(message)
        it.datagram_to(HERE, NodeName("n"), message)
    packets = [p for p in it.drain(5, 0.0) if isinstance(p, SendPacket)]
    assert sorted(repr(m) for p in packets for m in p.messages) == sorted(map(repr, sent))
    for packet in packets:
        if packet.via is Via.DATAGRAM:
            assert packet.size <= limits.DATAGRAM_BYTES
        assert sum(measure(m) for m in packet.messages) + OVERHEAD == packet.size
    assert list(it.drain(5, 0.0)) == []


def test_rumors_fill_the_room_that_is_left_in_datagrams_alone() -> None:
    it = outbox()
    it._rumors.add(Suspect("a", 1, 0, "x"))
    it.stream_to(HERE, NodeName("n"), Left("b", 1, "b"))
    it.datagram_to(HERE, NodeName("n"), Left("c", 1, "c"))
    by_way = {p.via: p.messages for p in it.drain(5, 0.0) if isinstance(p, SendPacket)}
    assert by_way[Via.STREAM] == (Left("b", 1, "b"),)
    assert by_way[Via.DATAGRAM] == (Left("c", 1, "c"), Suspect("a", 1, 0, "x"))


def test_beats_ride_along_with_whatever_goes_anyway() -> None:
    it = outbox()
    a, _ = it._beats._roster.add(Alive("a", 1, 0, NodeInfo("h", "10.0.0.3", 7878)), 0.0)
    assert a is not None
    it._beats.hear(a, 7, 0.0, 1.0, None, "udp")
    it.datagram_to(HERE, NodeName("n"), Ack(1, "me", 1))
    for port in range(LAN.fan_out):
        it.datagram_to(Address("10.0.0.2", port), NodeName("m"), Ping(2, "m"))
    *pings, last = (p for p in it.drain(5, 1.5) if isinstance(p, SendPacket))
    assert len(last.messages) == 1
    ages = [[m.at - beat.raised_at for m in p.messages if isinstance(m, Beats) for beat in m.entries] for p in pings]
    assert ages == [[0.5]] * LAN.fan_out
    assert [p.size for p in pings] == [OVERHEAD + sum(map(measure, p.messages)) for p in pings]


def test_an_outbox_that_nobody_empties_is_bounded() -> None:
    counts: Counter[str] = Counter()
    it = outbox(counts)
    it.drop_stream(NodeName("first to go"))
    for i in range(limits.OUTBOX + 9):
        it.datagram_to(HERE, NodeName(f"n{i % 3}"), Left(f"n{i}", 1, "n"))
    packets = [p for p in it.drain(5, 0.0) if isinstance(p, SendPacket)]
    assert sum(len(p.messages) for p in packets) == limits.OUTBOX
    assert counts["dropped_outgoing"] == 10
