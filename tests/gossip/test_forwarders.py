"""A node whose streams come through another process: that one restarts, and the node was there all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.gossip.messages import Connect, Obituary, StreamEnd
from tests.gossip.test_edges import member, tell
from tests.gossip.test_stories import certainty, ever_said, fleet

if TYPE_CHECKING:
    from tests.gossip.world import World

LAN = PRESETS["lan"]


def restart_forwarder(world: World, name: str, *, away: float) -> None:
    """Its kernel ends every stream by a FIN, then refuses for a while; datagrams go another way."""
    others = [other for other in world.hosts if other != name]
    for other in sorted(world.hosts[name].streams):
        world.hosts[other].streams.discard(name)
        world.do(other, lambda m: m.stream_ended(NodeName(name), StreamEnd.EOF, world.now))
    world.hosts[name].streams.clear()
    world.refusing |= {(other, name) for other in others}
    world._later(away, world.refusing.clear)


@pytest.mark.parametrize("away", [0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_who_answers_datagrams_is_not_dead_though_its_streams_end_and_its_address_refuses(
    away: float, seed: int
) -> None:
    world = fleet(6, seed=seed)
    restart_forwarder(world, "n3", away=away)
    world.run(30)
    assert ever_said(world, "n3") <= {Presence.FRESH}
    assert world.all_fresh()


def test_a_refusal_proves_nothing_before_the_answer_that_it_is_weighed_against_could_come() -> None:
    world = fleet(5)
    record = world.record("n1", "n3")
    world.hosts["n3"].running = False
    world.do("n1", lambda m: m.stream_ended(NodeName("n3"), StreamEnd.EOF, world.now))
    world.do("n1", lambda m: m.connect_answered(NodeName("n3"), 1, Connect.REFUSED, world.now))
    assert record.presence is Presence.FRESH
    world.run(member(world, "n1").judging.waits_for_answer(record) + 0.005)
    assert (record.presence, record.verdict.certainty) == (Presence.DOWN, Certainty.PROVEN)


def test_an_answer_is_newer_than_its_question_however_long_packets_may_take() -> None:
    world = fleet(5)
    record = world.record("n1", "n3")
    before = record.life.ran_at
    world.do("n1", lambda m: m.prober.probe(record, world.now))
    asked = member(world, "n1").listening.at(world.now)
    world.run(0.1)
    assert record.life.ran_at == pytest.approx(asked)
    assert record.life.ran_at > before
    assert record.said_at(LAN.direct_timeout) == record.life.ran_at


def test_another_s_proof_waits_for_the_answer_as_one_s_own_does() -> None:
    world = fleet(6)
    world.refusing |= {(other, "n3") for other in world.hosts if other != "n3"}
    for name in ("n0", "n2"):
        tell(world, name, Obituary("n3", 1, world.record("n0", "n3").alive.incarnation, "n1", "a lie"))
    world.run(5)
    assert Presence.DOWN not in ever_said(world, "n3")
    assert certainty(world, "n0", "n3") is None


def test_who_was_forgotten_while_a_refusal_waited_is_not_judged_back_into_the_fleet() -> None:
    world = fleet(5)
    record, n1 = world.record("n1", "n3"), member(world, "n1")
    world.hosts["n3"].running = False
    world.do("n1", lambda m: m.stream_ended(NodeName("n3"), StreamEnd.EOF, world.now))
    world.do("n1", lambda m: m.connect_answered(NodeName("n3"), 1, Connect.REFUSED, world.now))
    n1.roster.remove(record)
    world.run(n1.judging.waits_for_answer(record) + 0.005)
    assert record not in n1.roster.hopeful
    assert "n3" not in n1.roster.doubted


def test_no_refusal_waits_for_longer_than_an_answer_is_waited_for() -> None:
    world = fleet(5)
    record, judging = world.record("n1", "n3"), member(world, "n1").judging
    waits = []
    for rtt in (None, 0.002, 9.0):
        record.rtt = rtt
        waits.append(judging.waits_for_answer(record))
    assert waits == pytest.approx([0.02, 0.0205, LAN.direct_timeout])
