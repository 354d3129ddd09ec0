"""Who would be stale in a moment, though nothing is wrong, is asked itself."""

from __future__ import annotations

import pytest

from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS, Preset
from meshfleet.gossip.beats import last_round
from meshfleet.gossip.messages import Beat, Beats, Via
from meshfleet.gossip.orders import SendPacket
from tests.gossip.test_edges import member, tell
from tests.gossip.test_stories import fleet
from tests.gossip.world import World


def asked(world: World, name: str) -> list[int]:
    """Tags of whom it asks for newer heartbeats in what it sends now."""
    sent = [out for out in member(world, name).outgoing(world.now) if isinstance(out, SendPacket)]
    return [beat.tag for out in sent for m in out.messages if isinstance(m, Beats) and m.asks for beat in m.entries]


def test_who_is_asked_for_its_own_heartbeat_by_an_older_one_answers_with_its_newest() -> None:
    world = fleet(3)
    me = member(world).beats
    older = Beats((Beat(me.tag, me.counter - 1, me._raised_at - 2.5, b""),), world.now, asks=True)
    (table,) = [m for m in tell(world, "n0", older) if isinstance(m, Beats)]
    assert [(beat.tag, beat.counter) for beat in table.entries] == [(me.tag, me.counter)]
    same = Beats((Beat(me.tag, me.counter, me._raised_at, b""),), world.now, asks=True)
    assert not [m for m in tell(world, "n0", same) if isinstance(m, Beats)]


@pytest.mark.parametrize("heard", [False, True])
def test_a_moment_before_a_member_would_be_stale_it_is_asked_itself_unless_it_was_heard_meanwhile(heard: bool) -> None:
    world = fleet(4)
    me, record = member(world), world.record("n0", "n1")
    list(me.outgoing(world.now))
    at = me.listening.at(world.now)
    record.beat_at = at - me.timing.stale_after + 0.5
    me.rounds._ask_itself(record, record.beat, world.now, at)
    assert record.presence is Presence.FRESH
    record.beat += heard
    me.timers.run_due(world.now + 0.5 - me.timing.direct_timeout / 2 - 0.01)
    assert record.tag not in asked(world, "n0")
    me.timers.run_due(world.now + 0.5 - me.timing.direct_timeout / 2 + 0.01)
    assert (record.tag in asked(world, "n0")) is not heard


def test_in_a_large_fleet_at_rest_nobody_is_ever_called_stale() -> None:
    world = World(64, seed=2)
    world.run(15)
    before = {name: len(host.events) for name, host in world.hosts.items()}
    overdue = 0
    for _ in range(80):
        world.run(0.5)
        overdue += sum(len(host.member.beats.overdue) for host in world.hosts.values())
    assert overdue > 0, "some heartbeats are late enough to be asked for"
    judged = [e for name, host in world.hosts.items() for e in host.events[before[name] :] if hasattr(e, "verdict")]
    assert judged == []


@pytest.mark.parametrize("preset", PRESETS)
def test_even_who_comes_up_a_round_late_is_asked_before_it_is_stale(preset: Preset) -> None:
    timing = PRESETS[preset]
    latest = max(
        timing.stale_after - last_round(timing) + timing.gossip_interval, timing.stale_after - timing.direct_timeout / 2
    )
    assert latest < timing.stale_after
    if preset == "wan":
        assert timing.stale_after - latest > 0.6, "two ways of 300 ms"


def test_before_a_member_is_presumed_down_one_is_asked_over_a_stream_and_answers_by_it() -> None:
    """No datagram of mine may get out, and nobody tells me."""
    world = fleet(4)
    me, other, silent = member(world), member(world, "n2"), world.record("n0", "n1")
    list(me.outgoing(world.now))
    for record in me.roster:
        record.has_stream = record.name == "n2"
    me.judging.last_calls = [silent]
    me.rounds._call_last(me.listening.at(world.now))
    (asked,) = [out for out in me.outgoing(world.now) if isinstance(out, SendPacket) and out.via is Via.STREAM]
    assert asked.to == "n2"
    list(other.outgoing(world.now))
    other.roster.get(silent.name).beat += 1  # type: ignore[union-attr]  # it knows better
    other.receive(me.envelope(asked.messages, world.now, 0), other.roster.get(me.name).address, Via.STREAM, world.now)  # type: ignore[union-attr]  # it knows me
    told = [out for out in other.outgoing(world.now) if isinstance(out, SendPacket) and out.to == "n0"]
    assert [out.via for out in told for m in out.messages if isinstance(m, Beats)] == [Via.STREAM]
