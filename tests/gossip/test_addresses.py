"""One address and two names: what another's kernel accepts says nothing of the dead, and no liar makes it say less of
the living."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.messages import Alive, Connect, NodeInfo, Packet, Via
from tests.gossip.test_edges import member
from tests.gossip.test_stories import ever_said, fleet
from tests.gossip.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.gossip.record import Record

LAN = PRESETS["lan"]
OTHERS = ("n0", "n1", "n2", "n4", "n5")
PRESUMED = LAN.presumed_after + 60.0
"""Seconds after which a lone host's silence has been presumed a death."""


def take_address(world: World, old: str, new: str) -> None:
    """A node of another name begins where that one listened, on the same machine."""
    world.start(new, join="n0", index=world.hosts[old].index, host=f"h-{old}")


@pytest.mark.parametrize("dies", [World.kill, World.power_off], ids=["killed", "power"])
def test_a_dead_member_whose_address_another_has_is_down(dies: Callable[[World, str], None]) -> None:
    world = fleet(6)
    dies(world, "n3")
    take_address(world, "n3", "n9")
    world.run(PRESUMED)
    assert world.says(*OTHERS, "n9", of="n3") == {Presence.DOWN}
    assert world.says(*OTHERS, of="n9") == {Presence.FRESH}


def test_what_was_accepted_before_the_other_was_known_counts_no_longer() -> None:
    world = fleet(6)
    n0, record = member(world), world.record("n0", "n3")
    world.power_off("n3")
    world.run(1.0)
    world.do("n0", lambda m: m.connect_answered(NodeName("n3"), 1, Connect.ACCEPTED, world.now))
    accepted_at = record.accepted_at
    assert accepted_at is not None
    take_address(world, "n3", "n9")
    world.run(5.0)
    record.accepted_at = accepted_at  # as if nobody had knocked since
    assert not n0.judging.evidence(record, n0.heard_until).accepts
    record.acknowledged_at = accepted_at  # but on a stream it was itself
    assert n0.judging.evidence(record, n0.heard_until).accepts


def test_whoever_is_still_there_is_down_of_nobody_for_a_second_name_at_its_address() -> None:
    """Two nodes behind one forwarded port, both of which run."""
    world = fleet(6)
    take_address(world, "n3", "n9")
    world.run(PRESUMED)
    assert world.all_fresh()
    assert ever_said(world, "n3") | ever_said(world, "n9") <= {Presence.FRESH}


def claims(world: World, liar: str, address: Address) -> None:
    """That member tells all others that it listens at `address`, where it does not."""
    info = msgspec.structs.replace(
        member(world, liar).membership.me.info, gossip_host=address.host, gossip_port=address.port
    )
    world.do(liar, lambda m: m.advertise(info))
    world.run(2.0)
    assert {world.record(name, liar).address for name in world.hosts if name not in (liar, "n3")} == {address}


def test_who_claims_the_address_of_a_stopped_member_takes_nothing_from_it() -> None:
    world = fleet(6)
    world.pause("n3")
    claims(world, "n1", world.address("n3"))
    world.run(PRESUMED)
    assert world.says("n0", "n2", "n4", "n5", of="n3") == {Presence.UNREACHABLE}
    assert Presence.DOWN not in ever_said(world, "n3")


def test_a_stream_that_met_another_says_that_the_address_is_not_its_any_more() -> None:
    world = fleet(6)
    world.power_off("n3")
    world.run(1.0)

    def accepted(name: str) -> Record:
        world.do(name, lambda m: m.connect_answered(NodeName("n3"), 1, Connect.ACCEPTED, world.now))
        return world.record(name, "n3")

    there = world.address("n3")
    assert accepted("n0").accepted_at is not None
    world.do("n0", lambda m: m.stream_usurped(NodeName("n3"), there, NodeName("n9"), world.now))
    assert world.record("n0", "n3").accepted_at is None
    assert accepted("n0").accepted_at is None
    assert f"n9 listens at {there}" in [fact.detail for fact in world.record("n0", "n3").facts]
    assert member(world).counts["accepted_for_another"] == 2

    world.record("n0", "n3").direct_at = world.now  # it was heard since: behind a forwarded port, say
    assert accepted("n0").accepted_at is not None


def test_a_stream_that_met_another_where_it_was_before_says_nothing_of_where_it_is() -> None:
    world = fleet(6)
    world.pause("n3")
    n0, there = member(world), world.address("n3")
    world.do("n0", lambda m: m.stream_usurped(NodeName("n3"), there, NodeName("n9"), world.now))
    alive = world.record("n0", "n3").alive
    info: NodeInfo = msgspec.structs.replace(alive.info, gossip_port=7000)
    moved = Alive("n3", 1, alive.incarnation + 1, info)
    world.do(
        "n0", lambda m: m.receive(Packet("n1", 1, 0, 0.0, 0, (moved,)), world.address("n1"), Via.STREAM, world.now)
    )
    world.do("n0", lambda m: m.connect_answered(NodeName("n3"), 1, Connect.ACCEPTED, world.now))
    assert world.record("n0", "n3").accepted_at is not None
    assert n0.counts["accepted_for_another"] == 1


def test_a_helper_that_another_accepted_tells_of_no_kernel_that_answers() -> None:
    world = fleet(6)
    world.power_off("n3")
    take_address(world, "n3", "n9")
    world.run(PRESUMED)
    assert {world.record(name, "n3").asked_by for name in OTHERS} == {None}


def test_who_has_the_address_of_the_dead_can_be_dialled_back() -> None:
    world = fleet(6)
    world.power_off("n3")
    take_address(world, "n3", "n9")
    world.run(PRESUMED)
    assert not member(world, "n9").relays.hidden


def test_the_address_that_i_have_now_is_none_of_the_dead() -> None:
    world = World(3)
    world.run(20)
    world.power_off("n2")
    n0 = member(world)
    info = msgspec.structs.replace(n0.membership.me.info, gossip_host=world.address("n2").host)
    n0.advertise(info)
    world.do("n0", lambda m: m.connect_answered(NodeName("n2"), 1, Connect.ACCEPTED, world.now))
    assert world.record("n0", "n2").accepted_at is None
