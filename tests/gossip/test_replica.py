"""Shelves of snapshots: any order gives the same, and `complete` never claims what is not held."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import AGENTS_LIMIT, Snapshot
from meshfleet.gossip.limits import BESIDES, WITHDRAWN
from meshfleet.gossip.messages import Delta, Have
from meshfleet.gossip.replica import Replica, Shelf
from meshfleet.gossip.vouching import Trusting

if TYPE_CHECKING:
    from random import Random

ME, ORIGIN = NodeName("me"), NodeName("origin")
Step = tuple[str, int]


def replica(name: str, epoch: int = 1) -> Replica:
    return Replica(NodeName(name), epoch, Counter(), Trusting().sign)


def shot(
    seq: int, agent: str = "a", *, epoch: int = 1, follows: int = 0, floor: int = 0, body: bytes = b"x"
) -> Snapshot:
    return Snapshot(ORIGIN, Epoch(epoch), seq, follows, floor, AgentId(agent), body)


def contents(shelf: Shelf | None) -> dict[AgentId, bytes]:
    return {} if shelf is None else {s.agent: s.body for s in shelf.living()}


steps = st.lists(st.tuples(st.sampled_from("pppw"), st.integers(0, 4)), max_size=40)


def play(origin: Replica, story: list[Step]) -> list[Snapshot]:
    """An origin publishes and withdraws; everything that it ever sent."""
    sent: list[Snapshot] = []
    for i, (what, agent) in enumerate(story):
        held = contents(origin.shelf(ORIGIN))
        if what == "p":
            sent += origin.publish(AgentId(f"a{agent}"), f"{i}".encode())
        elif AgentId(f"a{agent}") in held:
            sent += origin.publish(AgentId(f"a{agent}"), b"")
    return sent


@given(steps, st.randoms(use_true_random=False))
def test_whatever_order_all_snapshots_come_in_the_shelf_ends_like_the_origins(story: list[Step], rng: Random) -> None:
    origin, reader = replica("origin"), replica("me")
    sent = play(origin, story)
    twice = sent + sent[::2]
    rng.shuffle(twice)
    for snapshot in twice:
        reader.add(snapshot)
    assert contents(reader.shelf(ORIGIN)) == contents(origin.shelf(ORIGIN))
    if sent:
        shelf = reader.shelf(ORIGIN)
        assert shelf is not None
        assert shelf.complete == sent[-1].seq


@settings(max_examples=200)
@given(steps, st.randoms(use_true_random=False), st.floats(0, 1))
def test_complete_never_claims_what_is_not_held(story: list[Step], rng: Random, loss: float) -> None:
    origin, reader = replica("origin"), replica("me")
    sent = play(origin, story)
    arrived = [s for s in sent if rng.random() > loss]
    rng.shuffle(arrived)
    for snapshot in arrived:
        reader.add(snapshot)
        shelf = reader.shelf(ORIGIN)
        assert shelf is not None
        newest: dict[AgentId, Snapshot] = {s.agent: s for s in sent if s.seq <= shelf.complete}
        for agent, due in newest.items():
            held = shelf.held.get(agent)
            assert due.seq <= shelf.floor or (held is not None and held.seq >= due.seq)


@settings(max_examples=150)
@given(steps, st.randoms(use_true_random=False), st.floats(0, 1))
def test_digests_repair_whatever_was_lost(story: list[Step], rng: Random, loss: float) -> None:
    nodes = [replica("origin"), replica("me"), replica("you")]
    for snapshot in play(nodes[0], story):
        for reader in nodes[1:]:
            if rng.random() > loss:
                reader.add(snapshot)
    for _ in range(2):
        rng.shuffle(nodes)
        for a in nodes:
            for b in nodes:
                exchange(a, b)
    want = contents(next(n for n in nodes if n.shelf(ORIGIN) and n._me == ORIGIN).shelf(ORIGIN))
    assert [contents(n.shelf(ORIGIN)) for n in nodes] == [want] * 3
    assert all(n.compare(tuple(m.have())) == ([], []) for n in nodes for m in nodes)


def exchange(a: Replica, b: Replica) -> None:
    """`a` tells `b` its digest; both give the other what it lacks."""
    if a is b:
        return
    b_lacks, a_lacks = b.compare(tuple(a.have()))
    for have in b_lacks:
        if (delta := a.delta(have)) is not None:
            b.apply(delta)
    for have in a_lacks:
        if (delta := b.delta(have)) is not None:
            a.apply(delta)


def test_what_is_told_again_is_no_news_and_counts_once() -> None:
    reader, told = replica("me"), shot(1)
    assert reader.add(told)
    said = reader.said
    assert reader.apply(Delta(ORIGIN, 1, 0, 1, (told,))) == []
    assert reader.said == said


def test_a_later_life_of_the_origin_replaces_everything_of_the_earlier() -> None:
    reader = replica("me")
    assert reader.add(shot(7))
    assert reader.add(shot(1, "b", epoch=2))
    assert not reader.add(shot(8))
    assert list(contents(reader.shelf(ORIGIN))) == ["b"]


def test_a_gap_is_held_open_until_it_is_known_to_be_empty() -> None:
    shelf = Shelf(1)
    shelf.add(shot(1))
    shelf.add(shot(4, "b", follows=3))
    assert shelf.complete == 1
    shelf.complete_to(2, 3)  # says nothing about the gap from 1 to 2
    assert shelf.complete == 1
    shelf.complete_to(1, 3)
    assert shelf.complete == 4


def test_nobody_tells_me_about_my_own_agents() -> None:
    origin = replica("origin")
    origin.publish(AgentId("a"), b"mine")
    assert not origin.add(shot(99, body=b"forged"))
    assert contents(origin.shelf(ORIGIN)) == {"a": b"mine"}


def test_tombstones_are_forgotten_by_raising_the_floor_and_nobody_comes_back() -> None:
    origin, away = replica("origin"), replica("me")
    for snapshot in origin.publish(AgentId("keep"), b"k"):
        away.add(snapshot)
    for i in range(WITHDRAWN + 1):
        for snapshot in origin.publish(AgentId(f"a{i}"), b"x"):
            away.add(snapshot)  # it saw them all come
        origin.publish(AgentId(f"a{i}"), b"")  # and none of them go
    shelf = origin.shelf(ORIGIN)
    assert shelf is not None
    assert shelf.floor > 0
    assert len(shelf.held) < WITHDRAWN
    exchange(origin, away)
    assert contents(away.shelf(ORIGIN)) == {"keep": b"k"}


def a_long_story(rng: Random) -> tuple[Replica, list[Snapshot]]:
    """An origin that carries two agents for good and others for a while, and keeps two tombstones, not 64: its floor
    rises many times. All that it ever sent."""
    origin = replica("origin")
    sent = [*origin.publish(AgentId("keep"), b"k"), *origin.publish(AgentId("too"), b"t")]
    story = [(rng.choice("pwww"), rng.randrange(6)) for _ in range(rng.randrange(60))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meshfleet.gossip.replica.WITHDRAWN", 2)
        for i in range(6):
            sent += origin.publish(AgentId(f"a{i}"), b"x")
        return origin, sent + play(origin, story)


@given(st.randoms(use_true_random=False), st.floats(0, 1))
def test_what_lives_is_never_out_of_sight_while_a_floor_rises_whatever_was_lost_or_overtaken(
    rng: Random, loss: float
) -> None:
    origin, sent = a_long_story(rng)
    reader = replica("me")
    arrived = sent[:2] + [s for s in sent[2:] if rng.random() > loss]
    rng.shuffle(arrived)
    for snapshot in arrived:
        before = contents(reader.shelf(ORIGIN)).keys()
        reader.add(snapshot)
        after = contents(reader.shelf(ORIGIN)).keys()
        assert {AgentId("keep"), AgentId("too")} & before <= after
    exchange(origin, reader)
    assert contents(reader.shelf(ORIGIN)) == contents(origin.shelf(ORIGIN))


@given(st.randoms(use_true_random=False), st.floats(0, 1))
def test_the_same_snapshots_make_the_same_shelf_in_any_order_and_however_often_floors_and_all(
    rng: Random, loss: float
) -> None:
    arrived = [s for s in a_long_story(rng)[1] if rng.random() > loss]
    readers = [replica("me"), replica("you")]
    for reader in readers:
        twice = arrived + arrived[::2]
        rng.shuffle(twice)
        for snapshot in twice:
            reader.add(snapshot)
    one, other = (reader.shelf(ORIGIN) for reader in readers)
    if one is not None and other is not None:
        assert (one.held, one.floor, one.complete, one.bytes) == (other.held, other.floor, other.complete, other.bytes)
        assert not any(readers[0].is_news(snapshot) for snapshot in arrived)


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.floats(0, 1))
def test_two_who_hold_all_up_to_the_same_seq_and_nothing_beyond_hold_the_same_agents(rng: Random, loss: float) -> None:
    origin, sent = a_long_story(rng)
    nodes = [origin, replica("me"), replica("you"), replica("them")]
    for snapshot in sent:
        for reader in nodes[1:]:
            if rng.random() > loss:
                reader.add(snapshot)
        if rng.random() < 0.1:
            exchange(*rng.sample(nodes[1:], 2))
        at_rest: dict[int, dict[AgentId, bytes]] = {}
        for shelf in [shelf for reader in nodes[1:] if (shelf := reader.shelf(ORIGIN)) is not None]:
            if not shelf.since(shelf.complete):
                assert at_rest.setdefault(shelf.complete, contents(shelf)) == contents(shelf)
    for reader in nodes[1:]:
        exchange(nodes[0], reader)
        assert contents(reader.shelf(ORIGIN)) == contents(origin.shelf(ORIGIN))


def test_who_was_away_while_all_agents_were_withdrawn_shows_none_of_them_once_it_holds_what_the_others_hold() -> None:
    origin, away = replica("origin"), replica("me")
    for i in range(WITHDRAWN + 1):
        for snapshot in origin.publish(AgentId(f"a{i}"), b"x"):
            away.add(snapshot)
    for i in range(WITHDRAWN + 1):
        origin.publish(AgentId(f"a{i}"), b"")
    exchange(origin, away)
    assert origin.compare(tuple(away.have([ORIGIN]))) == ([], [])
    assert contents(away.shelf(ORIGIN)) == contents(origin.shelf(ORIGIN)) == {}


def test_a_withdrawal_that_raises_the_floor_is_told_itself_first_and_carries_the_floor_last() -> None:
    origin = replica("origin")
    origin.publish(AgentId("keep"), b"k")
    for i in range(WITHDRAWN):
        origin.publish(AgentId(f"a{i}"), b"x")
        assert [s.body for s in origin.publish(AgentId(f"a{i}"), b"")] == [b""]
    origin.publish(AgentId("last"), b"x")
    told = origin.publish(AgentId("last"), b"")
    assert [(s.agent, s.body) for s in told] == [("last", b""), ("keep", b"k"), ("last", b"")]
    assert [s.floor > 0 for s in told] == [False, False, True]


def test_a_node_whose_agents_are_all_others_when_one_comes_back_is_shown_as_it_is() -> None:
    origin, away = replica("origin"), replica("me")
    for turn in range(4):
        for i in range(AGENTS_LIMIT):
            told = origin.publish(AgentId(f"{turn}-{i}"), b"x")
            if turn == 0:
                away.add(told[0])
        if turn < 3:
            for i in range(AGENTS_LIMIT):
                origin.publish(AgentId(f"{turn}-{i}"), b"")
    exchange(origin, away)
    assert contents(away.shelf(ORIGIN)) == contents(origin.shelf(ORIGIN))
    assert len(contents(away.shelf(ORIGIN))) == AGENTS_LIMIT


def test_nobody_hides_behind_a_floor_above_its_own_word() -> None:
    reader = replica("me")
    assert reader.add(shot(3, floor=2**40))
    assert not reader.add(shot(3, floor=2**40))
    assert not reader.is_news(shot(3, floor=2**40))
    assert reader.add(shot(4, follows=3, floor=2**40))
    shelf = reader.shelf(ORIGIN)
    assert shelf is not None
    assert (shelf.floor, shelf.complete) == (3, 4)


def test_my_agents_go_on_into_a_later_life_of_mine() -> None:
    origin, reader = replica("origin"), replica("me")
    for snapshot in origin.publish(AgentId("a"), b"1"):
        reader.add(snapshot)
    for snapshot in origin.begin_life(2):
        reader.add(snapshot)
    assert contents(reader.shelf(ORIGIN)) == {"a": b"1"}
    shelf = reader.shelf(ORIGIN)
    assert shelf is not None
    assert shelf.epoch == 2


def test_one_node_cannot_fill_my_memory_with_agents() -> None:
    counts: Counter[str] = Counter()
    reader = Replica(ME, 1, counts, Trusting().sign)
    for seq in range(1, AGENTS_LIMIT + WITHDRAWN + BESIDES + 100):
        reader.add(shot(seq, f"a{seq}"))
    shelf = reader.shelf(ORIGIN)
    assert shelf is not None
    assert len(shelf.held) == AGENTS_LIMIT + WITHDRAWN + BESIDES + 1
    assert counts["refused_snapshot"] == 98
    assert shelf.floor == min(s.seq for s in shelf.held.values()) - 1 == 98  # the oldest went, and stay away
    assert not reader.add(shot(98, "a98"))
    assert reader.add(shot(9_999, "a99"))  # who is held already may change
    assert counts["refused_snapshot"] == 98


def test_the_bytes_of_all_shelves_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = replica("me")
    monkeypatch.setattr("meshfleet.gossip.replica.REPLICA_BYTES", 100)
    assert reader.add(shot(1, "a", body=b"x" * 100))
    assert not reader.add(shot(2, "b"))
    assert reader.bytes_held() == 100
    assert reader.add(shot(3, "a", body=b"y"))
    assert reader.bytes_held() == 1
    reader.drop(ORIGIN)
    assert reader.bytes_held() == 0


def test_a_delta_of_one_node_brings_nothing_of_another() -> None:
    reader = replica("me")
    other = Snapshot(NodeName("other"), Epoch(1), 1, 0, 0, AgentId("a"), b"x")
    assert reader.apply(Delta("origin", 1, 0, 5, (other,))) == []
    assert reader.shelf("other") is None


def test_what_is_asked_for_of_nobody_or_of_a_later_life_is_not_answered() -> None:
    origin = replica("origin", epoch=5)
    assert origin.delta(Have("nobody", 1, 0)) is None
    assert origin.delta(Have("origin", 6, 0)) is None
    assert origin.delta(Have("origin", 5, 0)) is None
    origin.publish(AgentId("a"), b"x")
    delta = origin.delta(Have("origin", 4, 77))
    assert delta is not None
    assert (delta.after, delta.upto) == (0, 1)


def test_a_digest_can_be_of_a_few_nodes() -> None:
    reader = replica("me")
    reader.add(shot(1))
    assert [h.node for h in reader.have([ORIGIN])] == ["origin"]
    assert reader.have([NodeName("nobody")]) == []
