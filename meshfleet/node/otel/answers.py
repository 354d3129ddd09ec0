"""What a collector answers: how much it rejected, and why, from bytes that may be anything.

    ExportMetricsServiceResponse   1: partial success {1: rejected data points, 2: message}
    google.rpc.Status              2: message

Of either no more is read than that, as JSON or as protobuf; what can't be read is an answer that says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANSWER_LIMIT = 8_192
"""Bytes of an answer that are read. A real one has a sentence."""
TEXT_LIMIT = 200
"""Characters that are shown of what it says."""
SECRET_WORD = 4
"""Characters from which a word of a header counts as a secret."""
FIELDS_LIMIT = 64
"""Fields of a message that are looked at. A real one has two, and some details."""
JSON = "application/json"
PROTOBUF = "application/x-protobuf"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


class Said(NamedTuple):
    """What an answer says."""

    rejected: int = 0
    """Data points."""
    text: str = ""
    """As it came; empty where it gives no reason. `shown` makes it fit to be seen."""


class _Partial(msgspec.Struct, rename="camel"):
    rejected_data_points: int | str = 0
    error_message: str = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None
    message: str = ""
    """Of a google.rpc.Status."""


class _Damaged(Exception):
    pass


def read_answer(media: str, body: bytes, sent: int) -> Said | None:
    """What the body of any answer says of `sent` points; None where it is none that OTLP knows. An empty one is a yes
    or a no without a word, of whatever kind."""
    if not body:
        return Said()
    kind = media.partition(";")[0].strip().lower()
    try:
        if kind == JSON:
            rejected, text = _from_json(body)
        elif kind == PROTOBUF:
            rejected, text = _from_protobuf(body)
        else:
            return None
    except (_Damaged, msgspec.DecodeError, ValueError, RecursionError):
        return None
    return Said(min(max(0, rejected), sent), text)


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """As it can be shown: short, on one line, without anything that a terminal would act on. Nothing of it where a word
    of a secret is in it, but for words that are too short to be one."""
    if any(word in text for secret in secrets for word in secret.split() if len(word) >= SECRET_WORD):
        return ""
    return "".join(c if c.isprintable() else " " for c in text[:TEXT_LIMIT]).strip()


def _from_json(body: bytes) -> tuple[int, str]:
    told = msgspec.json.decode(body, type=_Response)
    if told.partial_success is None:
        return 0, told.message
    rejected = told.partial_success.rejected_data_points
    return int(rejected[:20]) if isinstance(rejected, str) else rejected, told.partial_success.error_message


def _from_protobuf(body: bytes) -> tuple[int, str]:
    rejected, text = 0, ""
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, said in _fields(value):
                if inner == 1 and isinstance(said, int):
                    rejected = said if said < 1 << 63 else 0  # a negative one
                elif inner == 2 and isinstance(said, bytes):
                    text = said.decode(errors="replace")
        elif number == 2 and isinstance(value, bytes):
            text = value.decode(errors="replace")
    return rejected, text


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message's fields."""
    at = looked_at = 0
    while at < len(data):
        looked_at += 1
        if looked_at > FIELDS_LIMIT:
            raise _Damaged
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise _Damaged
        if length > len(data) - at:
            raise _Damaged
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise _Damaged
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise _Damaged
