"""What is measured, as records that Prometheus' text and OpenTelemetry's messages are both made of.

One table for both (`fleet_measures`, `node_measures`), so that a figure has one meaning wherever it is collected. The
names differ as the two conventions do: words joined by `_`, with the unit at the end; words joined by `.`, with the
unit beside it. What Prometheus makes of the second (its `otlptranslator`) is the first.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(str, Enum):
    """How a figure behaves over time."""

    GAUGE = "gauge"
    SUM = "sum"
    """Cumulative: it only grows, and begins again from nothing."""
    INFO = "info"
    """Always 1: what it tells is in its labels."""
    STATE = "state"
    """1 for the state that something is in, which is its last label."""


class Since(str, Enum):
    """From when on a sum counts."""

    SESSION = "session"
    """An agent's session, whenever that began."""
    PERIOD = "period"
    """The first day of the billing period."""
    PROCESS = "process"
    """This life of the node."""


class Label(NamedTuple):
    """A dimension, by both of its names."""

    name: str
    attribute: str
    """By OpenTelemetry's semantic conventions where they have one, else `meshfleet.…`."""


class Family(NamedTuple):
    """Figures of one meaning, that differ in their labels."""

    name: str
    """As in Prometheus, without `_total` and `_info`."""
    otel: str
    kind: Kind
    told: str
    """What it is, in a sentence."""
    labels: tuple[Label, ...] = ()
    unit: str = ""
    """In UCUM, as OpenTelemetry has units: `s`, `By`, `{token}`; `1` for a ratio; nothing where there is none."""
    since: Since | None = None
    """Of sums."""
    states: tuple[str, ...] = ()
    """Of STATE: all that there are."""


class Point(NamedTuple):
    """One figure."""

    labels: tuple[str, ...]
    """Values of the family's labels, in their order; empty is not known."""
    value: float


class Measured(NamedTuple):
    """A family and its figures at one moment."""

    family: Family
    points: tuple[Point, ...]
