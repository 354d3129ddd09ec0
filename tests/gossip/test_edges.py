"""What arrives at the wrong time, from the wrong sender, or makes no sense: counted, and of no consequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.names import Address, AgentId, Epoch, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Snapshot
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip import limits
from meshfleet.gossip.events import Arrived
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Connect,
    Delta,
    Digest,
    Goodbye,
    Have,
    Left,
    Message,
    Nack,
    NodeInfo,
    Obituary,
    Packet,
    Ping,
    PingReq,
    SnapshotMessage,
    StreamEnd,
    Suspect,
    Sync,
    Trouble,
    Via,
    Want,
)
from meshfleet.gossip.orders import DropStream, KeepStream, SendPacket, TryConnect
from meshfleet.gossip.spread import PATIENCE
from tests.gossip.test_stories import ever_said, fleet

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member
    from tests.gossip.world import World

LAN = PRESETS["lan"]
HERE = Address("10.0.0.1", 7878)


def tell(
    world: World, reader: str, *messages: Message, sender: str = "n1", epoch: int = 1, via: Via = Via.DATAGRAM
) -> list[Message]:
    """Give `reader` a packet from `sender`; what it answers."""
    member = world.hosts[reader].member
    list(member.outgoing(world.now))
    member.receive(Packet(sender, epoch, 0, 0.0, 0, messages), HERE, via, world.now)
    return [m for out in member.outgoing(world.now) if isinstance(out, SendPacket) for m in out.messages]


def member(world: World, name: str = "n0") -> Member:
    return world.hosts[name].member


def test_a_ping_for_somebody_else_is_not_answered_in_its_place() -> None:
    world = fleet(3)
    assert not any(isinstance(m, Ack) for m in tell(world, "n0", Ping(1, "n2")))
    assert member(world).counts["ping_for_another"] == 1


def test_a_ping_is_answered_the_way_it_came() -> None:
    world = fleet(3)
    n0 = member(world)
    list(n0.outgoing(world.now))
    for via in Via:
        n0.receive(Packet("n1", 1, 0, 0.0, 0, (Ping(7, "n0"),)), HERE, via, world.now)
        (out,) = [o for o in n0.outgoing(world.now) if isinstance(o, SendPacket)]
        # What came through a relay is answered by datagram: a translator lets its own side's packets out.
        back = Via.DATAGRAM if via is Via.RELAY else via
        assert (out.via, out.messages[0]) == (back, Ack(7, "n0", 1))


@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (Ack(999, "n1", 1), "stray_ack"),
        (Nack(999, "n2", 1, Trouble.SILENT), "stray_nack"),
        (PingReq(5, "nobody", 0.4), "refused_relay"),
    ],
)
def test_answers_to_nothing_are_counted(message: Message, counter: str) -> None:
    world = fleet(3)
    tell(world, "n0", message)
    assert member(world).counts[counter] == 1


def test_a_helper_that_knows_no_such_member_says_so_at_once() -> None:
    world = fleet(3)
    assert Nack(5, "nobody", 0, Trouble.NO_ROUTE) in tell(world, "n0", PingReq(5, "nobody", 0.4))


def test_a_helper_answers_either_way_in_time() -> None:
    world = fleet(4)
    world.kill("n3")
    asked = tell(world, "n0", PingReq(5, "n3", 0.4))
    assert any(isinstance(m, Ping) and m.target == "n3" for m in asked)
    world.run(0.3)
    nacks: list[Message] = []
    for _ in range(20):
        world.now += 0.01
        member(world).handle_timer(world.now)
        nacks += [m for out in member(world).outgoing(world.now) if isinstance(out, SendPacket) for m in out.messages]
    assert any(isinstance(m, Nack) and (m.seq, m.subject) == (5, "n3") for m in nacks)


def test_an_ack_that_a_stranger_to_the_ping_sends_is_not_passed_on() -> None:
    world = fleet(4)
    asked = tell(world, "n0", PingReq(5, "n3", 0.4))
    seq = next(m.seq for m in asked if isinstance(m, Ping))
    assert tell(world, "n0", Ack(seq, "n3", 1), sender="n2") == []
    assert Ack(5, "n3", 1) in tell(world, "n0", Ack(seq, "n3", 1), sender="n3")


def test_relays_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet(4)
    monkeypatch.setattr("meshfleet.gossip.prober.PENDING_RELAYS", 2)
    answers = [tell(world, "n0", PingReq(i, "n3", 0.4)) for i in range(3)]
    assert [any(isinstance(m, Nack) for m in a) for a in answers] == [False, False, True]


def test_blocked_datagrams_one_way_are_no_death_because_streams_pass() -> None:
    world = fleet(4)
    world.udp_blocked.add("n3")
    world.run(60)
    assert ever_said(world, "n3") <= {Presence.FRESH, Presence.STALE}
    assert world.record("n0", "n3").transport == "stream"


def test_a_packet_in_my_own_name_is_dropped() -> None:
    world = fleet(3)
    assert tell(world, "n0", Ping(1, "n0"), sender="n0", epoch=9) == []
    assert member(world).counts["own_name"] == 1


@pytest.mark.parametrize("claim", [Suspect("n0", 5, 0, "n1"), Obituary("n0", 5, 0, "n1", "x"), Left("n0", 5, "n1")])
def test_what_is_said_of_a_later_life_of_mine_is_not_mine_to_answer(claim: Message) -> None:
    world = fleet(3)
    before = member(world).membership.me
    tell(world, "n0", claim)
    assert member(world).membership.me == before


def test_old_accusations_are_answered_with_my_newer_word_and_raise_nothing() -> None:
    world = fleet(3)
    member(world).membership.announce()
    now = member(world).membership.me
    assert now in tell(world, "n0", Suspect("n0", 1, 0, "n1"))
    assert member(world).membership.me == now


def test_a_forged_incarnation_does_not_leave_me_without_numbers() -> None:
    world = fleet(3)
    tell(world, "n0", Suspect("n0", 1, limits.INCARNATION_LEAP + 1, "n1"))
    assert member(world).counts["forged_incarnation"] == 1
    assert member(world).membership.me.incarnation == 0


def test_my_own_word_that_comes_back_changes_nothing_but_one_that_i_never_said_is_outbid() -> None:
    world = fleet(3)
    me = member(world).membership.me
    tell(world, "n0", me)
    assert member(world).membership.me == me
    tell(world, "n0", Alive("n0", 1, 4, me.info))
    assert member(world).membership.me.incarnation == 5


def test_who_is_leaving_refutes_nothing_and_suspects_nobody() -> None:
    world = fleet(3)
    world.do("n0", lambda m: m.leave(world.now))
    tell(world, "n0", Suspect("n0", 1, 0, "n1"), Left("n0", 1, "n1", "forgotten"))
    assert member(world).membership.me.incarnation == 0
    assert member(world).epoch == 1


def test_who_tells_old_news_is_told_the_newer() -> None:
    world = fleet(4)
    n3 = member(world, "n3")
    n3.membership.announce()
    world.run(5)
    newer = n3.membership.me
    old = Alive("n3", 1, 0, newer.info)
    assert newer in tell(world, "n0", old)
    assert newer in tell(world, "n0", Suspect("n3", 1, 0, "n1"))
    assert newer not in tell(world, "n0", newer)
    world.do("n3", lambda m: m.leave(world.now))
    world.run(2)
    assert Left("n3", 1, "n3") in tell(world, "n0", newer)
    assert tell(world, "n0", Left("nobody", 1, "n1"), Left("nobody", 1, "n1")) == []


def test_who_suspects_the_dead_is_told_the_proof() -> None:
    world = fleet(4)
    proof, doubt = Obituary("n3", 1, 0, "n2", "seen"), Suspect("n3", 1, 0, "n1")
    assert proof not in tell(world, "n0", doubt)
    tell(world, "n0", proof, sender="n2")
    assert proof in tell(world, "n0", doubt)
    assert proof not in tell(world, "n0", doubt, sender="n2"), "n2 only passes the doubt on"


def test_snapshots_of_who_was_never_introduced_are_not_held() -> None:
    world = fleet(3)
    stray = Snapshot(NodeName("nobody"), Epoch(1), 1, 0, 0, AgentId("a"), b"x")
    tell(world, "n0", SnapshotMessage(stray), Delta("nobody", 1, 0, 1, (stray,)), Digest((Have("nobody", 1, 9),)))
    assert member(world).replica.shelf("nobody") is None
    assert not any(isinstance(e, Arrived) for e in member(world).events())


def test_a_digest_is_answered_with_what_either_side_lacks() -> None:
    world = fleet(3)
    world.publish("n0", "n0/a", b"x")
    answers = tell(world, "n0", Digest((Have("n0", 1, 0), Have("n2", 1, 7))))
    assert [m.node for m in answers if isinstance(m, Delta)] == ["n0"]
    assert [m for m in answers if isinstance(m, Want)] == []  # it may be on its way
    member = world.hosts["n0"].member
    assert member.spread.pause(world.now) == LAN.digest_interval
    world.now += PATIENCE
    member.handle_timer(world.now)
    packets = [out for out in member.outgoing(world.now) if isinstance(out, SendPacket)]
    wants = [m.entries for packet in packets for m in packet.messages if isinstance(m, Want)]
    assert wants == [(Have("n2", 1, 0),)]
    assert member.spread.pause(world.now) < LAN.digest_interval  # something was lost: more will be
    assert member.spread.pause(world.now + 60) == LAN.digest_interval
    assert [
        m.upto for m in tell(world, "n0", Want((Have("n0", 1, 0), Have("nobody", 1, 0)))) if isinstance(m, Delta)
    ] == [1]


def test_a_delta_too_large_for_a_frame_comes_in_parts_that_add_up() -> None:
    world = fleet(2)
    world.cut(["n0"], ["n1"])
    for i in range(40):
        world.publish("n0", f"n0/a{i}", bytes(3_900))
    answers = [m for m in tell(world, "n0", Want((Have("n0", 1, 0),)), via=Via.STREAM) if isinstance(m, Delta)]
    assert len(answers) > 3
    assert [a.after for a in answers] == [0, *[a.upto for a in answers[:-1]]]
    assert sum(len(a.snapshots) for a in answers) == 40
    world.heal()
    world.run(40)
    assert all(world.body("n1", "n0", f"n0/a{i}") is not None for i in range(40))


def test_a_push_pull_of_a_large_fleet_comes_in_frames_and_only_the_first_asks_back() -> None:
    world = fleet(2)
    n0 = member(world)
    for i in range(400):
        n0.roster.add(
            Alive(f"m{i}", 1, 0, NodeInfo(f"h{i}", f"10.1.{i // 250}.{i % 250}", 1)), n0.listening.at(world.now)
        )
    frames = n0.membership.everything(n0.listening.at(world.now), reply=True)
    assert [f.reply for f in frames] == [True] + [False] * (len(frames) - 1)
    assert sum(len(f.claims) for f in frames) == 402
    assert len(frames) == 4


def test_who_asks_for_everything_is_not_told_back_what_it_just_told() -> None:
    world = fleet(4)
    n0, n1 = member(world), world.hosts["n1"].member
    asked = n1.membership.everything(n1.listening.at(world.now), reply=True)[0]
    older = msgspec.structs.replace(asked, claims=asked.claims[1:])
    for ask, names in ((asked, set()), (older, {"n1"})):
        answer = n0.membership.everything(n0.listening.at(world.now), reply=False, but=ask.claims)
        assert {claim.name for frame in answer for claim in frame.claims} == names


def test_a_goodbye_of_a_stream_and_an_empty_sync_change_nothing() -> None:
    world = fleet(3)
    changes = member(world).changes
    tell(world, "n0", Goodbye(), Sync((), Beats(()), Digest(()), reply=True), via=Via.STREAM)
    assert member(world).changes == changes


def test_what_kernels_say_of_strangers_is_ignored() -> None:
    world = fleet(3)
    n0, nobody = member(world), NodeName("nobody")
    n0.stream_up(nobody, world.now)
    n0.stream_ended(nobody, StreamEnd.EOF, world.now)
    n0.stream_failed(nobody, Connect.REFUSED, world.now)
    n0.stream_acknowledged(nobody, 1.0, world.now)
    n0.connect_answered(nobody, 1, Connect.REFUSED, world.now)
    n0.connect_answered(NodeName("n1"), 0, Connect.REFUSED, world.now)
    n0.witnessed_end(nobody, 1, world.now)
    assert n0.roster.get("nobody") is None
    assert not world.record("n0", "n1").refusals


def test_own_errors_are_mine_and_other_answers_the_peer_s() -> None:
    world = fleet(3)
    n0 = member(world)
    n0.connect_answered(NodeName("n1"), 1, Connect.OWN_ERROR, world.now)
    n0.connect_answered(NodeName("n1"), 1, Connect.NO_ROUTE, world.now)
    n0.connect_answered(NodeName("n1"), 1, Connect.SILENT, world.now)
    kinds = {f.kind.value for f in world.record("n0", "n1").facts}
    assert n0.counts["own_send_error"] == 1
    assert "no route" in kinds
    assert "refused" not in kinds


def test_a_stream_that_could_not_be_opened_gives_its_place_to_another() -> None:
    world = fleet(6)
    n0 = member(world)
    chosen = set(n0.neighbours._chosen)
    lost = next(iter(sorted(chosen)))
    n0.stream_failed(lost, Connect.SILENT, world.now)
    assert lost not in n0.neighbours._chosen
    list(n0.outgoing(world.now))
    n0.neighbours.review()
    kept = [o for o in n0.outgoing(world.now) if isinstance(o, KeepStream)]
    assert len(kept) == 1
    assert len(n0.neighbours._chosen) == 3


def test_neighbours_that_are_gone_are_let_go() -> None:
    world = fleet(6)
    n0 = member(world)
    name = next(iter(sorted(n0.neighbours._chosen)))
    world.hosts[name].running = False
    world.do("n0", lambda m: m.witnessed_end(name, 1, world.now))
    n0.neighbours.review()
    assert DropStream(name) in list(n0.outgoing(world.now))


def test_a_fleet_that_shrinks_needs_fewer_streams_and_lets_the_rest_go() -> None:
    world = fleet(20)
    n0 = member(world)
    n0.neighbours.review()
    assert len(n0.neighbours._chosen) == 5
    for record in list(n0.roster)[5:]:
        if record.name not in n0.neighbours._chosen:
            n0.roster.remove(record)
    n0.neighbours.review()
    assert len(n0.neighbours._chosen) == 3


def test_knocks_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet(3)
    monkeypatch.setattr("meshfleet.gossip.outbox.CONNECTS", 1)
    n0 = member(world)
    list(n0.outgoing(world.now))
    record = n0.roster.get("n1")
    assert record is not None
    n0.neighbours.knock(record)
    n0.neighbours.knock(record)
    assert len([o for o in n0.outgoing(world.now) if isinstance(o, TryConnect)]) == 1
    assert n0.counts["refused_connect"] == 1


def test_events_that_nobody_fetches_are_bounded() -> None:
    world = fleet(2)
    n0 = member(world)
    for i in range(limits.EVENTS + 5):
        n0.emit(Arrived(Snapshot(NodeName("n1"), Epoch(1), i, 0, 0, AgentId("a"), b"x")))
    assert len(list(n0.events())) == limits.EVENTS
    assert n0.counts["dropped_event"] == 5


def test_an_early_call_of_the_timer_does_nothing() -> None:
    world = fleet(2)
    n0 = member(world)
    list(n0.outgoing(world.now))
    n0.handle_timer(n0.next_timer() - 0.001)
    assert list(n0.outgoing(world.now)) == []


def test_only_introduced_members_claims_are_told_and_all_that_stands() -> None:
    world = fleet(3)
    n0 = member(world)
    tell(world, "n0", Suspect("stranger", 1, 0, "n1"))
    assert "stranger" not in {record.name for record in n0.roster}


def test_a_silence_that_is_too_short_for_its_suspicion_is_not_yet_death() -> None:
    world = fleet(5)
    world.power_off("n3")
    world.run(19)
    n0 = member(world)
    record = n0.roster.get("n3")
    assert record is not None
    confirmed, could, expired = n0.judging._suspicion(record, n0.listening.at(world.now))
    assert confirmed >= 3
    assert could == 4
    assert expired
