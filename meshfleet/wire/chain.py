"""The hash chain behind a member's heartbeats: who sees one proof can make those of all heartbeats before it, and none
of a later one.

    proof of the chain's last heartbeat     BLAKE2b(epoch, end), keyed with a secret of its member's
    proof of each before                    BLAKE2b(proof of the next + how far before the end that is), salted

Eight bytes, for they are told of every heartbeat of everybody. To make one is to find what hashes to the one before:
2^63 trials on average, for one heartbeat of one life of one member, since life and place go into each hash: nothing
that is found or prepared for one helps with another. A rig of 2^36 hashes a second needs four years, and whom it means
to keep alive is forgotten a day after its death.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from meshfleet.gossip.limits import CHAIN

if TYPE_CHECKING:
    from collections.abc import Callable

PROOF_BYTES: Final = 8

STRIDE: Final = 64
"""Heartbeats between two proofs that the origin keeps. It makes those between them anew, each stretch once: it holds
128 proofs instead of 4,096."""

_STEP: Final = b"mf1 beat"
_LIFE: Final = b"mf1 beat life"
_PLACES: Final = tuple(place.to_bytes(2, "big") for place in range(CHAIN + 1))
_CHAINS: Final = 2_048
"""Chains whose salts are remembered, 400 bytes each."""


class Chain:
    """My own chain: the proofs of the heartbeats up to `end`. `last` is the proof of that one, and a secret."""

    def __init__(self, fleet_id: bytes, name: str, epoch: int, end: int, last: bytes) -> None:
        self._of = (fleet_id, name, epoch, end)
        self.end = end
        self._kept = [last]
        for stride in range(CHAIN // STRIDE):
            self._kept.append(back(self._of, stride * STRIDE, self._kept[-1], STRIDE))
        self._from = -1
        self._stretch: list[bytes] = []

    def proof(self, beat: int) -> bytes:
        """The proof of that heartbeat; of the one before the chain's first it is the anchor."""
        place = self.end - beat
        assert 0 <= place <= CHAIN, "a heartbeat of another chain"
        stride = place // STRIDE
        if stride != self._from:
            self._from, self._stretch = stride, [self._kept[stride]]
            for step in range(STRIDE - 1 if stride < CHAIN // STRIDE else 0):
                self._stretch.append(back(self._of, stride * STRIDE + step, self._stretch[-1], 1))
        return self._stretch[place % STRIDE]


def back(of: tuple[bytes, str, int, int], place: int, proof: bytes, steps: int) -> bytes:
    """What a proof, `place` heartbeats before the end of its chain, hashes to in so many steps: that of an earlier one.
    `of`: fleet id, name, epoch and end."""
    fork: Callable[[], blake2b] = _salted(of).copy
    for at in range(place, place + steps):
        hashing = fork()
        hashing.update(proof + _PLACES[at])
        proof = hashing.digest()
    return proof


@lru_cache(maxsize=_CHAINS)
def _salted(of: tuple[bytes, str, int, int]) -> blake2b:
    """The hash of one chain, to be forked for each step: half of what it costs to begin one."""
    fleet_id, name, epoch, end = of
    life = fleet_id + epoch.to_bytes(8, "big") + end.to_bytes(8, "big") + name.encode()
    salt = blake2b(life, digest_size=16, person=_LIFE).digest()
    return blake2b(digest_size=PROOF_BYTES, salt=salt, person=_STEP)
