"""A kernel that answers for its process: for how long that counts, and what ends it."""

from __future__ import annotations

from meshfleet.fleet.presence import Presence
from tests.gossip.test_edges import member
from tests.gossip.test_stories import ever_said, fleet


def test_kernels_that_acknowledge_keep_a_stopped_process_from_being_presumed_dead() -> None:
    world = fleet(5)
    world.pause("n4")
    world.unanswered.add("n4")
    for _ in range(120):
        world.run(1)
        for name in ("n0", "n1", "n2", "n3"):
            for silent in member(world, name).roster.silent():
                member(world, name).stream_acknowledged(silent, 0.5, world.now)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {Presence.UNREACHABLE}


def test_a_stopped_process_whose_host_then_goes_dark_is_presumed_dead_in_the_end() -> None:
    world = fleet(5)
    world.pause("n4")
    world.run(30)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {Presence.UNREACHABLE}
    world.unanswered.add("n4")
    world.run(40)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {Presence.UNREACHABLE}
    world.run(120)
    assert world.says("n0", "n1", "n2", "n3", of="n4") == {Presence.DOWN}


def test_whom_a_kernel_answers_tells_it_to_those_who_ask_for_help() -> None:
    world = fleet(8)
    world.cut(["n0"], ["n4"])
    world.pause("n4")
    world.run(120)
    others = [f"n{i}" for i in range(8) if i != 4]
    assert world.says(*others, of="n4") == {Presence.UNREACHABLE}
    assert ever_said(world, "n4").isdisjoint({Presence.DOWN})
    assert "accepts" in " ".join(fact.detail for fact in world.record("n0", "n4").facts)
    world.unanswered.add("n4")
    world.run(25)
    assert world.presence("n0", "n4") is Presence.DOWN


def test_a_refusal_ends_an_accept_but_3_t_of_silence_begin_with_it() -> None:
    world = fleet(5)
    world.pause("n4")
    world.run(16)
    others = ["n0", "n1", "n2", "n3"]
    world.cut(["n4"], others, reject=True)
    world.run(10)
    assert world.says(*others, of="n4") == {Presence.UNREACHABLE}
    world.run(15)
    assert world.says(*others, of="n4") == {Presence.DOWN}
