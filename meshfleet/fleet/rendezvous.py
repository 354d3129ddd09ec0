"""Who of those that are there does something that one should do: rendezvous hashing, without a word between them.

Each ranks all by a hash of their name and the matter, so all who see the same members rank them alike, each matter is
another's, and when somebody goes only what was theirs moves (Thaler and Ravishankar, IEEE/ACM ToN 1998).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

N = TypeVar("N", bound=str)


def ranked(matter: str, names: Iterable[N]) -> list[N]:
    """`names`, whoever's turn it is first."""
    return sorted(names, key=lambda name: (blake2b(f"{matter}\0{name}".encode(), digest_size=8).digest(), name))
