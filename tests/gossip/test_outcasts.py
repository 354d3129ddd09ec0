"""Who was thrown out by the fleet's owner: known to all, heard by none, whatever order the news comes in."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import Address
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.events import CastOut
from meshfleet.gossip.limits import REVOKED
from meshfleet.gossip.messages import Alive, Beats, Digest, NodeInfo, Packet, Revoked, Sync, Via
from meshfleet.gossip.outcasts import Outcasts
from tests.gossip.world import World

SIGNED = bytes(64)
revocations = st.builds(Revoked, st.sampled_from(["n1", "n2", "n3"]), st.integers(0, 5), st.just(SIGNED))


@given(st.lists(revocations, max_size=20), st.randoms(use_true_random=False))
def test_any_order_of_the_same_revocations_gives_the_same_set(news: list[Revoked], chance: object) -> None:
    one, other = Outcasts(Counter()), Outcasts(Counter())
    shuffled = list(news)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    for told, order in ((one, news), (other, shuffled)):
        for each in order:
            told.add(each)
    assert {each.name: each for each in one.all()} == {each.name: each for each in other.all()}
    assert all(each.name in one.by_name for each in news)


def test_revocations_are_bounded_and_those_beyond_are_counted() -> None:
    counts: Counter[str] = Counter()
    outcasts = Outcasts(counts)
    for i in range(REVOKED):
        assert outcasts.add(Revoked(f"n{i}", 1, SIGNED))
    assert not outcasts.add(Revoked("one-more", 1, SIGNED))
    assert outcasts.add(Revoked("n0", 0, SIGNED))
    assert counts["refused_revoked"] == 1
    assert len(outcasts.all()) == REVOKED


def test_one_word_of_it_reaches_everybody_and_all_see_it_gone() -> None:
    world = World(6)
    world.run(20.0)
    member = world.hosts["n0"].member
    member.revoke(Revoked("n5", 1, SIGNED), world.now)
    world.run(10.0)
    for name in ("n0", "n1", "n2", "n3", "n4"):
        record = world.hosts[name].member.roster.get("n5")
        assert record is not None
        assert record.presence is Presence.LEFT
        assert record.verdict.reasons == ("revoked by the fleet's owner",)
        assert world.hosts[name].member.counts["revoked_source"] > 0


def test_nothing_that_it_says_or_that_is_said_of_it_is_heard() -> None:
    world = World(2)
    world.run(5.0)
    member = world.hosts["n0"].member
    member.revoke(Revoked("n9", 1, SIGNED), world.now)
    alive = Alive("n9", 7, 0, NodeInfo("h9", "10.0.0.9", 7878))
    there = Address("10.0.0.9", 7878)
    member.receive(Packet("n9", 7, 1, 0.0, 0, (alive,)), there, Via.DATAGRAM, world.now)
    member.receive(Packet("n1", 1, 99, 0.0, 0, (alive,)), there, Via.DATAGRAM, world.now)
    assert member.roster.get("n9") is None
    assert (member.counts["revoked_source"], member.counts["revoked_claim"]) == (1, 1)


def test_push_pull_tells_of_it_and_a_repetition_is_no_news() -> None:
    world = World(1)
    member = world.hosts["n0"].member
    member.revoke(Revoked("n9", 5, SIGNED), world.now)
    member.revoke(Revoked("n9", 5, SIGNED), world.now)
    assert [event for event in member.events() if isinstance(event, CastOut)] == [CastOut(Revoked("n9", 5, SIGNED))]
    frames = member.membership.everything(0.0, reply=True)
    assert [each for frame in frames for each in frame.revoked] == [Revoked("n9", 5, SIGNED)]
    assert member.outcasts.holds(Revoked("n9", 5, SIGNED))
    told = Sync((), Beats(()), Digest(()), False, (), (Revoked("n8", 5, SIGNED),))
    member.receive(Packet("n2", 1, 1, 0.0, 0, (told,)), Address("10.0.0.2", 7878), Via.STREAM, world.now)
    assert "n8" in member.outcasts.by_name
