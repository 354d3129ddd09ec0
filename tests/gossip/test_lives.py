"""Leaving, coming back, being forgotten, being two: the lives of a name."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import Epoch, NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.events import NameTaken, Renewed
from meshfleet.gossip.messages import Alive, Connect, Left, Obituary, Packet, StreamEnd, Via
from tests.gossip.test_stories import ever_said, fleet
from tests.gossip.world import World

T = PRESETS["lan"].heartbeat
FRESH, STALE, UNREACHABLE, DOWN, LEFT = Presence


def test_a_restarted_node_is_fresh_at_once_with_its_new_life() -> None:
    world = fleet()
    world.publish("n3", "n3/a", b"old life")
    world.run(2)
    world.kill("n3")
    world.run(5)
    assert world.body("n1", "n3", "n3/a") == b"old life"  # the last state stays, with its age
    world.start("n3", join="n0", epoch=2)
    world.run(3)
    assert world.all_fresh()
    world.publish("n3", "n3/b", b"new life")
    world.run(2)
    assert world.body("n1", "n3", "n3/b") == b"new life"
    assert world.body("n1", "n3", "n3/a") is None


def test_a_new_life_counts_no_silence_that_it_did_not_watch_itself() -> None:
    world = fleet()
    world.power_off("n4")
    world.kill("n3")
    world.run(20 * T)
    assert world.says("n0", "n1", "n2", of="n4") == {DOWN}
    world.start("n3", join="n0", epoch=2)
    world.run(3 * T)
    assert world.record("n3", "n4").verdict.reasons[0].startswith("known here for only")
    world.run(1.5 * T)
    assert world.presence("n3", "n4") is DOWN


def test_a_node_that_dies_again_in_its_next_life_is_proven_down_again() -> None:
    world = fleet()
    for epoch in (2, 3):
        world.kill("n3")
        world.run(2)
        assert world.says("n0", "n1", "n2", "n4", of="n3") == {DOWN}
        world.start("n3", join="n0", epoch=epoch)
        world.run(8)
        assert world.all_fresh()


def test_the_end_of_a_stream_with_the_last_life_says_nothing_of_the_next() -> None:
    world = fleet()
    n1, record = world.hosts["n1"].member, world.record("n1", "n3")
    n1.stream_up(record.name, world.now)
    world.kill("n3")
    world.run(0.5)
    world.start("n3", join="n0", epoch=2)
    world.run(2)
    assert (record.epoch, record.presence) == (2, FRESH)
    record.streamed = (
        1  # as it is for who was stopped meanwhile, and then heard of the next life before the stream's end
    )
    waits = 2 * n1.judging.waits_for_answer(record)
    world.hosts["n3"].running = False  # nor does it answer by datagram
    n1.stream_ended(record.name, StreamEnd.EOF, world.now)
    world.do("n1", lambda m: m.connect_answered(record.name, 2, Connect.REFUSED, world.now))
    world.run(waits)
    assert record.presence is FRESH
    n1.stream_up(record.name, world.now)
    n1.stream_ended(record.name, StreamEnd.EOF, world.now)
    world.do("n1", lambda m: m.connect_answered(record.name, 2, Connect.REFUSED, world.now))
    world.run(waits)
    assert record.presence is DOWN  # of this life's stream it proves it


def test_who_keeps_to_a_zone_takes_in_nobody_of_another() -> None:
    world = fleet()
    me = world.hosts["n0"].member
    me.keep_to("eu")
    here, there = (msgspec.structs.replace(world.record("n0", "n1").info, zone=zone) for zone in ("eu", "us"))
    for name, info in (("n8", here), ("n9", there)):
        alive = Alive(NodeName(name), Epoch(1), 0, info)
        me.receive(Packet("n1", 1, 0, 0.0, 0, (alive,)), world.record("n0", "n1").address, Via.DATAGRAM, world.now)
    assert ("n8" in me.roster, "n9" in me.roster) == (True, False)
    assert me.counts["other_zone"] == 1


def test_a_goodbye_is_left_everywhere_and_not_down() -> None:
    world = fleet()
    world.do("n2", lambda m: m.leave(world.now))
    world.run(1)
    world.hosts["n2"].running = False
    world.run(30)
    assert world.says("n0", "n1", "n3", "n4", of="n2") == {LEFT}
    assert ever_said(world, "n2") == {LEFT}


def test_who_left_comes_back_in_its_next_life() -> None:
    world = fleet()
    world.do("n2", lambda m: m.leave(world.now))
    world.run(1)
    world.hosts["n2"].running = False
    world.run(10)
    world.start("n2", join="n0", epoch=2)
    world.run(3)
    assert world.all_fresh()


def test_only_who_is_gone_can_be_forgotten() -> None:
    world = fleet()
    forgotten: list[bool] = []
    world.do("n0", lambda m: forgotten.append(m.forget(NodeName("n1"), world.now)))
    world.do("n0", lambda m: forgotten.append(m.forget(NodeName("nobody"), world.now)))
    world.kill("n1")
    world.run(2)
    world.do("n0", lambda m: forgotten.append(m.forget(NodeName("n1"), world.now)))
    world.run(5)
    assert forgotten == [False, False, True]
    assert world.says("n0", "n2", "n3", "n4", of="n1") == {LEFT}


def test_who_was_forgotten_while_it_lived_goes_on_as_a_later_life() -> None:
    world = fleet()
    world.publish("n1", "n1/a", b"still here")
    world.cut(["n1"], ["n0", "n2", "n3", "n4"])
    world.run(60)
    world.do("n0", lambda m: m.forget(NodeName("n1"), world.now))
    world.run(2)
    assert world.says("n0", "n2", of="n1") == {LEFT}
    world.heal()
    world.run(40)
    assert world.all_fresh()
    assert any(isinstance(e, Renewed) for e in world.hosts["n1"].events)
    assert world.body("n4", "n1", "n1/a") == b"still here"


def test_a_second_process_under_my_name_is_noticed_and_the_later_life_wins() -> None:
    world = fleet(4)
    first = world.hosts["n3"]
    world.hosts["n3 again"] = first  # the old one stays reachable in this world
    second = world.start("n3", join="n0", epoch=9)
    world.run(3)
    claim = second.member.membership.me
    first.member.membership.hear(claim, world.address("n0"), NodeName("n0"), 0.0)
    taken = [e for e in first.member.events() if isinstance(e, NameTaken)]
    assert [e.epoch for e in taken] == [9]
    assert world.record("n0", "n3").epoch == 9


def test_when_a_second_process_under_my_name_leaves_i_go_on_as_a_life_later_than_its() -> None:
    world = fleet(4)
    first = world.hosts["n3"]
    first.member.membership.hear(Left("n3", 9, "n0", "forgotten"), world.address("n0"), NodeName("n0"), world.now)
    assert first.member.epoch < 9  # anybody may say that
    first.member.membership.hear(Left("n3", 9, "n3"), world.address("n0"), NodeName("n0"), world.now)
    assert [e.epoch for e in first.member.events() if isinstance(e, Renewed)] == [10]
    world.run(5)
    assert world.all_fresh()
    assert world.record("n0", "n3").epoch == 10


def test_a_node_may_come_back_at_another_address() -> None:
    world = fleet()
    world.kill("n3")
    world.run(5)
    moved = world.start("n3", join="n0", epoch=2, index=77)
    world.run(3)
    assert world.all_fresh()
    record = world.hosts["n0"].member.roster.get("n3")
    assert record is not None
    assert record.address.host == "10.0.0.77" == world.address("n3").host
    assert moved.running


def test_packets_of_an_earlier_life_are_counted_and_dropped() -> None:
    world = fleet()
    old = world.hosts["n3"].member.envelope((Left("n3", 1, "n3"),), world.now, 0)
    world.kill("n3")
    world.run(1)
    world.start("n3", join="n0", epoch=2)
    world.run(3)
    world.do("n0", lambda m: m.receive(old, world.address("n3"), Via.DATAGRAM, world.now))
    assert world.hosts["n0"].member.counts["old_life"] == 1
    assert world.says("n0", of="n3") == {FRESH}


def test_tombstones_expire_and_their_agents_with_them() -> None:
    world = fleet(3, seed=2)
    world.publish("n2", "n2/a", b"x")
    world.run(1)
    world.kill("n2")
    world.run(5)
    for name in ("n0", "n1"):
        member = world.hosts[name].member
        record = member.roster.get("n2")
        assert record is not None
        record.judged_since -= PRESETS["lan"].tombstone
    world.run(130)
    assert world.presence("n0", "n2") is None
    assert world.body("n0", "n2", "n2/a") is None


def test_nothing_comes_of_a_probe_of_a_member_that_is_forgotten_meanwhile() -> None:
    world = fleet(5)
    world.power_off("n3")
    world.run(60)
    member, record = world.hosts["n1"].member, world.record("n1", "n3")
    assert record.is_gone
    for observer in ("n0", "n1", "n2", "n4"):
        known = world.record(observer, "n3")
        known.judged_since -= PRESETS["lan"].tombstone
        known.beat_at -= PRESETS["lan"].tombstone
    for other in ("n0", "n2", "n4"):  # or they tell of it anew
        world.do(other, lambda m: m.rounds._reap(world.now))
    world.do("n1", lambda m: m.prober.probe(record, world.now))
    assert [probing for probing in member.prober._rounds.values() if probing.record is record]
    world.do("n1", lambda m: m.rounds._reap(world.now))
    assert not [probing for probing in member.prober._rounds.values() if probing.record is record]
    world.hosts["n1"].events.clear()
    world.do("n1", lambda m: m.prober.probe(record, world.now))
    world.do("n1", lambda m: m.judging.judge(record, world.now))
    assert not [probing for probing in member.prober._rounds.values() if probing.record is record]
    world.run(10)
    assert "n3" not in member.roster
    assert not member.roster.doubted
    assert not [event for event in world.hosts["n1"].events if getattr(event, "name", "") == "n3"]


@pytest.mark.parametrize(("others", "asked"), [(1, 1), (2, 2), (5, 3)])
def test_who_hears_nobody_asks_up_to_three_at_a_time_and_nobody_twice_at_once(others: int, asked: int) -> None:
    world = fleet(others + 1)
    for i in range(others):
        world.power_off(f"n{i + 1}")
    world.run(30)
    member = world.hosts["n0"].member
    assert not member.roster.hopeful
    member.prober.abandon()
    world.do("n0", lambda m: m.prober._next_round(world.now))
    names = [probing.record.name for probing in member.prober._rounds.values()]
    assert (len(names), len({*names})) == (asked, asked)


def test_another_s_obituary_of_who_is_heard_is_a_cue_and_no_proof() -> None:
    world = fleet(4)
    said = Packet("n2", 1, 0, 0.0, 0, (Obituary("n1", 1, 0, "n2", "seen on the same machine"),))
    world.hosts["n0"].member.receive(said, world.address("n2"), Via.DATAGRAM, world.now)
    assert world.presence("n0", "n1") is Presence.FRESH
    world.run(20)
    assert all(world.presence(o, "n1") is Presence.FRESH for o in ("n0", "n2", "n3"))


def test_whose_end_was_seen_stays_dead_when_its_last_word_comes_late() -> None:
    """A refutation, said a moment before the death, on one machine, where nobody could confirm anything."""
    world = World(0)
    for name in ("n0", "n1", "n2", "n3"):
        world.start(name, join="n0" if name != "n0" else None, host="one")
    world.run(20)
    record = world.record("n1", "n3")
    last = msgspec.structs.replace(record.alive, incarnation=record.alive.incarnation + 1)
    world.hosts["n3"].running = False  # and no stream tells anybody
    world.do("n1", lambda m: m.witnessed_end(NodeName("n3"), 1, world.now))
    world.run(0.5)
    assert world.says("n0", "n1", "n2", of="n3") == {DOWN}
    for name in ("n0", "n1", "n2"):
        packet = Packet("n0" if name != "n0" else "n2", 1, 0, 0.0, 0, (last,))
        world.hosts[name].member.receive(packet, world.address("n2"), Via.DATAGRAM, world.now)
    assert world.presence("n1", "n3") is DOWN
    assert record.verdict.certainty is Certainty.PROVEN
    world.run(2)
    assert world.says("n0", "n1", "n2", of="n3") == {DOWN}
    assert [fact.kind for fact in record.facts].count(Kind.WITNESSED) == 2

    world.start("n3", join="n0", epoch=2, host="one")
    world.run(2)
    assert world.says("n0", "n1", "n2", of="n3") == {FRESH}
