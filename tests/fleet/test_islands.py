"""Islands and cuts, from what each node says that it can't reach."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.islands import Cut, cuts, islands

NONE: frozenset[str] = frozenset()


def rows(**missed: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(names) for name, names in missed.items()}


def test_a_fleet_without_exceptions_is_one_island_without_cuts() -> None:
    well = rows(a="", b="", c="")
    assert islands("a", "bc", well, []) == (("a", "b", "c"),)
    assert cuts(well) == ()


def test_who_is_not_heard_is_elsewhere_together_with_whom_it_fell_silent() -> None:
    seen = rows(b="acde", f="acde")
    assert islands("b", "acdef", seen, [("a", "c")]) == (("b", "f"), ("a", "c"), ("d",), ("e",))


def test_who_is_heard_but_reached_by_nobody_is_an_island_of_its_own() -> None:
    deaf_but_talking = rows(a="d", b="d", c="d", d="abc")
    assert islands("a", "bcd", deaf_but_talking, []) == (("a", "b", "c"), ("d",))
    assert islands("d", "abc", deaf_but_talking, []) == (("d",), ("a", "b", "c"))
    assert cuts(deaf_but_talking) == (Cut(("a", "b", "c"), ("d",)),)


def test_a_bridge_holds_both_sides_together_and_the_cut_says_so() -> None:
    bridged = rows(a="de", b="de", c="", d="ab", e="ab")
    assert islands("a", "bcde", bridged, []) == (("a", "b", "c", "d", "e"),)
    assert cuts(bridged) == (Cut(("a", "b"), ("d", "e"), ("c",)),)


def test_one_side_s_word_is_enough_for_a_one_way_cut() -> None:
    assert cuts(rows(a="b", b="", c="")) == (Cut(("a",), ("b",), ("c",)),)


def test_two_cuts_that_share_nobody_are_told_apart() -> None:
    assert cuts(rows(a="b", b="a", c="d", d="c", e="")) == (
        Cut(("a",), ("b",), ("c", "d", "e")),
        Cut(("c",), ("d",), ("a", "b", "e")),
    )


names = st.sampled_from("abcdefgh")
tables = st.dictionaries(names, st.frozensets(names, max_size=5), max_size=8)


@given(tables, st.lists(names, unique=True), names)
def test_everybody_is_on_exactly_one_island_and_mine_comes_first(
    table: dict[str, frozenset[str]], members: list[str], me: str
) -> None:
    found = islands(me, members, table, [])
    assert sorted(name for island in found for name in island) == sorted({me, *members})
    assert me in found[0]


@given(tables)
def test_each_pair_that_misses_one_another_is_in_a_cut_and_no_other(table: dict[str, frozenset[str]]) -> None:
    missed = {frozenset((a, b)) for a in table for b in table[a] if b in table and a != b}
    table = {name: missing - {name} for name, missing in table.items()}
    found = {frozenset((a, b)) for cut in cuts(table) for a in cut.left for b in cut.right if a != b}
    assert found == missed
    for cut in cuts(table):
        for bridge in cut.bridges:
            assert not table[bridge] & {*cut.left, *cut.right}
