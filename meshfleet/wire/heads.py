"""The heads of a CBOR item, walked before anything is made of them: for what is read before it is known who says it.

What it says of itself, in a few bytes, may be far more than it is: cbor2 takes 64 KiB at once where a text claims to be
longer than that, and 72 bytes for each empty list. A walk takes no memory, and half a microsecond an item at most. On
what members say, behind seals and certificates, it is not spent: it would take as long there as the reading itself.
"""

from __future__ import annotations

from meshfleet.errors import Malformed

_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6
_SHORT = 24
"""Below, the first byte holds the argument itself (RFC 8949, section 3)."""
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
"""Bytes that the argument takes behind it, otherwise. 28 to 30 mean nothing, 31 an indefinite length."""


def check(data: bytes, most: int) -> None:
    """Malformed unless `data` begins with one whole item that holds at most `most`, itself and what is nested counted,
    with definite lengths, without maps and tags."""
    at, items, wanted = 0, 0, 1
    while wanted:
        if at >= len(data):
            raise Malformed("CBOR that ends within an item.")
        major, argument = data[at] >> 5, data[at] & 31
        at += 1
        if argument >= _SHORT:
            width = _WIDTHS.get(argument)
            if width is None:
                raise Malformed(f"CBOR with an item of indefinite length or of no meaning, {data[at - 1]:#x}.")
            argument = int.from_bytes(data[at : at + width])
            at += width
        items, wanted = items + 1, wanted - 1
        if major in (_BYTES, _TEXT):
            at += argument
        elif major == _ARRAY:
            wanted += argument
        elif major in (_MAP, _TAG):
            raise Malformed("CBOR with maps or tags, which are not used here.")
        if items + wanted > most:
            raise Malformed(f"CBOR of more than {most} items.")
        if at + wanted > len(data):
            raise Malformed(f"CBOR that says to be longer than its {len(data)} bytes.")
