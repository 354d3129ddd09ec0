"""Who speaks for a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import NodeName
from meshfleet.zones.delegates import DELEGATES, delegates

if TYPE_CHECKING:
    from random import Random

members = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4).map(NodeName), st.sampled_from(["h1", "h2", "h3", "h4"]), max_size=12
)


@given(members, st.randoms())
def test_all_who_see_the_same_choose_alike(there: dict[NodeName, str], rng: Random) -> None:
    mixed = [*there.items()]
    rng.shuffle(mixed)
    assert delegates("eu", there.items()) == delegates("eu", mixed)


@given(members)
def test_they_are_three_on_hosts_of_their_own_where_there_are_as_many(there: dict[NodeName, str]) -> None:
    chosen = delegates("eu", there.items())
    assert len(chosen) == min(DELEGATES, len(there))
    assert len({there[name] for name in chosen}) == min(len(chosen), len(set(there.values())))


@given(members, st.data())
def test_who_goes_is_replaced_and_the_others_stay(there: dict[NodeName, str], data: st.DataObject) -> None:
    apart = {name: f"h-{name}" for name in there}
    chosen = delegates("eu", apart.items())
    gone = data.draw(st.sampled_from(sorted(there))) if there else NodeName("nobody")
    left = delegates("eu", [(name, host) for name, host in apart.items() if name != gone])
    assert [name for name in left if name in chosen] == [name for name in chosen if name != gone]


def test_each_zone_has_an_order_of_its_own() -> None:
    there = [(NodeName(f"n{n}"), f"h{n}") for n in range(50)]
    assert len({tuple(delegates(f"z{n}", there)) for n in range(20)}) == 20
