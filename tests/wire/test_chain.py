"""Proofs of heartbeats: each is its origin's, of one life and one place; who sees it can make none of a later one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.fleet.names import NodeName
from meshfleet.gossip.limits import CHAIN
from meshfleet.gossip.tags import beat_tag, chain_end
from meshfleet.wire.chain import PROOF_BYTES, STRIDE, Chain, back
from meshfleet.wire.identity import Authority, NodeKey
from meshfleet.wire.notary import Notary

NOW = 1_900_000_000.0
AUTHORITY = Authority.begin(NodeKey.of(b"a" * 32), NOW)
EPOCH = 1_763_923_200_123
END = 5_000


def notary(name: str, authority: Authority = AUTHORITY) -> Notary:
    key = NodeKey.of(name.encode().ljust(32, b"."))
    return Notary(authority.fleet, key, authority.issue(NodeName(name), "agent", key.public, NOW), lambda: NOW)


N1, READER = notary("n1"), notary("reader")
beats = st.integers(END - CHAIN, END)


def told(beat: int, *, by: Notary = N1, epoch: int = EPOCH, end: int = END) -> tuple[int, bytes]:
    return beat, by.prove(epoch, end, beat)


@given(beats, beats)
def test_a_later_proof_hashes_back_to_every_earlier_one_and_an_earlier_to_no_later(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    assert READER.follows("n1", EPOCH, END, told(earlier), told(later))
    assert earlier == later or not READER.follows("n1", EPOCH, END, told(later), told(earlier))


@given(beats, st.integers(1, 70), st.integers(0, 8 * PROOF_BYTES - 1))
def test_a_proof_of_which_any_bit_was_altered_proves_nothing(beat: int, gap: int, bit: int) -> None:
    known = told(max(END - CHAIN, beat - gap))
    altered = (int.from_bytes(told(beat)[1], "big") ^ 1 << bit).to_bytes(PROOF_BYTES, "big")
    assert not READER.follows("n1", EPOCH, END, known, (beat, altered))


@given(beats, st.integers(1, 70))
def test_a_proof_is_of_its_heartbeat_alone(beat: int, shift: int) -> None:
    known = told(END - CHAIN)
    for other in (beat - shift, beat + shift):
        assert not READER.follows("n1", EPOCH, END, known, (other, told(beat)[1]))


def test_a_proof_is_of_one_member_one_life_one_chain_and_one_fleet() -> None:
    elsewhere = notary("n1", Authority.begin(NodeKey.of(b"x" * 32), NOW))
    known, next_one = told(100 + END - CHAIN), 101 + END - CHAIN
    genuine = told(next_one)
    assert READER.follows("n1", EPOCH, END, known, genuine)
    assert not READER.follows("n2", EPOCH, END, known, genuine)
    assert not READER.follows("n1", EPOCH + 1, END, known, genuine)
    assert not READER.follows("n1", EPOCH, END + 1, known, genuine)
    assert not elsewhere.follows("n1", EPOCH, END, known, genuine)
    others = [
        told(next_one, by=notary("n2")),
        told(next_one, epoch=EPOCH + 1),
        told(next_one, end=END + 1),
        told(next_one, by=elsewhere),
    ]
    assert len({proof for _, proof in [*others, genuine]}) == 5
    assert not any(READER.follows("n1", EPOCH, END, known, other) for other in others)


@given(st.integers(-(2**60), 2**60), st.binary(max_size=20), st.integers(-(2**60), 2**60), st.binary(max_size=20))
def test_garbage_proves_nothing_and_raises_nothing(known: int, one: bytes, beat: int, other: bytes) -> None:
    assert not READER.follows("n1", EPOCH, END, (known, one), (beat, other)) or (known, one) == (beat, other)


@pytest.mark.parametrize("cut", range(PROOF_BYTES))
def test_a_shortened_proof_proves_nothing_though_it_begins_as_it_should(cut: int) -> None:
    beat, proof = told(END - 7)
    assert not READER.follows("n1", EPOCH, END, told(END - 8), (beat, proof[:cut]))
    assert not READER.follows("n1", EPOCH, END, (beat, proof[:cut]), (beat, proof[:cut]))


def test_nobody_is_made_to_hash_further_than_one_chain_is_long() -> None:
    assert READER.follows("n1", EPOCH, END, told(END - CHAIN), told(END))
    known = told(END - CHAIN)
    assert not READER.follows("n1", EPOCH, END, (known[0] - 1, known[1]), told(END))
    assert not READER.follows("n1", EPOCH, END, known, (END + 1, bytes(PROOF_BYTES)))


def test_the_origin_keeps_few_proofs_and_gives_all_in_any_order() -> None:
    chain = Chain(b"f" * 16, "n1", EPOCH, END, b"the last")
    order = [*range(END - CHAIN, END + 1), *range(END, END - CHAIN - 1, -997)]
    proofs = {beat: chain.proof(beat) for beat in order}
    assert proofs[END] == b"the last"
    of = (b"f" * 16, "n1", EPOCH, END)
    assert all(
        back(of, END - beat, proofs[beat], 1) == proofs[before] for before, beat in pairwise(range(END - CHAIN, END))
    )
    assert all(chain.proof(beat) == proofs[beat] for beat in order)
    assert len(chain._kept) + len(chain._stretch) <= CHAIN // STRIDE + 1 + STRIDE


def test_a_restart_in_the_same_life_tells_the_same_proofs_and_another_life_others() -> None:
    assert told(END - 9, by=notary("n1")) == told(END - 9)
    assert told(END - 9, epoch=EPOCH + 1) != told(END - 9)


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**53))
def test_every_heartbeat_is_in_one_chain_and_chains_follow_each_other(tag: int, beat: int) -> None:
    end = chain_end(tag, beat)
    assert beat < end <= beat + CHAIN
    assert chain_end(tag, end - 1) == end
    assert chain_end(tag, end) == end + CHAIN


def test_members_change_chains_at_different_counts() -> None:
    ends = [chain_end(beat_tag(f"n{i:03}", EPOCH), 0) for i in range(128)]
    assert len(set(ends)) > 120
