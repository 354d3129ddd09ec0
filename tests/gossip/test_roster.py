"""The roster of members, and its ring of names."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.evidence import Kind
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence, Verdict
from meshfleet.gossip.messages import (
    Alive,
    Suspect,
)
from meshfleet.gossip.roster import Roster
from tests.gossip.drawing import claims
from tests.gossip.rosters import INFO, record, roster
from tests.gossip.world import World

if TYPE_CHECKING:
    import pytest

    from meshfleet.gossip.messages import Claim


def ring(names: list[str], me: str, seed: int) -> Roster:
    it = Roster(NodeName(me), Random(seed), Counter())
    for name in names:
        if name != me:
            it.add(Alive(name, 1, 0, INFO), 0.0)
    return it


def hand_on(rosters: dict[str, Roster], origin: str, parts: int) -> list[str]:
    told: list[str] = []
    waiting = rosters[origin].share_out(origin, parts, but=origin, whole=True)
    while waiting:
        who, until = waiting.pop()
        told.append(who.name)
        waiting += rosters[who.name].share_out(until, parts, but=origin, whole=False)
    return told


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 1_000), st.integers(0, 39))
def test_handed_on_along_the_ring_everybody_is_told_once(n: int, parts: int, seed: int, origin: int) -> None:
    names = [f"n{i:02}" for i in range(n)]
    told = hand_on({me: ring(names, me, seed) for me in names}, names[origin % n], parts)
    assert sorted(told) == [name for name in names if name != names[origin % n]]


@given(st.integers(3, 20), st.integers(2, 9), st.integers(0, 1_000), st.data())
def test_nobody_is_told_twice_though_members_know_different_others(
    n: int, parts: int, seed: int, data: st.DataObject
) -> None:
    names = [f"n{i:02}" for i in range(n)]
    knows = data.draw(st.lists(st.lists(st.sampled_from(names), unique=True, min_size=2), min_size=n, max_size=n))
    told = hand_on({me: ring(knows[i], me, seed) for i, me in enumerate(names)}, "n00", parts)
    assert len(told) == len(set(told))


def test_the_ring_of_names_goes_round_and_comes_by_myself() -> None:
    it = roster("a", "n", "z")
    ahead = [it.ahead(i) for i in range(1, 9)]
    assert [None if r is None else r.name for r in ahead] == ["n", "z", "a", None, "n", "z", "a", None]
    assert roster().ahead(1) is None


@given(st.lists(claims(), max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_the_same_news_told_again_gives_the_same_roster(told: list[Claim], rng: Random) -> None:
    """Again, for an accusation that comes before the word that it is of is not kept."""

    def tell(order: list[Claim]) -> dict[str, object]:
        it = roster()
        for claim in order:
            it.add(claim, 0.0)
        return {r.name: r.known for r in it}

    shuffled, again = list(told), list(told)
    rng.shuffle(shuffled)
    rng.shuffle(again)
    assert tell([*told, *told]) == tell([*shuffled, *again])


def test_of_twice_as_many_those_are_taken_that_were_not_out_of_reach_when_tried_last() -> None:
    it = roster(*"abcd")
    for name in "ac":
        record(it, name).missed = 2
    record(it, "b").missed = 1
    assert {each.name for each in it.sample(2)} == set("bd")
    assert {each.name for each in it.sample(3)} > set("bd")
    record(it, "a").missed = 0
    assert {each.name for each in it.sample(3)} == set("abd")


def test_everybody_is_probed_once_before_anybody_twice_and_the_gone_are_not() -> None:
    it = roster(*"abcdef")
    it.judged(record(it, "c"), Verdict(Presence.DOWN))
    for _ in range(4):
        turn = [it.next_to_probe() for _ in range(5)]
        assert sorted(r.name for r in turn if r is not None) == list("abdef")
    assert roster().next_to_probe() is None


def test_a_newcomer_is_probed_within_two_turns() -> None:
    it = roster(*"abcdef")
    it.next_to_probe()
    it.add(Alive("new", 1, 0, INFO), 0.0)
    assert "new" in {r.name for _ in range(13) if (r := it.next_to_probe())}


def test_a_forgotten_member_is_gone_from_everything() -> None:
    it = roster("a", "b")
    a = record(it, "a")
    it.next_to_probe()
    it.remove(a)
    assert it.get("a") is None
    assert it.tags.get(a.tag) is None
    assert [r.name for r in it] == ["b"]
    assert {r.name for _ in range(3) if (r := it.next_to_probe())} == {"b"}


def test_a_new_life_has_a_new_tag_and_a_clean_slate() -> None:
    it = roster("a")
    a = record(it, "a")
    a.grouped_at, a.beat = 5.0, 9
    a.refusals.append(a.note(Kind.REFUSED, 1.0, "me", ""))
    old = a.tag
    it.add(Alive("a", 2, 0, INFO), 50.0)
    assert not a.refusals
    assert (a.grouped_at, a.beat, a.beat_at) == (-1e18, 0, 50.0)
    assert (it.tags.get(old), it.tags.get(a.tag)) == (None, a)


def test_members_and_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshfleet.gossip.roster.MEMBERS", 2)
    monkeypatch.setattr("meshfleet.gossip.roster.UNKNOWN_MEMBERS", 2)
    counts: Counter[str] = Counter()
    it = roster("a", "b", "c", counts=counts)
    assert len(it) == 2
    for name in "wxyz":
        it.add(Suspect(name, 1, 0, "a"), 0.0)
    assert (counts["refused_member"], counts["refused_unknown"]) == (1, 2)
    it.forget_strangers()
    assert it.add(Suspect("z", 1, 0, "a"), 0.0) == (None, True)


def test_where_no_place_is_left_whoever_has_been_gone_for_longest_leaves_its_own_and_nobody_who_is_not_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("meshfleet.gossip.roster.MEMBERS", 4)
    counts: Counter[str] = Counter()
    it = roster("a", "b", "c", "d", counts=counts)
    for name, presence, since in (
        ("a", Presence.UNREACHABLE, 1.0), ("b", Presence.LEFT, 9.0), ("c", Presence.DOWN, 5.0)
    ):  # fmt: skip
        one = record(it, name)
        one.beat_at = one.judged_since = since
        it.judged(one, Verdict(presence))
    assert [each.name for each in it.worth_telling(0.0)] == ["a", "d"]
    for newcomer, left in (("e", ["a", "b", "d", "e"]), ("f", ["a", "d", "e", "f"]), ("g", ["a", "d", "e", "f"])):
        it.add(Alive(newcomer, 1, 0, INFO), 10.0)
        assert [each.name for each in it] == left
    assert (counts["forgotten_early"], counts["refused_member"]) == (2, 1)


def test_a_newcomer_to_a_full_roster_is_seen_and_who_left_for_it_is_forgotten_altogether(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(4, seed=3)
    monkeypatch.setattr("meshfleet.gossip.roster.MEMBERS", 3)
    world.run(10)
    world.publish("n3", "n3/a", b"x")
    world.run(2)
    world.kill("n3")
    world.run(5)
    assert world.body("n0", "n3", "n3/a") == b"x"
    world.start("n4", join="n0")
    world.run(10)
    assert world.says("n0", "n1", "n2", of="n4") == {Presence.FRESH}
    assert world.says("n0", "n1", "n2", of="n3") == {None}
    assert world.body("n0", "n3", "n3/a") is None
    assert {world.hosts[name].member.counts["forgotten_early"] for name in ("n0", "n1", "n2")} == {1}


def test_facts_keep_how_it_began_and_how_it_is() -> None:
    it = record(roster("a"), "a")
    for i in range(200):
        it.note(Kind.PROBE_FAILED, float(i), "me", f"ping {i}")
        it.note(Kind.REFUSED, float(i), "me", f"refused {i}")
    assert [f.detail for f in it.facts] == ["ping 0", "refused 0", "ping 199", "refused 199"]
    it.note(Kind.VERDICT, 200.0, "me", "judged")
    it.note(Kind.PROBE_FAILED, 201.0, "me", "ping 201")
    assert len(it.facts) == 6


def test_reach_is_said_by_round_trips() -> None:
    members = roster("a")
    it = record(members, "a")
    assert it.reach == "direct"
    it.direct_failed_at, it.relay_via = 10.0, "c"
    assert it.reach == "relay via c"
    it.indirect_at, it.indirect_via = 11.0, "b"
    assert it.reach == "indirect via b"
    it.direct_at = 12.0
    assert it.reach == "direct"
    members.judged(it, Verdict(Presence.DOWN))
    assert it.reach is None
