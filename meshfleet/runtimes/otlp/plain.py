"""Points, events and spans as every dialect sees them, whatever encoding they came in. Content is not in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

import msgspec

Scalar = str | int | float | bool
"""What an attribute may be. Lists and maps are never asked for."""

Attributes = Mapping[str, Scalar]

TEXT_LIMIT = 200
"""Characters of an attribute that is kept; a longer one is no name, and left out."""


OBJECTS_LIMIT = 200_000
"""Objects that a request may have, from resources down to attributes: 40 MB and half a second in a thread at the very
most. A batch of 512 spans with 40 attributes each has 42,000."""

TOO_MANY = f"The body has more than {OBJECTS_LIMIT:,} objects. Send smaller batches."


class Signal(str, Enum):
    """What a request brings."""

    METRICS = "metrics"
    LOGS = "logs"
    TRACES = "traces"


class Temporality(Enum):
    """What a counter's value counts from. The numbers are the protocol's."""

    UNSPECIFIED = 0
    DELTA = 1
    """From the point before."""
    CUMULATIVE = 2
    """From the start of its series."""


class Origin(msgspec.Struct, frozen=True):
    """Who sent a record."""

    resource: Attributes
    scope: str = ""


class Point(msgspec.Struct, frozen=True):
    """One value of a counter, or the sum of a histogram. Times are seconds since 1970, 0 where not told."""

    origin: Origin
    name: str
    value: float
    temporality: Temporality
    start: float
    time: float
    attributes: Attributes


class Event(msgspec.Struct, frozen=True):
    """One log record, without its body."""

    origin: Origin
    name: str
    time: float
    attributes: Attributes


class Span(msgspec.Struct, frozen=True):
    """One span that has ended."""

    origin: Origin
    name: str
    kind: int
    """3 is CLIENT: a call to somebody else."""
    span_id: str
    parent_id: str
    start: float
    end: float
    failed: bool
    attributes: Attributes


Record = Point | Event | Span


class Batch(msgspec.Struct, frozen=True):
    """All of one request that can be used, and how many records could not."""

    records: tuple[Record, ...]
    rejected: int = 0
    why: str = ""
    """What was wrong with the first of these."""


def number(value: object) -> float | None:
    """A number, also one that came as text; None where it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def count(value: object) -> int:
    """A count of tokens: 0 where it is missing, negative or none."""
    found = number(value)
    return int(found) if found is not None and 0 < found < 2**53 else 0


def nanoseconds(value: object) -> float:
    """Nanoseconds since 1970, as seconds; 0 where it is no time of a session (2001 to 2286)."""
    found = number(value)
    at = found / 1e9 if found is not None else 0.0
    return at if 1e9 < at < 1e10 else 0.0


def text(attributes: Attributes, *names: str) -> str | None:
    """The first of these attributes that is there, as text."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return str(value)
    return None
