"""Who is with whom: islands, and the cuts that run through them, from what each node says that it can't reach.

A node tells exceptions only: whom it does not reach directly, of those that it knows. So silence about a pair means
that it is well, and a fleet without trouble says nothing. (Pekko keeps such a table too, and downs by it. Here it is
drawn, and nobody is judged by another's word.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Unreached = frozenset[str]
"""Names of those that some node does not reach directly."""


class Cut(msgspec.Struct, frozen=True):
    """A line that nothing crosses directly: who is on either side, and who reaches both."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    bridges: tuple[str, ...] = ()


def islands(
    me: str, members: Sequence[str], rows: Mapping[str, Unreached], together: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """`members` and me, parted into sets that reach each other, over others too: mine first, then the largest.

    `rows` holds what each node that is heard of says, mine among them; of who has none nothing is heard. Nobody here
    can reach these, or their heartbeats would come round; and two of them count as together where they fell silent
    `together`, since nobody here can tell. Names are sorted.
    """
    names = sorted({me, *members})
    todo = dict.fromkeys(names)
    mates = {name: group for group in together for name in group}
    parts: list[tuple[str, ...]] = []
    while todo:
        front = [me if me in todo else next(iter(todo))]
        del todo[front[0]]
        part = list(front)
        while front:
            a = front.pop()
            near = [b for b in todo if _reach_each_other(a, b, rows, mates)]
            for b in near:
                del todo[b]
            front += near
            part += near
        parts.append(tuple(sorted(part)))
    return (parts[0], *sorted(parts[1:], key=lambda part: (-len(part), part)))


def _reach_each_other(a: str, b: str, rows: Mapping[str, Unreached], mates: Mapping[str, Sequence[str]]) -> bool:
    of_a, of_b = rows.get(a), rows.get(b)
    if of_a is None and of_b is None:
        return b in mates.get(a, ())
    return of_a is not None and of_b is not None and b not in of_a and a not in of_b


def cuts(rows: Mapping[str, Unreached]) -> tuple[Cut, ...]:
    """The cuts that run between nodes which are both heard of: so at least one of them reaches either side.

    Nodes that miss the same others stand together; a pair of such sets that miss each other is a cut.
    """
    missed: dict[str, set[str]] = {}
    for a in sorted(rows):
        for b in rows[a]:
            if b in rows:
                missed.setdefault(a, set()).add(b)
                missed.setdefault(b, set()).add(a)
    blocks: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(missed):
        blocks.setdefault(tuple(sorted(missed[name])), []).append(name)
    found: list[Cut] = []
    drawn: set[tuple[str, str]] = set()
    for right, left in sorted(blocks.items(), key=lambda block: (-len(block[0]) * len(block[1]), block[1])):
        pairs = {(a, b) for a in left for b in right}
        if pairs <= drawn:
            continue  # the same, seen from the other side
        drawn |= pairs | {(b, a) for a, b in pairs}
        sides = {*left, *right}
        bridges = tuple(name for name in sorted(rows) if name not in sides and not sides & missed.get(name, set()))
        found.append(Cut(tuple(left), right, bridges))
    return tuple(found)
