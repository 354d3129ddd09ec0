"""One exports at a time: the same one by everybody's word, the next where it goes or fails, and each in turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.exporting import Exporting, began, whose_turn
from meshfleet.fleet.names import NodeName


def node(name: str, failures: int = 0, *, there: bool = True, since: int = 1) -> Exporting:
    return Exporting(NodeName(name), there, since, failures)


NODES = st.lists(st.builds(node, st.sampled_from("abcdefgh"), st.integers(0, 3), there=st.booleans()),
                 unique_by=lambda each: each.name)  # fmt: skip


@given(NODES, st.randoms(use_true_random=False))
def test_in_whatever_order_they_are_heard_of_it_is_the_same_one(nodes: list[Exporting], rng: object) -> None:
    shuffled = sorted(nodes, key=lambda _: rng.random())  # type: ignore[attr-defined]  # a random.Random
    assert whose_turn(shuffled) == whose_turn(nodes)


@given(NODES)
def test_it_is_one_that_is_there_and_failed_least(nodes: list[Exporting]) -> None:
    least = min((each.failures for each in nodes if each.is_there), default=None)
    chosen = next((each for each in nodes if each.name == whose_turn(nodes)), None)
    assert (chosen.failures if chosen is not None and chosen.is_there else None) == least


@given(NODES)
def test_when_one_goes_that_had_no_turn_nothing_changes(nodes: list[Exporting]) -> None:
    turn = whose_turn(nodes)
    for gone in nodes:
        if gone.name != turn:
            assert whose_turn([each for each in nodes if each is not gone]) == turn


def test_while_nobody_gets_through_each_tries_in_turn_and_who_does_goes_on() -> None:
    failures = dict.fromkeys("abc", 0)
    tried: list[str] = []
    for _ in range(9):
        turn = whose_turn([node(name, count) for name, count in failures.items()])
        assert turn is not None
        tried.append(turn)
        failures[turn] += 1
    assert Counter(tried) == {"a": 3, "b": 3, "c": 3}
    assert len(set(tried[:3])) == 3
    failures["b"] = 0
    assert whose_turn([node(name, count) for name, count in failures.items()]) == "b"


def test_sums_begin_when_the_first_of_all_began_be_it_gone() -> None:
    assert began([node("a", since=30), node("b", since=20, there=False), node("c", since=40)]) == 20


def test_nobody_is_there() -> None:
    assert whose_turn([node("a", there=False)]) is None
