"""Members between which no datagram gets through: they go on over streams alone, and notice when that is over."""

from __future__ import annotations

import pytest

from meshfleet.fleet.names import Address, AgentId, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import Judged
from meshfleet.gossip.messages import Digest, Via
from tests.gossip.world import World


def blocked(nodes: int = 8, seed: int = 1, only: tuple[str, ...] = ()) -> World:
    """A fleet that formed while no datagram got through, to anybody or to some."""
    world = World(nodes, seed=seed)
    world.udp_blocked.update(only or world.hosts)
    world.run(30)
    return world


def ever(world: World) -> set[Presence]:
    """All that anybody came to say of anybody."""
    told = (e for h in world.hosts.values() for e in h.events if isinstance(e, Judged))
    return {e.verdict.presence for e in told} - {Presence.FRESH}


@pytest.mark.parametrize("nodes", [2, 3, 8, 20])
def test_where_no_datagram_passes_a_fleet_forms_and_stays_fresh(nodes: int) -> None:
    world = blocked(nodes)
    assert world.all_fresh()
    before = ever(world)
    world.run(120)
    assert world.all_fresh()
    assert before <= {Presence.STALE}
    assert all(world.record(a, b).delivery.fails for a in world.hosts for b in world.hosts if a != b)


def test_what_is_published_comes_to_everybody_within_a_second() -> None:
    world = blocked(8)
    world.publish("n3", "n3/a", b"over streams")
    world.run(1)
    assert all(world.body(name, "n3", "n3/a") == b"over streams" for name in world.hosts if name != "n3")


def test_only_those_that_no_datagram_reaches_are_sent_everything_over_streams() -> None:
    world = blocked(8, only=("n5",))
    streamed = {(a, b) for a in world.hosts for b in world.hosts if a != b and world.record(a, b).delivery.fails}
    assert streamed == {(a, b) for a in world.hosts for b in world.hosts if a != b and "n5" in (a, b)}


def test_when_datagrams_pass_again_they_are_used_again() -> None:
    world = blocked(8)
    world.udp_blocked.clear()
    world.run(15)
    assert not any(world.record(a, b).delivery.fails for a in world.hosts for b in world.hosts if a != b)
    assert world.all_fresh()


def test_nobody_takes_himself_for_hidden_since_pings_are_lost() -> None:
    world = blocked(8)
    for host in world.hosts.values():
        host.member.relays.ask_anew()
        host.member.relays.wonder(world.now)
    world.run(90)
    assert [host.member.relays.hidden for host in world.hosts.values()] == [False] * 8


def test_what_is_too_large_for_the_way_by_datagram_comes_with_push_pull() -> None:
    world = World(4, seed=1)
    world.narrow["n2"] = 1_200
    world.run(30)
    large = bytes(1_150)
    world.publish("n1", "n1/a", large)
    world.run(2)
    assert world.body("n0", "n1", "n1/a") == large
    assert world.body("n2", "n1", "n1/a") is None
    world.run(60)
    assert world.body("n2", "n1", "n1/a") == large
    assert world.all_fresh()


def test_a_lossy_network_is_no_blocked_one() -> None:
    """As a rule: in some runs one member has such luck that all take it for blocked for a while, and use streams."""
    blocked_pairs = []
    for seed in range(6):
        world = World(8, seed=seed, loss=0.1)
        world.run(60)
        pairs = [world.record(a, b) for a in world.hosts for b in world.hosts if a != b]
        blocked_pairs.append(sum(record.delivery.fails for record in pairs))
    assert sorted(blocked_pairs)[3] <= 2


def test_what_comes_by_a_stream_from_another_port_is_answered_where_its_sender_listens() -> None:
    world = World(2, seed=1)
    world.run(10)
    here = world.hosts["n0"].member
    world.hosts["n1"].member.publish(AgentId("n1/a"), b"news", world.now)
    packet = world.hosts["n1"].member.envelope(
        (Digest(tuple(world.hosts["n1"].member.spread.everything())),), world.now, 0
    )
    here.outgoing(world.now)
    here.receive(packet, Address("10.0.0.1", 50_123), Via.STREAM, world.now)
    world.run(0)
    here.handle_timer(world.now + 0.2)
    sent = [out for out in here.outgoing(world.now + 0.2) if getattr(out, "to", None) == NodeName("n1")]
    assert sent
    assert {(out.host, out.port) for out in sent} == {("10.0.0.1", 7878)}  # type: ignore[union-attr]  # packets alone
