"""Outages, told as stories in virtual time: what every observer must say, and must never say."""

from __future__ import annotations

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.events import Judged
from meshfleet.gossip.messages import Obituary, StreamEnd, Suspect, Via
from tests.gossip.world import World

T = PRESETS["lan"].heartbeat
FRESH, STALE, UNREACHABLE, DOWN, LEFT = Presence


def fleet(nodes: int = 5, seed: int = 1) -> World:
    """A fleet that has met and settled."""
    world = World(nodes, seed=seed)
    world.run(20)
    assert world.all_fresh()
    return world


def ever_said(world: World, of: str, *, since: float = 0.0) -> set[Presence]:
    """Everything that anybody came to say of `of`."""
    said = {
        e.verdict.presence for h in world.hosts.values() for e in h.events if isinstance(e, Judged) and e.name == of
    }
    return said


def standings(world: World, *names: str) -> set[Standing]:
    return {world.hosts[n].member.standing.standing for n in names}


def certainty(world: World, observer: str, of: str) -> Certainty | None:
    record = world.hosts[observer].member.roster.get(of)
    assert record is not None
    return record.verdict.certainty


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_node_is_proven_down_everywhere_within_a_second(seed: int) -> None:
    world = fleet(6, seed=seed)
    world.kill("n3")
    world.run(1.0)
    others = ("n0", "n1", "n2", "n4", "n5")
    assert world.says(*others, of="n3") == {DOWN}
    assert {certainty(world, o, "n3") for o in others} == {Certainty.PROVEN}
    world.run(60)
    assert world.says(*others, of="n3") == {DOWN}
    assert standings(world, *others) == {Standing.CONNECTED}


def test_of_two_nodes_the_killed_one_is_proven_down_too() -> None:
    world = fleet(2)
    world.kill("n1")
    world.run(1.0)
    assert (world.presence("n0", "n1"), certainty(world, "n0", "n1")) == (DOWN, Certainty.PROVEN)


@pytest.mark.parametrize("seed", range(3))
def test_a_stopped_process_is_never_down_and_blames_nobody_when_it_wakes(seed: int) -> None:
    world = fleet(seed=seed)
    world.pause("n4")
    world.run(120)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {UNREACHABLE}
    assert "does not answer" in world.record("n0", "n4").verdict.reasons[0]
    world.resume("n4")
    assert world.says("n4", of="n1") == {FRESH}
    assert standings(world, "n4") == {Standing.RESUMING}
    world.run(3)
    assert world.all_fresh()
    assert DOWN not in ever_said(world, "n4")
    assert all(DOWN not in ever_said(world, n) for n in ("n0", "n1", "n2", "n3"))
    world.run(T)
    assert standings(world, "n4") == {Standing.CONNECTED}


@pytest.mark.parametrize("seed", range(3))
def test_a_minority_knows_that_it_is_cut_off_and_nobody_is_called_down(seed: int) -> None:
    world = fleet(8, seed=seed)
    minority, majority = ["n0", "n1"], ["n2", "n3", "n4", "n5", "n6", "n7"]
    world.cut(minority, majority)
    world.run(15)
    assert standings(world, *minority) == {Standing.PARTITIONED}
    assert standings(world, *majority) == {Standing.SPLIT}
    world.run(45)
    assert world.says(*majority, of="n0") == {UNREACHABLE}
    assert world.says(*minority, of="n5") == {UNREACHABLE}
    assert world.says(*minority, of="n1") == {FRESH}
    world.heal()
    world.run(15)
    assert world.all_fresh()
    assert all(DOWN not in ever_said(world, n) for n in world.hosts)


def test_two_equal_halves_both_hold_back() -> None:
    world = fleet(6)
    world.cut(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    world.run(180)  # longer than group_hold
    assert standings(world, *world.hosts) == {Standing.PARTITIONED}
    world.heal()
    world.run(20)
    assert world.all_fresh()
    assert all(DOWN not in ever_said(world, n) for n in world.hosts)


def test_a_firewall_that_rejects_is_no_death() -> None:
    world = fleet(8)
    world.cut(["n0", "n1"], ["n2", "n3", "n4", "n5", "n6", "n7"], reject=True)
    world.run(60)
    assert all(DOWN not in ever_said(world, n) for n in world.hosts)
    world.heal()
    world.run(30)
    assert world.all_fresh()


def test_a_group_is_held_for_20_t_and_then_presumed_by_the_majority() -> None:
    world = fleet(8)
    world.cut(["n0", "n1"], ["n2", "n3", "n4", "n5", "n6", "n7"])
    world.run(20 * T)
    assert world.says("n2", "n7", of="n0") == {UNREACHABLE}
    world.run(3 * T)
    assert world.says("n2", "n7", of="n0") == {DOWN}
    assert certainty(world, "n2", "n0") is Certainty.PRESUMED
    assert world.says("n0", "n1", of="n5") == {UNREACHABLE}


def test_whoever_does_not_come_back_with_its_group_is_presumed_dead_alone() -> None:
    world = fleet(12)
    cut_off = ["n0", "n1", "n2", "n3"]
    world.cut(cut_off, [f"n{i}" for i in range(4, 12)])
    world.run(3 * T)
    world.power_off("n1")
    world.heal()
    world.run(5 * T)
    assert world.says("n5", "n6", "n7", of="n1") == {DOWN}
    assert world.says("n5", "n6", "n7", of="n0") == {FRESH}


def test_what_is_left_of_a_group_when_most_of_it_is_back_is_held_as_a_group() -> None:
    world = fleet(14)
    first, second = ["n0", "n1"], ["n2", "n3", "n4", "n5"]
    rest = [f"n{i}" for i in range(6, 14)]
    world.cut(first, [*second, *rest])
    before = set(world.cuts)
    world.cut(second, rest)
    world.run(4 * T)
    world.cuts = before
    world.run(13 * T)
    assert world.says(*rest, of="n2") == {FRESH}
    assert all(ever_said(world, name).isdisjoint({DOWN}) for name in first)


def test_a_dark_host_alone_is_presumed_down_after_3_t_and_not_before() -> None:
    world = fleet(8)
    world.power_off("n3")
    world.run(2.5 * T)
    others = [f"n{i}" for i in range(8) if i != 3]
    assert DOWN not in world.says(*others, of="n3")
    world.run(2 * T)
    assert world.says(*others, of="n3") == {DOWN}
    assert {certainty(world, o, "n3") for o in others} == {Certainty.PRESUMED}


def test_of_two_nodes_silence_is_never_called_death() -> None:
    world = fleet(2)
    world.power_off("n1")
    world.run(60 * T)
    assert world.says("n0", of="n1") == {UNREACHABLE}
    assert standings(world, "n0") == {Standing.ISOLATED}


def test_a_refuted_suspicion_never_becomes_a_death() -> None:
    world = fleet()
    for by in ("n1", "n2", "n3"):
        n0 = world.hosts["n0"].member
        claim = Suspect("n4", 1, 0, by)
        n0.membership.hear(claim, world.address(by), NodeName(by), n0.listening.at(world.now))
    world.run(60)
    assert ever_said(world, "n4") <= {FRESH}
    record = world.hosts["n0"].member.roster.get("n4")
    assert record is not None
    assert record.alive.incarnation == 1
    assert record.suspicion is None


def test_an_obituary_of_a_living_node_is_refuted_and_believed_by_nobody() -> None:
    world = fleet()
    lie = Obituary("n4", 1, 0, "n1", "I made this up")
    for reader in ("n0", "n2", "n3"):
        world.do(
            reader, lambda m: m.membership.hear(lie, world.address("n1"), NodeName("n1"), m.listening.at(world.now))
        )
    world.run(60)
    assert DOWN not in ever_said(world, "n4")
    record = world.hosts["n0"].member.roster.get("n4")
    assert record is not None
    assert not record.known.is_buried


def test_a_one_way_cut_is_no_death() -> None:
    world = fleet(6)
    world.cuts |= {("n0", "n1")}
    world.run(120)
    assert all(DOWN not in ever_said(world, n) for n in world.hosts)
    assert world.says("n2", "n3", "n4", "n5", of="n0") == {FRESH}


def test_a_link_that_is_cut_between_two_alone_leaves_both_fresh_by_way_of_others() -> None:
    world = fleet(6)
    world.cut(["n0"], ["n1"])
    world.run(60)
    assert world.says("n0", of="n1") == {FRESH}
    assert (world.record("n0", "n1").reach or "").startswith(("relay via", "indirect via"))


@pytest.mark.parametrize("seed", range(2))
def test_a_third_of_all_datagrams_may_be_lost(seed: int) -> None:
    world = World(16, seed=seed, loss=0.3)
    world.run(30)
    for i in range(12):
        world.publish(f"n{i % 16}", f"n{i % 16}/a", f"{i}".encode())
        world.run(10)
    world.run(5)
    assert all(DOWN not in ever_said(world, n) for n in world.hosts)
    assert all(world.body(o, f"n{i}", f"n{i}/a") == f"{i}".encode() for o in world.hosts for i in range(12))


def test_a_snapshot_too_large_for_a_datagram_arrives_everywhere() -> None:
    world = fleet()
    world.publish("n1", "n1/a", b"x" * 3_900)
    world.run(3)
    assert all(world.body(o, "n1", "n1/a") == b"x" * 3_900 for o in world.hosts)


def test_what_was_published_during_a_cut_is_everywhere_soon_after_it() -> None:
    world = fleet(8)
    world.cut(["n0", "n1"], ["n2", "n3", "n4", "n5", "n6", "n7"])
    world.run(40)
    world.publish("n0", "n0/a", b"this side")
    world.publish("n7", "n7/a", b"that side")
    world.run(5)
    assert world.body("n7", "n0", "n0/a") is None
    world.heal()
    world.run(20)
    assert all(world.body(o, "n0", "n0/a") == b"this side" for o in world.hosts)
    assert all(world.body(o, "n7", "n7/a") == b"that side" for o in world.hosts)


def test_64_nodes_that_join_at_once_see_each_other_within_seconds() -> None:
    world = World(64, seed=3)
    world.run(6)
    assert world.all_fresh()


def test_an_observer_whose_own_network_refuses_to_send_blames_nobody() -> None:
    world = fleet()
    world.cut(["n0"], ["n1", "n2", "n3", "n4"])
    for _ in range(40):
        world.do("n0", lambda m: m.send_refused(world.now))
        world.run(1)
    assert standings(world, "n0") == {Standing.ISOLATED}
    assert world.says("n0", of="n1") == {UNREACHABLE}
    claims = [c for record in world.hosts["n0"].member.roster for c in record.known.claims()]
    assert [c for c in claims if isinstance(c, Suspect) and c.by == "n0"] == []


def test_a_reset_stream_proves_nothing() -> None:
    world = fleet()
    for name in world.hosts:
        if name != "n3":
            world.do(name, lambda m: m.stream_ended(NodeName("n3"), StreamEnd.RESET, world.now))
    world.run(30)
    assert ever_said(world, "n3") <= {FRESH}


def test_a_witness_is_believed_at_once_and_by_all_who_are_refused() -> None:
    world = fleet()
    world.hosts["n3"].running = False  # dies without its streams telling anybody
    world.do("n1", lambda m: m.witnessed_end(NodeName("n3"), 1, world.now))
    assert world.says("n1", of="n3") == {DOWN}
    world.run(2)
    assert world.says("n0", "n2", "n4", of="n3") == {DOWN}
    assert certainty(world, "n0", "n3") is Certainty.PROVEN


def test_a_testimony_about_an_earlier_life_is_worth_nothing() -> None:
    world = fleet()
    world.do("n1", lambda m: m.witnessed_end(NodeName("n3"), 0, world.now))
    world.run(5)
    assert world.says("n0", "n1", of="n3") == {FRESH}


def test_a_machine_that_slept_begins_all_ages_anew() -> None:
    world = fleet()
    world.cut(["n0"], ["n1", "n2", "n3", "n4"])
    world.run(30)
    world.do("n0", lambda m: m.slept(world.now))
    assert standings(world, "n0") == {Standing.RESUMING}
    assert world.says("n0", of="n1") == {FRESH}


def test_a_kernel_that_acknowledged_just_before_its_power_went_is_not_believed_once_the_stream_was_given_up() -> None:
    world = fleet(5)
    world.power_off("n4")
    world.run(1)
    for name in ("n0", "n1", "n2", "n3"):
        world.hosts[name].member.stream_acknowledged(NodeName("n4"), 0.9, world.now)
    world.run(9)
    for name in ("n0", "n1", "n2", "n3"):
        world.hosts[name].member.stream_ended(NodeName("n4"), StreamEnd.RESET, world.now)
    world.run(30)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {Presence.DOWN}


@pytest.mark.parametrize("seed", range(3))
def test_who_comes_back_from_one_cut_buries_nobody_who_is_still_behind_another(seed: int) -> None:
    world = fleet(10, seed=seed)
    one, other, rest = ["n0", "n1"], ["n8", "n9"], [f"n{i}" for i in range(2, 8)]
    world.cut(one, [*rest, *other])
    world.run(2)
    world.cut(other, rest)
    world.run(48)
    world.cuts = {pair for pair in world.cuts if set(one) & set(pair)}
    world.run(4 * T)
    assert world.says(*other, of="n2") == {FRESH}
    assert DOWN not in ever_said(world, "n0") | ever_said(world, "n1")
    world.heal()
    world.run(4 * T)
    assert world.all_fresh()


@pytest.mark.parametrize("seed", range(3))
def test_of_a_group_that_comes_back_just_after_a_cut_of_ones_own_the_last_is_given_time_too(seed: int) -> None:
    world = fleet(10, seed=seed)
    one, other, rest = ["n0", "n1"], ["n8", "n9"], [f"n{i}" for i in range(2, 8)]
    world.cut(one, [*rest, *other])
    world.cut(["n0"], ["n1"])
    world.run(2)
    world.cut(other, rest)
    world.run(48)
    world.cuts = {pair for pair in world.cuts if set(one) & set(pair)}
    while standings(world, "n8") != {Standing.SPLIT}:
        world.run(0.5)
    world.run(1.5 * T)
    world.cuts = {pair for pair in world.cuts if "n0" in pair}
    while world.presence("n8", "n1") is not FRESH:
        world.run(0.5)
    world.run(1.5 * T)
    assert world.presence("n8", "n0") is UNREACHABLE
    world.run(T)
    assert world.presence("n8", "n0") is DOWN


@pytest.mark.parametrize("seed", range(3))
def test_who_comes_back_from_behind_a_cut_is_asked_for_those_that_do_not(seed: int) -> None:
    world = fleet(6, seed=seed)
    world.cut(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    world.run(3 * T)
    assert world.says("n0", "n1", "n2", of="n5") == {UNREACHABLE}
    world.power_off("n5")
    died = world.now
    world.heal()
    world.run(T)
    for observer in ("n0", "n1", "n2"):
        assert died - world.record(observer, "n5").beat_at <= T


def test_a_packet_that_was_on_its_way_does_not_bring_back_whose_end_was_seen() -> None:
    world = fleet(3)
    record, sender = world.record("n0", "n1"), world.hosts["n1"].member
    packet = sender.envelope((), world.now, 0)
    world.power_off("n1")
    world.do("n0", lambda m: m.witnessed_end(NodeName("n1"), record.epoch, world.now))
    world.run(T / 2)
    world.do("n0", lambda m: m.receive(packet, record.address, Via.DATAGRAM, world.now))
    world.run(T / 2)
    assert record.heard_at > world.now - T
    assert world.presence("n0", "n1") is DOWN
