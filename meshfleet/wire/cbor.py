"""CBOR (RFC 8949) as narrow as we speak it: definite lengths, no tags, no duplicate keys, one item and no more.

What is outside of that is Malformed, whatever it is; nothing else is ever raised. The cost of reading is bounded by the
size of the input, which callers limit: cbor2 allocates as it reads, and by a declared length no more than 64 KiB.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import cbor2

from meshfleet.errors import Malformed
from meshfleet.wire import heads


def load(data: bytes, *, max_depth: int, text_keys: bool) -> object:
    """The one item that `data` is, as lists, dicts, str, bytes, int, float, bool and None (or a stray simple value).

    `text_keys` allows maps text or byte keys only: their hashes are seeded, so that nobody can make them collide.
    """
    source = io.BytesIO(data)
    try:
        item: object = cbor2.load(
            source,
            semantic_decoders=_NO_TAGS,
            max_depth=max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=text_keys,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        raise Malformed(f"not CBOR as we speak it: {error}") from error
    if source.tell() != len(data):
        raise Malformed(f"{len(data) - source.tell()} bytes follow the CBOR item.")
    return item


def load_strange(data: bytes, *, max_depth: int, most: int) -> object:
    """The same of what anybody may have sent, or will have: no maps, and at most `most` items, whose heads are looked
    at before anything is made of them."""
    heads.check(data, most)
    return load(data, max_depth=max_depth, text_keys=True)


def dump(item: object) -> bytes:
    """`item`, made of plain values, as CBOR."""
    return cbor2.dumps(item)


def _refuse(_value: object, _immutable: bool) -> NoReturn:
    raise ValueError("tags are not used here")


class _NoTags(Mapping[int, Callable[[object, bool], NoReturn]]):
    """Has an answer for every tag, so that cbor2 uses none of its own decoders: dates, bignums, regexes, references."""

    def __getitem__(self, tag: int) -> Callable[[object, bool], NoReturn]:
        return _refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_NO_TAGS = _NoTags()
