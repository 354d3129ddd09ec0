"""The roll call: what is called for, what is answered, and what happens where two do not mean the same members."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.beats import Heartbeats
from meshfleet.gossip.messages import Alive, Beats, NodeInfo, Packet, RollAnswer, RollCall
from meshfleet.gossip.rollcall import ALONE, ANSWERS, ENTRIES, RETURN, SETTLED, SPAN, RollCalls, _stretches
from meshfleet.gossip.roster import Roster
from meshfleet.gossip.tags import beat_tag
from meshfleet.gossip.vouching import Trusting, Vouching
from meshfleet.wire.codec import decode_packet, encode_packet
from tests.gossip.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.record import Record

LAN = PRESETS["lan"]
INFO = NodeInfo("h", "10.0.0.1", 7878)


class Side:
    """One member's roll: itself and whom it knows."""

    def __init__(self, me: str, *others: str) -> None:
        self.roster = Roster(NodeName(me), Random(1), Counter())
        for name in others:
            self.roster.add(Alive(name, 1, 0, INFO), 0.0)
        counts: Counter[str] = Counter()
        vouching = Vouching(Trusting(), self.roster, counts)
        self.beats = Heartbeats(me, 1, LAN, self.roster, counts, 0.0, vouching)
        self.roll = RollCalls(self.beats, self.roster, LAN, Random(1))

    def record(self, name: str) -> Record:
        record = self.roster.get(name)
        assert record is not None
        return record

    def hears(self, *names: str, counter: int = 1, at: float = 99.0) -> None:
        for name in names:
            self.beats.hear(self.record(name), counter, 0.0, at, None, "udp")


def names(count: int) -> list[str]:
    return [f"n{i:03}" for i in range(count)]


def answers(said: list[RollAnswer | RollCall]) -> list[RollAnswer]:
    return [each for each in said if isinstance(each, RollAnswer)]


def test_whose_newest_heartbeat_is_of_the_last_interval_is_not_called_for() -> None:
    me = Side("a", "b", "c")
    me.hears("b", "c", at=10.0)
    assert me.roll.call(10.0 + LAN.beat_interval - 0.01) is None
    me.hears("b", counter=2, at=12.0)
    call = me.roll.call(10.0 + LAN.beat_interval)
    assert call is not None
    order = sorted([("a", beat_tag("a", 1)), ("b", beat_tag("b", 1)), ("c", beat_tag("c", 1))], key=lambda m: m[1])
    assert [name for place, (name, _) in enumerate(order) if not call.heard[0] >> place & 1] == ["c"]


def test_the_answer_has_what_the_caller_lacks_and_the_other_knows_and_no_more() -> None:
    a, b = Side("a", "b", "c", "d", "e"), Side("b", "a", "c", "d", "e")
    a.hears("b", "c")
    b.hears("a", "c", "d", counter=7, at=99.5)
    call = a.roll.call(100.0)
    assert call is not None
    (answer,) = b.roll.answer(call, 100.0)
    assert isinstance(answer, RollAnswer)
    assert [beat.tag for beat in answer.entries] == [beat_tag("d", 1)]
    (told,) = a.roll.read(answer, 100.0)
    assert (told.tag, told.counter, told.raised_at) == (beat_tag("d", 1), 7, 99.5)


@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)))
def test_whatever_either_has_heard_the_caller_then_has_what_both_have_though_tags_do_not_travel(
    mine: set[int], theirs: set[int]
) -> None:
    all_of_them = names(40)
    a, b = Side("a", "b", *all_of_them), Side("b", "a", *all_of_them)
    a.hears(*[all_of_them[i] for i in mine])
    b.hears(*[all_of_them[i] for i in theirs])
    call = a.roll.call(100.0)
    assert call is not None
    for answer in answers(b.roll.answer(call, 100.0)):
        packet = decode_packet(encode_packet(Packet("b", 1, 1, 0.0, 1, (answer,))))
        (sent,) = packet.messages
        assert isinstance(sent, RollAnswer)
        a.beats.merge(Beats(a.roll.read(sent, 100.0), sent.at), "b", 100.0, "udp")
    assert {name for name in all_of_them if a.record(name).beat} == {all_of_them[i] for i in mine | theirs}


def test_who_has_enough_that_is_lacked_is_called_in_turn_once() -> None:
    some = names(RETURN + 1)
    a, b = Side("a", "b", *some), Side("b", "a", *some)
    a.hears(*some[:RETURN])
    b.hears("a", some[RETURN])
    call = a.roll.call(100.0)
    assert call is not None
    answer, again = b.roll.answer(call, 100.0)
    assert isinstance(again, RollCall)
    assert again.returned
    assert answers(a.roll.answer(again, 100.0))[0].entries
    assert not [said for said in a.roll.answer(again, 100.0) if isinstance(said, RollCall)]
    assert not [said for said in b.roll.answer(msgspec.structs.replace(call, returned=True), 100.0) if said == again]
    assert isinstance(answer, RollAnswer)


def test_a_call_in_turn_that_takes_two_datagrams_needs_more() -> None:
    some = names(ALONE)
    a, b = Side("a", "b", *some), Side("b", "a", *some)
    b.hears("a")
    a.hears(*some[: ALONE - 1])
    call = a.roll.call(100.0)
    assert call is not None
    assert b.roll.answer(call, 100.0) == []
    a.hears(*some)
    again = a.roll.call(100.0)
    assert again is not None
    assert [type(said) for said in b.roll.answer(again, 100.0)] == [RollCall]


def test_where_two_know_different_members_nothing_is_read_into_the_bits_and_heartbeats_are_rumors_again() -> None:
    a, b = Side("a", "b", "c"), Side("b", "a", "c", "newcomer")
    b.hears("c")
    call = a.roll.call(100.0)
    assert call is not None
    (answer,) = b.roll.answer(call, 100.0)
    assert isinstance(answer, RollAnswer)
    assert answer.entries == ()
    assert not a.beats.is_at_odds(100.0)
    assert a.roll.read(answer, 100.0) == ()
    for side in (a, b):
        assert side.beats.is_at_odds(100.0)
        assert side.beats.is_at_odds(100.0 + LAN.heartbeat - 0.01)
        assert not side.beats.is_at_odds(100.0 + LAN.heartbeat)
    a.hears("c", at=100.0)
    assert a.beats.round_is_needed(100.0)


def test_a_difference_that_stays_is_looked_into_ever_less_often_and_at_once_after_the_next_change() -> None:
    a, b = Side("a", "b", "c"), Side("b", "a", "c", "newcomer")
    b.roll.call(100.0)
    call = a.roll.call(100.0)
    assert call is not None
    times = [at / 10 for at in range(1_000, 3_000) if b.roll.takes_up(call, at / 10)]
    assert times[0] == 100.0 + SETTLED
    pauses = [round(later - time, 1) for time, later in pairwise(times)]
    assert pauses == [min(2 ** (i + 1) * SETTLED, LAN.push_pull_interval) for i in range(len(pauses))]
    b.roster.add(Alive("another", 1, 0, INFO), 300.0)
    again = [at / 10 for at in range(3_000, 3_100) if b.roll.takes_up(call, at / 10)]
    assert again == [300.0 + SETTLED, 300.0 + 3 * SETTLED]


def test_where_two_mean_the_same_members_there_is_nothing_to_look_into() -> None:
    a, b = Side("a", "b", "c"), Side("b", "a", "c")
    b.roll.call(0.0)
    call = a.roll.call(100.0)
    assert call is not None
    assert not b.roll.takes_up(call, 100.0)


@pytest.mark.parametrize("seed", range(3))
def test_who_missed_a_rumor_is_told_within_seconds_by_whom_calls_its_roll(seed: int) -> None:
    world = World(12, seed=seed)
    world.run(50)
    member = world.hosts["n3"].member
    record = member.roster.get(NodeName("n7"))
    assert record is not None
    world.run(1)
    member.roster.remove(record)
    world.run(SETTLED + LAN.beat_interval)
    assert member.roster.get(NodeName("n7")) is not None


def test_who_is_gone_is_in_nobodys_order_and_who_is_silent_is() -> None:
    a, b = Side("a", "b", "c", "d"), Side("b", "a", "c")
    a.roster.judged(a.record("d"), Verdict(Presence.DOWN))
    a.roster.judged(a.record("c"), Verdict(Presence.UNREACHABLE))
    b.hears("c")
    call = a.roll.call(100.0)
    assert call is not None
    assert [len(said.entries) for said in answers(b.roll.answer(call, 100.0))] == [1]
    a.roster.judged(a.record("d"), Verdict(Presence.FRESH))
    call = a.roll.call(100.0)
    assert call is not None
    assert [len(said.entries) for said in answers(b.roll.answer(call, 100.0))] == [0]


def test_a_heartbeat_is_pushed_for_the_first_steps_of_its_way_only() -> None:
    me = Side("a", "b", "c")
    me.beats.hear(me.record("b"), 1, 0.1, 50.0, None, "udp")
    me.beats.hear(me.record("c"), 1, 1.0, 50.0, None, "udp")
    taken = me.beats.take(1_000, 50.1)
    assert taken is not None
    assert [beat.tag for beat in taken.entries] == [beat_tag("b", 1)]
    assert me.beats.take(1_000, 51.0) is None
    assert not me.beats.are_hot


@pytest.mark.parametrize("places", [[], [0], list(range(500)), list(range(0, 9_000, 97)), list(range(9_000))])
def test_answers_are_bounded_and_in_order(places: list[int]) -> None:
    stretches = _stretches(places)
    assert len(stretches) <= ANSWERS
    assert all(len(stretch) <= ENTRIES and stretch[-1] - (stretch[0] & ~7) < SPAN for stretch in stretches)
    told = [place for stretch in stretches for place in stretch]
    assert told == places[: len(told)]
    assert told == places or len(stretches) == ANSWERS


@pytest.mark.parametrize("seed", range(2))
def test_each_heartbeat_of_an_idle_fleet_arrives_about_once(seed: int) -> None:
    world = World(24, seed=seed)
    world.run(40)
    told, raised = world.beats_told, raised_in(world)
    world.run(50)
    told, raised = world.beats_told - told, raised_in(world) - raised
    assert told < 1.2 * 23 * raised  # passed on by everybody to three others it is 2.7
    assert world.all_fresh()


def raised_in(world: World) -> int:
    return sum(host.member.beats.counter for host in world.hosts.values())


def test_the_column_of_the_order_has_what_the_records_have() -> None:
    world = World(5, seed=3)
    world.run(12)
    world.kill("n4")
    world.run(30)
    for host in world.hosts.values():
        member = host.member
        member.roll.call(member.heard_until)
        placed = [record for record in member.roster if record.roll_place >= 0]
        assert {record.roll_place for record in placed} < set(range(len(member.beats.raised) - 1)), "and one is mine"
        assert [record.name for record in member.roster if record.roll_place < 0] == [
            record.name for record in member.roster if record.is_gone
        ]
        assert all(member.beats.raised[record.roll_place] == record.beat_at for record in placed)


def test_a_heartbeat_of_who_has_no_place_in_the_order_moves_nobody_elses() -> None:
    side = Side("me", "a", "b")
    assert side.roll.call(100.0) is not None
    side.roster.judged(side.record("a"), Verdict(Presence.LEFT))
    assert side.roll.call(100.0) is not None
    raised = list(side.beats.raised)[:-1]
    side.hears("a")
    assert list(side.beats.raised)[:-1] == raised
