"""Whose turn it is to tell somebody of a notice, so that a fleet tells it once, and not each of its nodes.

Those that are set up to deliver say so, and say what they have told. Of those that are there, each notice has an order
(rendezvous hashing). The first tells it; each next one waits a while longer, and tells it if by then none has. Where a
fleet is cut in two, each side tells it: twice is allowed, silence is not.

Anybody in the fleet can say that it is set up, and that it has told what nobody was told. So the first goes by nobody's
word, and the words of those before one are worth time, not belief: one holds back for an hour, and each more for twice
as long as the one before it. What lasts so long is told again, once by each, seldom and more seldom.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.rendezvous import ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.notice import Notice

HELD = 3_600.0
"""Seconds for which the word of one other holds back who would tell it else."""

WORDS = 20
"""Words that count. So many are a century; for some more there would be no number."""

TOLERANCE = 120.0
"""Seconds by which clocks may differ when something began here and was told there."""


class Told(msgspec.Struct, frozen=True, array_like=True):
    """That a notice was told."""

    severity: int
    """Rank of the severity that it had."""
    at: int
    """Unix time."""


class Teller(msgspec.Struct, frozen=True):
    """A node that is set up to deliver."""

    name: str
    is_there: bool
    told: Mapping[bytes, Told]
    """By `short` key. Who is there lists what it has told for as long as it lasts."""


def short(key: str) -> bytes:
    """A notice's key in eight bytes."""
    return blake2b(key.encode(), digest_size=8).digest()


def is_told(
    notice: Notice, began: float, tellers: Sequence[Teller], me: str, due: float, *, failed: bool = False
) -> bool:
    """Whether `me`, whose turn it has been for `due` seconds, has told it, as severe as it is now, or leaves it for now
    to others that say so: those before it in turn, or, where it `failed` to tell it, all. The word of one that is gone
    counts for what it told since this began: it can't say any more that it was over in between."""
    key, words = short(notice.key), 0
    for teller in tellers:
        told = teller.told.get(key)
        if told is None or told.severity < notice.severity.rank:
            continue
        if teller.name == me:
            return True
        before_me = failed or ranked(notice.key, (teller.name, me))[0] != me
        words += before_me and (teller.is_there or told.at >= began - TOLERANCE)
    return due < HELD * ((1 << min(words, WORDS)) - 1)


def place(notice: Notice, me: str, tellers: Sequence[Teller]) -> int:
    """How many of those that are there come before `me`."""
    return ranked(notice.key, {me, *(teller.name for teller in tellers if teller.is_there)}).index(me)
