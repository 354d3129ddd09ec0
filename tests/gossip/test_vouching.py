"""What is looked at, when, and what comes of a forgery: in the core, with a notary that counts."""

from __future__ import annotations

from collections import Counter
from functools import partial

import msgspec
import pytest

from meshfleet.fleet.names import Address, AgentId
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.limits import FORGERIES, FORGERIES_WITHIN, FORGERS
from meshfleet.gossip.member import Member
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beats,
    Delta,
    Digest,
    Left,
    Message,
    NodeInfo,
    Obituary,
    Packet,
    Ping,
    Revoked,
    Row,
    SnapshotMessage,
    Suspect,
    Sync,
    Via,
)
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.vouching import Vouching
from tests.gossip.signed import Signed, Stamps, shot


def test_in_an_honest_fleet_each_statement_is_looked_at_once_by_each_and_none_is_refused() -> None:
    fleet = Signed()
    for i in range(5):
        fleet.world.do("n1", partial(Member.publish, agent=AgentId("a"), body=b"%d" % i, now=fleet.world.now))
        fleet.world.run(2.0)
    fleet.world.kill("n4")
    fleet.world.run(30.0)
    for name in ("n0", "n2", "n3"):
        assert set(fleet.notaries[name].looked_at.values()) == {1}
        held = fleet.world.hosts[name].member.replica.shelf("n1")
        assert held is not None
        assert [s.body for s in held.living()] == [b"4"]
        bad = ("forged_", "unvouched", "unexamined", "unproven_", "put_off_")
        refused = {c for c in fleet.counts(name) if c.startswith(bad)}
        assert refused == set()
        assert fleet.world.presence(name, "n4") is Presence.DOWN


@pytest.mark.parametrize(
    ("lie", "counted"),
    [
        (Alive("n2", 1, 9, NodeInfo("h", "10.9.9.9", 1), 0, b"", b"", b"n3"), "forged_claim"),
        (Alive("n2", 2, 0, NodeInfo("h", "10.9.9.9", 1), 0, b"", b"", b"n3"), "forged_claim"),
        (Left("n2", 1, "n2", "left", b"n3"), "forged_claim"),
        (Left("n2", 1, "n4", "forgotten", b"n3"), "forged_claim"),
        (Suspect("n2", 1, 0, "n4", b"n3"), "forged_claim"),
        (Obituary("n2", 1, 0, "n4", "seen", b"n3"), "forged_claim"),
        (Row("n2", 1, 99, ("n1",), None, b"n3"), "forged_row"),
        (SnapshotMessage(shot(1, by="n3")), "forged_snapshot"),
        (SnapshotMessage(shot(1, floor=2**40, by="n3")), "forged_snapshot"),
        (Delta("n2", 1, 0, 2**40, (shot(1, by="n3"),)), "forged_snapshot"),
    ],
)
def test_a_forgery_changes_nothing_and_is_counted_and_its_bearer_named(lie: Message, counted: str) -> None:
    fleet = Signed()
    member = fleet.world.hosts["n0"].member
    record = member.roster.get("n2")
    assert record is not None
    before, rumors = msgspec.structs.asdict(record.alive), len(member.rumors)
    fleet.tell("n0", "n3", lie)
    assert member.counts[counted] == 1
    assert msgspec.structs.asdict(record.alive) == before
    assert not (record.known.is_accused)
    assert not (record.known.is_buried)
    assert not (record.known.has_left)
    shelf = member.replica.shelf("n2")
    assert shelf is None or (shelf.held == {} and shelf.floor == shelf.complete == 0)
    assert len(member.rumors) == rumors
    (forgery,) = member.vouching.forgeries()
    assert (forgery.by, forgery.via, forgery.times) == ("n3", Via.DATAGRAM, 1)
    assert forgery.in_name_of == ("n4" if getattr(lie, "by", "n2") == "n4" else "n2")


@pytest.mark.parametrize("lie", [Left("n0", 1, "n4", "forgotten", b"n3"), Suspect("n0", 1, 3, "n4", b"n3")])
def test_a_forgery_about_myself_moves_nothing_either(lie: Message) -> None:
    fleet = Signed()
    member = fleet.world.hosts["n0"].member
    me = member.membership.me
    fleet.tell("n0", "n3", lie)
    assert member.membership.me == me
    assert member.counts["forged_claim"] == 1


def test_what_a_relay_altered_is_dropped_and_what_it_passes_on_unaltered_is_not() -> None:
    fleet = Signed()
    genuine = shot(1)
    fleet.tell("n0", "n3", SnapshotMessage(genuine))
    fleet.tell("n0", "n3", SnapshotMessage(shot(2, by="n3", body=b"altered")))
    held = fleet.world.hosts["n0"].member.replica.shelf("n2")
    assert held is not None
    assert held.living() == [genuine]


def test_old_news_costs_no_look() -> None:
    fleet = Signed()
    fleet.tell("n0", "n3", SnapshotMessage(shot(1)), SnapshotMessage(shot(5)))
    looked_at = fleet.notaries["n0"].looked_at.total()
    for _ in range(50):
        fleet.tell("n0", "n3", SnapshotMessage(shot(1)), SnapshotMessage(shot(4, by="n3")), SnapshotMessage(shot(5)))
    assert fleet.notaries["n0"].looked_at.total() == looked_at


def test_who_was_never_introduced_is_no_forger() -> None:
    fleet = Signed()
    fleet.tell("n0", "n3", Suspect("n2", 1, 0, "n9", b"n9"))
    record = fleet.world.hosts["n0"].member.roster.get("n2")
    assert record is not None
    assert not record.known.is_accused
    assert fleet.counts("n0")["unvouched"] == 1
    assert fleet.world.hosts["n0"].member.vouching.forgeries() == ()


def test_a_flood_of_forgeries_is_soon_not_looked_at_and_pings_are_answered_all_along() -> None:
    fleet = Signed()
    member = fleet.world.hosts["n0"].member
    looked_at = fleet.notaries["n0"].looked_at.total()
    answers = 0
    for i in range(1_000):
        packet = Packet("n3", 1, 0, 0.0, 0, (SnapshotMessage(shot(100 + i, by="n3")), Ping(i, "n0")))
        member.receive(packet, fleet.world.address("n3"), Via.DATAGRAM, fleet.world.now)
        sent = [out for out in member.outgoing(fleet.world.now) if isinstance(out, SendPacket)]
        answers += any(isinstance(message, Ack) for out in sent for message in out.messages)
    assert answers == 1_000
    assert fleet.notaries["n0"].looked_at.total() - looked_at == FORGERIES
    assert member.counts["unexamined"] == 1_000 - FORGERIES
    fleet.tell("n0", "n4", SnapshotMessage(shot(1)))
    fleet.tell("n0", "n3", SnapshotMessage(shot(2)), via=Via.STREAM)
    assert member.counts["unexamined"] == 1_000 - FORGERIES, "others, and the peer itself over a stream, are heard"
    fleet.world.run(FORGERIES_WITHIN + 1.0)
    fleet.tell("n0", "n3", SnapshotMessage(shot(3)))
    held = member.replica.shelf("n2")
    assert held is not None
    assert [s.seq for s in held.living()] == [3]


def test_strangers_share_one_budget_whatever_names_they_take() -> None:
    fleet = Signed()
    looked_at = fleet.notaries["n0"].looked_at.total()
    for i in range(200):
        packet = Packet(f"x{i}", 1, 0, 0.0, 0, (SnapshotMessage(shot(100 + i, by="n3")),))
        fleet.world.hosts["n0"].member.receive(packet, Address("10.9.9.9", i), Via.DATAGRAM, fleet.world.now)
    assert fleet.notaries["n0"].looked_at.total() - looked_at == FORGERIES


def test_who_forged_is_remembered_within_bounds_and_the_longest_unrepeated_goes() -> None:
    vouching = Vouching(Stamps("me"), (), Counter())
    for i in range(FORGERS + 10):
        vouching.brought_by(f"x{i}", Via.DATAGRAM, float(i))
        vouching.caught("row", "n1")
        vouching.brought_by("often", Via.STREAM, float(i))
        vouching.caught("row", "n1")
    lines = vouching.forgeries()
    assert len(lines) == FORGERS
    assert (lines[-1].by, lines[-1].times) == ("often", FORGERS + 10)
    assert lines[0].by == "x11"


def test_an_altered_part_of_a_delta_takes_away_its_claim_to_be_all_and_old_parts_do_not() -> None:
    fleet = Signed()
    fleet.tell("n0", "n3", SnapshotMessage(shot(1)))
    shelf = fleet.world.hosts["n0"].member.replica.shelf("n2")
    assert shelf is not None
    fleet.tell("n0", "n3", Delta("n2", 1, 0, 9, (shot(1), shot(9, by="n3"))))
    assert (shelf.complete, shelf.living()) == (1, [shot(1)])
    fleet.tell("n0", "n3", Delta("n2", 1, 0, 7, (shot(1), shot(7))))
    assert (shelf.complete, shelf.living()) == (7, [shot(7)])


def test_nobody_can_claim_to_hold_more_of_a_node_than_it_ever_signed() -> None:
    fleet = Signed()
    fleet.tell("n0", "n3", Delta("n2", 1, 0, 2**40, (shot(1), shot(7))))
    shelf = fleet.world.hosts["n0"].member.replica.shelf("n2")
    assert shelf is not None
    assert shelf.complete == 7


def test_push_pull_says_who_is_there_before_what_is_said_of_them() -> None:
    fleet = Signed()
    for accuser in ("n3", "n4"):
        fleet.tell("n0", accuser, Suspect("n1", 1, 0, accuser, accuser.encode()))
    member = fleet.world.hosts["n0"].member
    told = [claim for frame in member.membership.everything(0.0, reply=False) for claim in frame.claims]
    assert [type(claim) for claim in told] == [Alive] * 5 + [Suspect] * 2
    fleet.world.start("n5", join=None)
    fleet.tell("n5", "n0", Sync(tuple(told), Beats(()), Digest(()), reply=False), via=Via.STREAM)
    record = fleet.world.hosts["n5"].member.roster.get("n1")
    assert record is not None
    assert record.known.accusers == {"n3", "n4"}
    assert fleet.counts("n5")["unvouched"] == 0


def test_who_was_thrown_out_is_not_heard_about_others_either_and_what_is_said_of_it_is_not_told_on() -> None:
    fleet = Signed()
    member = fleet.world.hosts["n0"].member
    member.revoke(Revoked("n4", 1, bytes(64)), fleet.world.now)
    fleet.tell("n0", "n3", Suspect("n2", 1, 9, "n4", b"n4"))
    assert member.counts["revoked_claim"] == 1
    told = [claim.name for frame in member.membership.everything(0.0, reply=False) for claim in frame.claims]
    assert sorted(told) == ["n0", "n1", "n2", "n3"]
