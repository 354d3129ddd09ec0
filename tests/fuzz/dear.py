"""Inputs made to be dear: one item over and over, up to the longest input, at a place where many may stand."""

from __future__ import annotations

import cbor2
from hypothesis import strategies as st

from tests.fuzz.certificates import CERTIFICATE

_HEAD = ["n1", 1_763_923_200_123, 88, 30, 1_763_923_200_128]
_INFO = ["box", "::1", 7878, None, "agent", None, "9.9", None, 1, False]
_SHOT = ["n1", 1, 5, 4, 0, "box/codex-1", b"", b""]

ITEMS: tuple[object, ...] = (
    0, 2**53 - 1, 2**64 - 1, -(2**64), 1.5, 1e300, None, False, cbor2.undefined, cbor2.CBORSimpleValue(99), "", "n",
    "é", "n1", "x" * 64, b"", bytes(64), [], {}, [[]], [0], [""], {"": 0}, ["n1", 1, 1], [10, 7, "n2"], [31], [99],
    [7, "n1", 1, bytes(64)], [2, "n1", 1, 0, "n2"], [1, "n1", 1, 0, _INFO, CERTIFICATE.credential, bytes(64)],
    [6, "n1", 1, 1, [], None, b""], [20, _SHOT], _SHOT, [5, b""], [5, b"\x11" + bytes(8 * 100)], [21, []],
    [8, bytes(4), b"\xff" * 1_251], [9, bytes(4), 10_000, b"\xff" * 128, b"\x11" + bytes(10 * 1_024)], [24, [1] * 256],
)  # fmt: skip

PLACES = ("messages", "behind", "number", "unreached", "digest", "claims", "snapshots", "rows", "map", "word")


def repeated(item: object, place: str, longest: int) -> bytes:
    """A packet, or a word at the entrance, of nearly `longest` bytes: `item` as often as it fits in that `place`."""
    room = max(0, longest - 400)
    many = [item] * (room // len(cbor2.dumps(item)))
    match place:
        case "messages":
            return _packet(*many)
        case "behind":
            return cbor2.dumps([*_HEAD, [], many])
        case "number":
            return _packet([many])
        case "unreached":
            return _packet([6, "n1", 1, 1, many, None, b""])
        case "digest":
            return _packet([21, many])
        case "claims":
            return _packet([30, many, [5, b""], [21, []], False, [], []])
        case "rows":
            return _packet([30, [], [5, b""], [21, []], False, many, []])
        case "snapshots":
            return _packet([23, "n1", 1, 0, 9, many])
        case "map":
            return cbor2.dumps([*_HEAD, [], {str(i): item for i in range(room // (len(cbor2.dumps(item)) + 6))}])
    return cbor2.dumps([5, b"", b"", many])


def _packet(*messages: object) -> bytes:
    return cbor2.dumps([*_HEAD, list(messages)])


def cbor_of(longest: int) -> st.SearchStrategy[bytes]:
    """Such packets and words."""
    return st.builds(repeated, st.sampled_from(ITEMS), st.sampled_from(PLACES), st.just(longest)).map(
        lambda data: data[:longest]
    )


def state_of(longest: int) -> st.SearchStrategy[bytes]:
    """States of many fields: numbers whose hashes are alike, names, arrays as keys, and one field's value repeated."""
    head = {1: "box/codex-1", 2: "", 3: "idle", 4: ""}
    alike = head | {(i << 20) + 5: 0 for i in range(longest // 7)}
    apart = head | {i * (2**61 - 1): 0 for i in range(2, 8)}
    arrays = head | {(i, 0): 0 for i in range(longest // 6)}
    limits = head | {21: [["", ""]] * (longest // 4)}
    sources = head | {24: {str(i): "" for i in range(longest // 6)}}
    return st.sampled_from([cbor2.dumps(each)[:longest] for each in (alike, apart, arrays, limits, sources)])
