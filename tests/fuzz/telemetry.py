"""What programs send as telemetry: bodies of requests to export, with all that is made of them, and gzip."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from meshfleet.errors import TelemetryError
from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.otlp.intake import Telemetry
from meshfleet.runtimes.otlp.plain import Signal
from meshfleet.serve.answers import Refusal
from meshfleet.serve.exports import inflated
from tests.runtimes.otlp.writing import (
    CUMULATIVE,
    DATA,
    Json,
    chat,
    counter,
    logs,
    metrics,
    point,
    request,
    span,
    traces,
    used,
)
from tests.runtimes.writing import T0, Flat

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSES = (TelemetryError, Refusal)


def take(signal: Signal, protobuf: bool) -> Callable[[bytes], None]:
    """A node's intake of such requests."""

    def taken(body: bytes) -> None:
        counts: Counter[str] = Counter()
        telemetry = Telemetry(Desk(counts), ("box",), counts, tariff=lambda provider: Flat())
        telemetry._take(signal, body, protobuf, T0)

    return taken


def _recorded(signal: Signal) -> list[bytes]:
    return [place.read_bytes() for place in sorted(DATA.glob(f"*.{signal.value}.json"))]


def _dumped(*requests: Json) -> list[bytes]:
    return [json.dumps(each).encode() for each in requests]


_EVENTS = _dumped(logs(request(fresh=1, out=2, cost=0.5), request(T0 + 1, out=3)))
_POINTS = _dumped(
    metrics(used("input", 5, T0, T0 + 1), used("output", 5, T0, T0 + 1, CUMULATIVE)),
    metrics(counter("gen_ai.client.token.usage", CUMULATIVE, point(1, T0, T0 + 1, gen_ai__token__type="input"))),
)
_SPANS = _dumped(
    traces(chat(T0, 5, gen_ai__usage__input_tokens=10, operation__cost=0.1), span("x"), resource={"service.name": "s"})
)

JSON: dict[Signal, st.SearchStrategy[bytes]] = {
    Signal.METRICS: st.sampled_from(_recorded(Signal.METRICS) + _POINTS),
    Signal.LOGS: st.sampled_from(_recorded(Signal.LOGS) + _EVENTS),
    Signal.TRACES: st.sampled_from(_recorded(Signal.TRACES) + _SPANS),
}

_HEADS = (
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[',
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[',
    b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"gen_ai.client.token.usage","sum":{"dataPoints":[',
    b'{"resourceLogs":[',
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[',
)
_UNITS = (
    b"{},",
    b'{"name":""},',
    b'{"key":"model","value":{"stringValue":"x"}},',
    b'{"timeUnixNano":"1"},',
    b"[],",
    b"1,",
)


def dear_json(longest: int) -> st.SearchStrategy[bytes]:
    """One object over and over."""
    return st.builds(
        lambda head, unit: head + unit * ((longest - len(head)) // len(unit)),
        st.sampled_from(_HEADS),
        st.sampled_from(_UNITS),
    )


def as_protobuf(signal: Signal) -> st.SearchStrategy[bytes]:
    """The same as protobuf."""
    from tests.runtimes.otlp.test_decoding import as_protobuf as encoded

    return JSON[signal].map(lambda body: encoded(json.loads(body), signal))


_WIRE = (
    b"\x0a\x00",
    b"\x12\x00",
    b"\x0a\x02\x12\x00",
    b"\x0a\x04\x12\x02\x12\x00",
    b"\x0a\x06\x12\x04\x12\x02\x32\x00",
)


def dear_protobuf(longest: int) -> st.SearchStrategy[bytes]:
    """One message over and over."""
    return st.sampled_from(_WIRE).map(lambda unit: unit * (longest // len(unit)))


def gunzip(body: bytes) -> None:
    """What gzip holds."""
    inflated(body)
