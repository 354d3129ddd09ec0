"""Strategies: claims about few names with few numbers, so that they meet each other often."""

from __future__ import annotations

from hypothesis import strategies as st

from meshfleet.gossip.messages import Alive, Claim, Left, NodeInfo, Obituary, Suspect

NAMES = ["a", "b"]
OTHERS = ["x", "y", "z"]

small = st.integers(0, 3)
infos = st.builds(NodeInfo, st.just("h"), st.just("10.0.0.1"), st.integers(1, 2), zone=st.sampled_from([None, "east"]))


def claims(name: str | None = None) -> st.SearchStrategy[Claim]:
    """Any claim about `name`, or about one of a few."""
    names = st.sampled_from(NAMES) if name is None else st.just(name)
    others = st.sampled_from(OTHERS)
    return st.one_of(
        st.builds(Alive, names, small, small, infos),
        st.builds(Suspect, names, small, small, others),
        st.builds(Left, names, small, others, st.sampled_from(["left", "forgotten"])),
        st.builds(lambda n, e: Left(n, e, n), names, small),
        st.builds(Obituary, names, small, small, others, st.sampled_from(["seen", "refused"])),
    )
