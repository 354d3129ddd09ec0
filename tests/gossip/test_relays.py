"""Nodes that nobody can reach: how they find out, who passes on for them, and what that may cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.names import Address, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.rendezvous import ranked
from meshfleet.gossip.events import Judged
from meshfleet.gossip.limits import RELAY_BURST, RELAY_RATE, RELAYED
from meshfleet.gossip.messages import Ack, Nack, StreamEnd, Trouble, Via
from meshfleet.gossip.relays import RELAYS
from tests.gossip.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = "n3"


def fleet(nodes: int = 8, seed: int = 1, hidden: Sequence[str] = (HIDDEN,)) -> World:
    """A fleet with hidden nodes, settled."""
    world = World(nodes, seed=seed)
    world.hidden.update(hidden)
    world.run(30)
    return world


def relays(world: World, name: str = HIDDEN) -> tuple[str, ...]:
    """Whom its own Alive names."""
    return world.hosts[name].member.membership.me.info.relays


def ever(world: World, of: str) -> set[Presence]:
    """All that anybody came to say of it but that it is fresh."""
    told = (e for h in world.hosts.values() for e in h.events if isinstance(e, Judged) and e.name == of)
    return {e.verdict.presence for e in told} - {Presence.FRESH}


@pytest.mark.parametrize("nodes", [2, 3, 8, 20])
def test_a_hidden_node_finds_relays_and_is_fresh_for_all(nodes: int) -> None:
    world = fleet(nodes, hidden=("n1",))
    assert len(relays(world, "n1")) == min(RELAYS, nodes - 1)
    world.run(120)
    assert world.all_fresh()
    assert ever(world, "n1") == set()


def test_a_node_that_is_reached_has_none() -> None:
    world = fleet(8, hidden=())
    assert {relays(world, name) for name in world.hosts} == {()}
    assert sum(host.member.counts["hidden"] for host in world.hosts.values()) == 0


def test_what_is_published_elsewhere_comes_to_a_hidden_node_and_back() -> None:
    world = fleet(20)
    world.publish("n7", "n7/a", b"for all")
    world.publish(HIDDEN, f"{HIDDEN}/a", b"from behind")
    world.run(2)
    assert world.body(HIDDEN, "n7", "n7/a") == b"for all"
    assert all(world.body(name, HIDDEN, f"{HIDDEN}/a") == b"from behind" for name in world.hosts if name != HIDDEN)
    assert sum(world.relayed.values()) > 0


def test_two_hidden_nodes_reach_each_other_by_relays() -> None:
    world = fleet(8, hidden=("n3", "n4"))
    world.run(60)
    assert world.all_fresh()
    assert {relay for name in ("n3", "n4") for relay in relays(world, name)}.isdisjoint({"n3", "n4"})
    assert world.record("n3", "n4").reach == f"relay via {world.record('n3', 'n4').sent_by}"
    assert world.record("n3", "n4").way == "relay"


@pytest.mark.parametrize("how", ["kill", "power_off"])
def test_when_a_relay_dies_another_takes_its_place_and_nobody_calls_the_hidden_node_down(how: str) -> None:
    world = fleet(12)
    gone = relays(world)[0]
    getattr(world, how)(gone)
    world.run(60)
    assert gone not in relays(world)
    assert len(relays(world)) == RELAYS
    assert ever(world, HIDDEN) == set()
    assert world.says(*(n for n in world.hosts if n not in (gone, HIDDEN)), of=HIDDEN) == {Presence.FRESH}


def test_a_hidden_node_that_dies_is_found_out_though_nobody_can_knock() -> None:
    world = fleet(8)
    world.kill(HIDDEN)
    world.run(60)
    others = [name for name in world.hosts if name != HIDDEN]
    assert world.says(*others, of=HIDDEN) == {Presence.DOWN}


def test_relays_are_given_up_once_the_node_can_be_reached() -> None:
    world = fleet(8)
    assert relays(world)
    world.hidden.clear()
    world.run(150)
    assert relays(world) == ()
    assert world.all_fresh()


def first_in_turn(nodes: int) -> str:
    """Who is to be the first relay of the hidden node."""
    return ranked(f"relay {HIDDEN}", [f"n{i}" for i in range(nodes) if f"n{i}" != HIDDEN])[0]


def test_who_lets_no_stream_in_has_no_place_among_the_relays() -> None:
    world, first = World(8, seed=1), first_in_turn(8)
    world.hidden.add(HIDDEN)
    world.unopened.add((HIDDEN, first))
    world.run(60)
    chosen = world.hosts[HIDDEN].member.relays.chosen
    assert first not in chosen
    assert world.presence(HIDDEN, first) is Presence.FRESH
    assert set(relays(world)) == set(chosen)
    assert len(chosen) == RELAYS


def test_of_those_that_let_no_stream_in_each_is_tried_in_its_turn() -> None:
    world = World(3, seed=1)
    world.hidden.add(hidden := "n1")
    world.unopened.update({(hidden, "n0"), (hidden, "n2")})
    world.run(60)
    assert relays(world, hidden) == ()
    world.unopened.clear()
    world.run(20)
    assert set(relays(world, hidden)) == {"n0", "n2"}


def test_until_a_relay_can_be_dialled_a_neighbour_stands_in_for_it() -> None:
    world = fleet(12)
    member, lost = world.hosts[HIDDEN].member, relays(world)[0]
    world.unopened.add((HIDDEN, lost))
    world._end_stream(lost, HIDDEN, StreamEnd.RESET)
    world.run(1)
    assert lost in member.relays.chosen, "nobody has told yet that it can't be dialled"
    [stand_in] = set(relays(world)) - set(member.relays.chosen)
    assert stand_in in world.hosts[HIDDEN].streams
    assert len(relays(world)) == RELAYS
    world.run(20)
    assert lost not in member.relays.chosen
    assert set(relays(world)) == set(member.relays.chosen)


def said(world: World, by: str, message: Ack | Nack, now: float) -> None:
    """n0 hears that."""
    world.hosts["n0"].member.hearing.dispatch(message, world.address(by), NodeName(by), Via.DATAGRAM, now, now)


def test_one_who_gets_through_outweighs_two_who_do_not() -> None:
    world = fleet(8, hidden=())
    member, now = world.hosts["n0"].member, world.now + 1_000
    member.relays.wonder(now)
    asked = [out.to for out in member.outgoing(now)]
    epoch, seq = member.epoch, 2
    for name in asked[:2]:
        said(world, str(name), Nack(seq, "n0", epoch, Trouble.SILENT), now)
    assert not member.relays.hidden
    said(world, str(asked[2]), Ack(seq, "n0", epoch), now)
    assert not member.relays.hidden


def test_a_relay_passes_on_only_for_whom_it_is_named_by_and_only_so_much() -> None:
    world = fleet(8)
    relay = world.hosts[relays(world)[0]].member
    other = next(n for n in world.hosts if n not in (*relays(world), HIDDEN))
    before = Counter(relay.counts)
    assert relay.ways.passes_on(other, 100, 0.0) is None
    assert relay.ways.passes_on("nobody", 100, 0.0) is None
    assert relay.counts["refused_relay_on"] - before["refused_relay_on"] == 2
    at = 1e6
    assert relay.ways.passes_on(HIDDEN, RELAY_BURST, at) is not None
    assert relay.ways.passes_on(HIDDEN, 1, at) is None
    assert relay.counts["dropped_relay_on"] == before["dropped_relay_on"] + 1
    assert relay.ways.passes_on(HIDDEN, RELAY_RATE, at + 1) is not None
    assert relay.ways.passes_on(HIDDEN, RELAY_RATE // 2, at + 1.4) is None


def test_a_relay_passes_on_for_so_many_and_no_more() -> None:
    world = fleet(8)
    ways = world.hosts[relays(world)[0]].member.ways
    ways._budgets = {NodeName(f"x{i}"): (0.0, 0.0) for i in range(RELAYED)}
    assert ways.passes_on(HIDDEN, 1, 1e6) is not None, "those who name it no more make room"
    ways._is_named_by = lambda name: True  # type: ignore[method-assign]  # a test stands in
    ways._budgets = {NodeName(f"x{i}"): (0.0, 0.0) for i in range(RELAYED)}
    assert ways.passes_on(HIDDEN, 1, 1e6) is None


def test_a_hidden_node_on_the_same_side_is_sent_to_straight() -> None:
    world = fleet(8)
    other = next(n for n in world.hosts if n not in (*relays(world), HIDDEN) and HIDDEN not in world.hosts[n].streams)
    member = world.hosts[other].member
    there, at = world.address(HIDDEN), member.listening.at(world.now)
    by = member.ways.way(HIDDEN, there, at)
    assert by is not None
    assert by.name in relays(world)
    world.record(other, HIDDEN).near_at = at
    assert member.ways.way(HIDDEN, there, at + 1) is None
    assert member.ways.way(HIDDEN, Address("translator", 3), at + 100) is None, (
        "answers go where the question came from"
    )
    assert member.ways.way(HIDDEN, there, at + 100) is not None


def test_nobody_knocks_where_a_hidden_node_says_that_it_listens() -> None:
    world = fleet(8)
    for name in world.hosts:
        if name != HIDDEN:
            member = world.hosts[name].member
            member.outgoing(world.now)
            member.neighbours.knock(member.roster.get(HIDDEN))  # type: ignore[arg-type]  # it is known
            assert member.outgoing(world.now) == []


def test_that_its_kernel_answered_a_helper_holds_for_longer_than_silence_does() -> None:
    world = fleet(4)
    record, member = world.record("n0", HIDDEN), world.hosts["n0"].member
    world.pause(HIDDEN)
    world.run(1)
    member.neighbours.helper_accepted(record, world.record("n0", "n1"), world.now)
    answered, held = member.listening.at(world.now), 2 * member.timing.presumed_after
    assert member.judging.evidence(record, answered + held - 1).accepts
    assert not member.judging.evidence(record, answered + held + 1).accepts
    record.info = msgspec.structs.replace(record.info, relays=())
    assert not member.judging.evidence(record, answered + held - 1).accepts, (
        "where all can knock, only that moment counts"
    )
