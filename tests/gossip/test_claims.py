"""Claims merge as a join: in any order, however often, by whatever way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.gossip.claims import NEVER, Known
from meshfleet.gossip.limits import ACCUSERS
from meshfleet.gossip.messages import Alive, Claim, Left, NodeInfo, Obituary, Suspect
from tests.gossip.drawing import claims

if TYPE_CHECKING:
    from random import Random

INFO = NodeInfo("h", "10.0.0.1", 1)


def known(*told: Claim) -> Known:
    it = Known()
    for claim in told:
        it.add(claim)
    return it


@given(st.lists(claims("a"), max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_the_same_claims_told_again_gives_the_same(told: list[Claim], rng: Random) -> None:
    """Again, for an accusation that comes before the word that it is of is not kept."""
    shuffled, again = list(told), list(told)
    rng.shuffle(shuffled)
    rng.shuffle(again)
    assert known(*told, *told) == known(*shuffled, *again)


@given(st.lists(claims("a"), max_size=8), st.randoms(use_true_random=False))
def test_after_the_members_own_words_any_order_and_any_repetition_gives_the_same(
    told: list[Claim], rng: Random
) -> None:
    own = [claim for claim in told if isinstance(claim, Alive)]
    others = [claim for claim in told if not isinstance(claim, Alive)]
    shuffled = others + others[: len(others) // 2]
    rng.shuffle(shuffled)
    assert known(*own, *others) == known(*own, *shuffled)


@given(st.lists(claims("a"), max_size=8), claims("a"))
def test_no_accusation_puts_aside_what_stands_against_the_members_last_word(told: list[Claim], one: Claim) -> None:
    it = known(Alive("a", 1, 1, INFO), *told)
    before = it.accusers, it.obituaries
    accused, buried = it.is_accused, it.is_buried
    if isinstance(one, Suspect | Obituary):
        it.add(one)
        assert (it.is_accused, it.is_buried) >= (accused, buried)
        if it.is_accused:
            assert before[0] <= it.accusers or len(it.accusers) == ACCUSERS


@given(st.lists(claims("a"), max_size=6), st.lists(claims("a"), max_size=6))
def test_two_that_tell_each_other_all_they_know_know_the_same(mine: list[Claim], yours: list[Claim]) -> None:
    a, b = known(*mine), known(*yours)
    if a.alive is None or b.alive is None:
        return  # accusations of somebody who was never introduced are kept, and not passed on
    for claim in b.claims():
        a.add(claim)
    for claim in a.claims():
        b.add(claim)
    assert (a.alive, a.has_left, a.is_accused, a.is_buried) == (b.alive, b.has_left, b.is_accused, b.is_buried)
    if a.is_accused:
        assert (a.accused, a.accusers) == (b.accused, b.accusers)
    if a.is_buried:
        assert a.obituaries == b.obituaries


@given(st.lists(claims("a"), max_size=8), claims("a"))
def test_a_claim_that_is_no_news_changes_nothing_and_one_that_is_news_is_news_once(
    told: list[Claim], one: Claim
) -> None:
    it, before = known(*told), known(*told)
    news = it.add(one)
    assert news == (it != before)
    assert not it.add(one)


@given(st.lists(claims("a"), max_size=8))
def test_what_the_member_says_itself_never_goes_back(told: list[Claim]) -> None:
    it, number = Known(), NEVER
    for claim in told:
        it.add(claim)
        assert it.number >= number
        number = it.number


def test_a_later_word_refutes_and_an_earlier_does_not() -> None:
    accused = known(Alive("a", 1, 0, INFO), Suspect("a", 1, 0, "x"))
    assert accused.is_accused
    assert not known(*accused.claims(), Alive("a", 1, 1, INFO)).is_accused
    assert not known(*accused.claims(), Alive("a", 2, 0, INFO)).is_accused
    assert known(Alive("a", 1, 1, INFO), Suspect("a", 1, 0, "x")).is_accused is False


def test_an_obituary_is_refuted_by_a_later_word_too() -> None:
    buried = known(Alive("a", 1, 0, INFO), Obituary("a", 1, 0, "x", "seen"))
    assert buried.is_buried
    assert not known(*buried.claims(), Alive("a", 1, 1, INFO)).is_buried


def test_a_goodbye_is_final_for_its_epoch_and_no_longer() -> None:
    left = known(Alive("a", 2, 0, INFO), Left("a", 2, "a"))
    assert left.has_left
    assert known(*left.claims(), Alive("a", 2, 9, INFO)).has_left
    assert not known(*left.claims(), Alive("a", 3, 0, INFO)).has_left


def test_who_left_is_neither_accused_nor_buried() -> None:
    left = known(Alive("a", 1, 0, INFO), Suspect("a", 1, 0, "x"), Obituary("a", 1, 0, "x", "seen"), Left("a", 1, "a"))
    assert (left.is_accused, left.is_buried) == (False, False)


def test_nobody_accuses_or_buries_itself() -> None:
    assert not known().add(Suspect("a", 1, 0, "a"))
    assert not known().add(Obituary("a", 1, 0, "a", "seen"))


def test_a_newer_suspicion_forgets_the_accusers_of_the_older() -> None:
    it = known(Suspect("a", 1, 0, "x"), Suspect("a", 1, 0, "y"), Suspect("a", 1, 1, "z"))
    assert (it.accused, it.accusers) == ((1, 1), frozenset({"z"}))


def test_an_accusation_ahead_of_the_word_that_it_is_of_waits_for_nothing() -> None:
    it = known(Alive("a", 1, 0, INFO), Suspect("a", 1, 0, "x"), Suspect("a", 1, 1, "liar"), Suspect("a", 9, 0, "liar"))
    assert (it.accused, it.accusers) == ((1, 0), frozenset({"x"}))
    assert known(Suspect("a", 9, 0, "liar"), Alive("a", 1, 0, INFO)) == known(Alive("a", 1, 0, INFO))
    assert not known(Obituary("a", 9, 0, "liar", "seen"), Alive("a", 1, 0, INFO)).is_buried


def test_of_each_host_one_accuser_is_remembered_whatever_many_there_are() -> None:
    on = {"b-1": "b", "c-1": "c"}
    crowd = [f"a-{i:02}" for i in range(2 * ACCUSERS)]
    told = [Suspect("v", 1, 0, by) for by in (*crowd, "c-1", "b-1")]
    there, back = Known(lambda by: on.get(by, "a")), Known(lambda by: on.get(by, "a"))
    for claim in told:
        there.add(claim)
    for claim in reversed(told):
        back.add(claim)
    assert there.accusers == back.accusers == {"a-00", "b-1", "c-1"}


def test_the_members_own_goodbye_outweighs_an_operators() -> None:
    own, forgotten = Left("a", 1, "a"), Left("a", 1, "z", "forgotten")
    assert known(own, forgotten).left == known(forgotten, own).left == own


@given(st.permutations([f"n{i:02}" for i in range(ACCUSERS + 4)]))
def test_of_many_accusers_the_same_few_are_remembered_in_any_order(names: list[str]) -> None:
    it = known(*(Suspect("a", 1, 0, by) for by in names), *(Obituary("a", 1, 0, by, "seen") for by in names))
    assert it.accusers == {f"n{i:02}" for i in range(ACCUSERS)}
    assert [o.by for o in it.obituaries] == [f"n{i:02}" for i in range(ACCUSERS)]
