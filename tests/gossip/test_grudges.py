"""What one liar, one host full of nodes, or what is long past can not do to the verdict on somebody else."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip import limits
from meshfleet.gossip.messages import (
    Alive,
    Connect,
    Left,
    Obituary,
    Packet,
    PingReq,
    RollCall,
    Sum,
    Suspect,
    Via,
)
from meshfleet.gossip.orders import SendPacket, TryConnect
from meshfleet.gossip.rollcall import SETTLED
from tests.gossip.test_edges import member, tell
from tests.gossip.test_stories import ever_said, fleet
from tests.gossip.world import World

LAN = PRESETS["lan"]
PRESUMED = LAN.presumed_after + LAN.group_hold + 60.0
"""Seconds after which any silence has been presumed a death."""


@pytest.mark.parametrize(
    "lie", [Suspect("n4", 1, 7, "n1"), Suspect("n4", 99, 0, "n1"), Obituary("n4", 1, 7, "n1", "x")]
)
def test_an_accusation_of_a_word_that_was_never_said_saves_nobody_from_being_presumed(lie: Suspect | Obituary) -> None:
    world = fleet(7)
    world.power_off("n4")
    world.run(2.0)
    for name in ("n0", "n2", "n3", "n5", "n6"):
        tell(world, name, lie)
        assert member(world, name).counts["accused_ahead"] == 1
    world.run(PRESUMED)
    assert world.says("n0", "n2", "n3", "n5", "n6", of="n4") == {Presence.DOWN}


def test_a_host_full_of_nodes_hides_no_other_that_confirms() -> None:
    world = World(0, seed=2)
    crowd = limits.ACCUSERS + 2
    for i in range(crowd):
        world.start(f"a{i:02}", join="a00" if i else None, host="a")
    for name in ("b", "c", "d", "victim"):
        world.start(name, join="a00", host=name)
    world.run(30)
    world.power_off("victim")
    world.run(PRESUMED)
    assert world.says("a00", "b", "c", "d", of="victim") == {Presence.DOWN}


def test_hosts_that_died_long_ago_are_no_side_of_a_fleet_whose_others_go_home() -> None:
    world = fleet(9)
    for name in ("n6", "n7", "n8"):
        world.power_off(name)
    world.run(PRESUMED)
    assert member(world, "n0").standing.standing is Standing.SPLIT
    assert world.says("n0", "n1", "n2", of="n7") == {Presence.DOWN}
    for name in ("n3", "n4", "n5"):
        world.do(name, lambda m: m.leave(world.now))
        world.hosts[name].running = False
    world.run(20.0)
    assert not member(world, "n0").standing.standing.is_cut_off
    assert world.says("n0", "n1", "n2", of="n7") == {Presence.DOWN}
    world.run(6 * LAN.group_hold)
    assert member(world, "n0").standing.standing is Standing.CONNECTED
    world.power_off("n2")
    world.run(PRESUMED)
    assert world.says("n0", "n1", of="n2") == {Presence.DOWN}


def test_newcomers_keep_no_tombstone_alive() -> None:
    timing = msgspec.structs.replace(LAN, tombstone=300.0)
    world = World(4, timing=timing, seed=3)
    world.run(20.0)
    world.kill("n3")
    for i in range(6):
        world.run(130.0)
        world.start(f"late{i}", join="n0")
    world.run(20.0)
    known = {name for name, host in world.hosts.items() if host.running and NodeName("n3") in host.member.roster}
    assert known == set()


def test_who_is_said_to_be_forgotten_over_and_over_begins_one_life_in_t() -> None:
    world = fleet(4)
    for _ in range(20):
        tell(world, "n2", Left("n2", member(world, "n2").epoch, "n1", "forgotten"))
    assert member(world, "n2").epoch == 2
    assert member(world, "n2").counts["forgotten_again"] == 19
    world.run(LAN.heartbeat)
    tell(world, "n2", Left("n2", 2, "n1", "forgotten"))
    assert member(world, "n2").epoch == 3


def test_the_moment_of_an_obituary_that_was_refuted_is_no_veto_against_the_next() -> None:
    world = fleet(6)
    tell(world, "n0", Obituary("n4", 1, 0, "n1", "seen"))
    world.run(30.0)
    refuted = world.record("n0", "n4")
    assert refuted.known.number == (1, 1)
    assert refuted.obituary_at is None
    assert ever_said(world, "n4") <= {Presence.FRESH}


def test_requests_to_ping_open_no_more_sockets_than_the_bound() -> None:
    world = fleet(4)
    n0, asked = member(world, "n0"), 0
    for i in range(60):
        tell(world, "n0", *[PingReq(i * 10 + j, "n2", 0.0) for j in range(10)])
        n0.handle_timer(world.now)
        asked += sum(isinstance(order, TryConnect) for order in n0.outgoing(world.now))
    assert asked == 0, "who gives no time is told at once, and nobody's kernel is asked"
    tell(world, "n0", *[PingReq(i, "n2", 1.0) for i in range(limits.CONNECTS + 50)])
    n0.handle_timer(world.now + 0.6)
    opened = [order for order in n0.outgoing(world.now) if isinstance(order, TryConnect)]
    assert len(opened) == limits.CONNECTS
    assert n0.counts["refused_connect"] == 50
    for order in opened:
        n0.connect_answered(NodeName(order.to), order.epoch, Connect.SILENT, world.now + 1.0)
    assert n0.outbox.connecting == 0


def test_no_route_outlives_an_accept() -> None:
    world = fleet(3)
    n0, record = member(world, "n0"), world.record("n0", "n2")
    n0.connect_answered(record.name, record.epoch, Connect.ACCEPTED, world.now)
    assert record.unanswered_since is None
    n0.connect_answered(record.name, record.epoch, Connect.NO_ROUTE, world.now + 1.0)
    assert record.unanswered_since is not None


def test_a_duty_that_raises_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet(3)
    n0 = member(world, "n0")

    def fails(_at: float) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(n0.beats, "raise_mine", fails)
    monkeypatch.setattr(n0.spread, "send_digest", lambda *_: fails(0.0))
    before, failed = len(n0.timers), 0
    for i in range(400):
        try:
            n0.handle_timer(world.now + i / 20)
        except ValueError:
            failed += 1
    assert failed
    assert len(n0.timers) >= before - 5
    monkeypatch.undo()
    counter = n0.beats.counter
    n0.handle_timer(world.now + 30.0)
    assert n0.beats.counter > counter


@pytest.mark.parametrize("reached", [True, False])
def test_of_one_behind_others_nothing_is_compared_but_over_its_own_stream(reached: bool) -> None:
    world = fleet(4)
    n0, record = member(world, "n0"), world.record("n0", "n2")
    record.known.add(Alive("n2", 1, 5, msgspec.structs.replace(record.info, relays=("n1", "n3"))))
    record.reread()
    record.has_stream = reached
    n0.roll.call(n0.heard_until)
    n0.listening.at(world.now + SETTLED)
    later = world.now + SETTLED + 0.1
    call = RollCall(b"else", b"")
    n0.receive(Packet("n2", 1, 0, 0.0, 0, (call,)), record.address, Via.DATAGRAM, later)
    n0.handle_timer(later)
    sent = [out for out in n0.outgoing(later) if isinstance(out, SendPacket) and out.to == "n2"]
    assert any(isinstance(message, Sum) for out in sent for message in out.messages) is reached


def standing(world: World) -> Standing:
    return member(world, "n0").standing.standing


def test_in_a_fleet_of_two_a_peer_that_hangs_isolates_nobody() -> None:
    world = fleet(2)
    world.pause("n1")
    world.run(40.0)
    assert standing(world) is Standing.CONNECTED
    verdict = world.record("n0", "n1").verdict
    assert verdict.presence is Presence.UNREACHABLE
    assert "its process is there and does not answer" in verdict.reasons[0]
    world.power_off("n1")
    world.run(2 * PRESUMED)
    assert standing(world) is Standing.ISOLATED


def test_who_remembers_others_and_meets_nobody_is_cut_off_until_somebody_is_met() -> None:
    world = World(1, seed=5)
    n0 = member(world, "n0")
    world.run(30.0)
    assert standing(world) is Standing.CONNECTED, "a fleet of one"
    n0.remember(("n1", "n2"))
    world.run(1.0)
    assert standing(world) is Standing.ISOLATED
    assert n0.standing.reasons == ("of 2 remembered members none answers: n1, n2",)
    world.start("n1", join="n0")
    world.run(5.0)
    assert standing(world) is Standing.CONNECTED
    world.do("n1", lambda m: m.leave(world.now))
    world.hosts["n1"].running = False
    world.run(30.0)
    assert standing(world) is Standing.CONNECTED, "who was met said goodbye"


def test_a_packet_full_of_roll_calls_of_other_members_is_looked_into_as_often_as_it_is_answered() -> None:
    world = fleet(4)
    n0 = member(world, "n0")
    before = len(n0.timers)
    tell(world, "n0", *[RollCall(bytes([i % 256, i // 256, 1, 1]), b"") for i in range(1_000)])
    assert 0 < len(n0.timers) - before <= limits.ASKED
