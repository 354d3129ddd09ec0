"""What an object holds, all that can be reached from it: how many things, how many of them in containers, how large.

By path: `member.roster._records[].facts[]` is every fact of every record, and `[k]` the keys of a mapping. Whatever is
found by several paths counts for the shortest. So that what grows is named, whoever let it grow.
"""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = (list, tuple, set, frozenset, deque)
ALONE = (str, bytes, bytearray, int, float, complex, type(None), type, ModuleType)
DEEPEST = 24
"""Steps of a path after which it is cut off: a chain of objects would have a path for each link."""


class Held(msgspec.Struct):
    """What was found at one path."""

    objects: int = 0
    items: int = 0
    """In them, where they are containers."""
    bytes: int = 0


def held(**roots: object) -> dict[str, Held]:
    """All that can be reached from these, by path; a path begins with the name of its root."""
    found: dict[str, Held] = {}
    seen: dict[int, object] = {}
    waiting = deque((thing, name) for name, thing in roots.items())
    while waiting:
        thing, path = waiting.popleft()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept, so that no other gets its id
        at = found.setdefault(path, Held())
        at.objects += 1
        at.bytes += sys.getsizeof(thing)
        if isinstance(thing, (dict, *CONTAINERS)):
            at.items += len(thing)
        deeper = path.count(".") + path.count("[") < DEEPEST
        waiting.extend((inner, path + step if deeper else path) for step, inner in _inside(thing))
    return found


def _inside(thing: object) -> Iterator[tuple[str, object]]:
    if isinstance(thing, ALONE):
        return
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield "[k]", key
            yield "[]", value
    elif isinstance(thing, CONTAINERS):
        for each in thing:
            yield "[]", each
    elif isinstance(thing, MethodType):
        yield "()", thing.__self__
    elif isinstance(thing, FunctionType):
        for cell in thing.__closure__ or ():
            yield "()", cell.cell_contents
    elif isinstance(thing, partial):
        yield "()", thing.func
        for argument in (*thing.args, *thing.keywords.values()):
            yield "()", argument
    for name in _fields(thing):
        if hasattr(thing, name):
            yield f".{name}", getattr(thing, name)


def _fields(thing: object) -> list[str]:
    names = [*getattr(thing, "__dict__", ()), *getattr(type(thing), "__struct_fields__", ())]
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in dict.fromkeys(names) if not name.startswith("__")]
