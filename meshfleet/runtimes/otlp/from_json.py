"""OTLP/JSON -> plain records, by a schema that has only what is asked for: the rest is skipped unread.

JSON as OTLP means it (opentelemetry-proto, docs/specification.md): field names in camel case, ids in hex, 64-bit
integers as text or numbers, enums as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.errors import TelemetryError
from meshfleet.runtimes.otlp.plain import (
    OBJECTS_LIMIT,
    TEXT_LIMIT,
    TOO_MANY,
    Batch,
    Event,
    Origin,
    Point,
    Record,
    Scalar,
    Signal,
    Span,
    Temporality,
    nanoseconds,
    number,
)

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.wanted import Wanted

Number = int | float | str | None
"""Numbers as they come: text, where they have 64 bits or are not finite."""

_T = TypeVar("_T")


class _Attribute(msgspec.Struct, frozen=True, gc=False):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw()


class _Value(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    string_value: str | None = None
    int_value: Number = None
    double_value: Number = None
    bool_value: bool | None = None


class _Resource(msgspec.Struct, frozen=True):
    attributes: list[_Attribute] | None = None


class _Scope(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None


class _Point(msgspec.Struct, frozen=True, rename="camel"):
    attributes: list[_Attribute] | None = None
    start_time_unix_nano: Number = None
    time_unix_nano: Number = None
    as_int: Number = None
    as_double: Number = None
    sum: Number = None
    flags: Number = None


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    data_points: list[_Point] | None = None
    aggregation_temporality: int | str | None = None
    is_monotonic: bool | None = None


class _Metric(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    sum: msgspec.Raw = msgspec.Raw()
    histogram: msgspec.Raw = msgspec.Raw()


class _Log(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: Number = None
    observed_time_unix_nano: Number = None
    event_name: str | None = None
    attributes: list[_Attribute] | None = None


class _Status(msgspec.Struct, frozen=True, gc=False):
    code: int | str | None = None


class _Span(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    kind: int | str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    start_time_unix_nano: Number = None
    end_time_unix_nano: Number = None
    attributes: list[_Attribute] | None = None
    status: _Status | None = None


class _ScopeMetrics(msgspec.Struct, frozen=True):
    scope: _Scope | None = None
    metrics: list[_Metric] | None = None


class _ScopeLogs(msgspec.Struct, frozen=True, rename="camel"):
    scope: _Scope | None = None
    log_records: list[_Log] | None = None


class _ScopeSpans(msgspec.Struct, frozen=True):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _ResourceMetrics(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource | None = None
    scope_metrics: list[_ScopeMetrics] | None = None


class _ResourceLogs(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Metrics(msgspec.Struct, frozen=True, rename="camel"):
    resource_metrics: list[_ResourceMetrics] | None = None


class _Logs(msgspec.Struct, frozen=True, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


class _Traces(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_metrics = msgspec.json.Decoder(_Metrics)
_logs = msgspec.json.Decoder(_Logs)
_traces = msgspec.json.Decoder(_Traces)
_data = msgspec.json.Decoder(_Data)
_value = msgspec.json.Decoder(_Value)

_NAMED = {"AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2, "SPAN_KIND_CLIENT": 3}
_NAMED |= {"STATUS_CODE_ERROR": 2}
"""Enums by name, which JSON of protobuf allows and OTLP does not. Some send them."""


def decode(signal: Signal, body: bytes, wanted: Wanted) -> Batch:
    """The records of one request. TelemetryError where it is none; the message shows nothing of what was in it."""
    if body.count(b"{") > OBJECTS_LIMIT:  # braces in text count as well: that is seen before anything is made of them
        raise TelemetryError(TOO_MANY)
    match signal:
        case Signal.METRICS:
            return _of_metrics(_read(_metrics, body), wanted)
        case Signal.LOGS:
            return Batch(tuple(_of_logs(_read(_logs, body), wanted)))
        case Signal.TRACES:
            return Batch(tuple(_of_traces(_read(_traces, body), wanted)))


def _read(decoder: msgspec.json.Decoder[_T], body: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:  # names the field, never what is in it
        raise TelemetryError(f"The body is not OTLP as JSON: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TelemetryError(f"The body is not JSON: {_without_values(error)}.") from error
    except RecursionError as error:
        raise TelemetryError("The body is nested too deep to be read.") from error


def _without_values(error: Exception) -> str:
    return "its text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:TEXT_LIMIT]


def _of_metrics(request: _Metrics, wanted: Wanted) -> Batch:
    records: list[Record] = []
    rejected, why = 0, ""
    for resource in request.resource_metrics or ():
        about = _attributes(resource.resource.attributes if resource.resource else None, wanted.resource)
        for scope in resource.scope_metrics or ():
            origin = Origin(about, _scope(scope.scope))
            for metric in scope.metrics or ():
                if metric.name is None or metric.name not in wanted.metrics:
                    continue
                raw = metric.sum if bytes(metric.sum) else metric.histogram
                if not bytes(raw) or bytes(raw) == b"null":
                    continue
                data = _read(_data, raw)
                temporality = _enum(data.aggregation_temporality)
                for point in data.data_points or ():
                    made = _point(origin, metric.name, point, temporality, wanted)
                    if isinstance(made, Point):
                        records.append(made)
                    elif made:
                        rejected, why = rejected + 1, why or made
    return Batch(tuple(records), rejected, why)


def _point(origin: Origin, name: str, point: _Point, temporality: int, wanted: Wanted) -> Point | str:
    """The point; or why it can't be used, "" where nobody wants it to be."""
    if int(number(point.flags) or 0) & 1:
        return ""  # "no recorded value": the series paused
    values = (point.as_int, point.as_double, point.sum)
    value = next((found for each in values if (found := number(each)) is not None), None)
    return made_point(
        origin,
        name,
        value,
        temporality,
        nanoseconds(point.start_time_unix_nano),
        nanoseconds(point.time_unix_nano),
        _attributes(point.attributes, wanted.record),
    )


def made_point(
    origin: Origin,
    name: str,
    value: float | None,
    temporality: int,
    start: float,
    time: float,
    attributes: dict[str, Scalar],
) -> Point | str:
    """The point, or why it can't be used."""
    if value is None or value < 0:
        return f"{name}: a point has no value that a counter can have"
    if not time:
        return f"{name}: a point has no timeUnixNano"
    if temporality not in (1, 2):
        return f"{name}: its aggregationTemporality is neither delta (1) nor cumulative (2)"
    return Point(origin, name, value, Temporality(temporality), start, time, attributes)


def _of_logs(request: _Logs, wanted: Wanted) -> list[Record]:
    records: list[Record] = []
    for resource in request.resource_logs or ():
        about = _attributes(resource.resource.attributes if resource.resource else None, wanted.resource)
        for scope in resource.scope_logs or ():
            origin = Origin(about, _scope(scope.scope))
            for log in scope.log_records or ():
                attributes = _attributes(log.attributes, wanted.record)
                name = str(attributes.get("event.name") or (log.event_name or "")[:TEXT_LIMIT])
                at = nanoseconds(log.time_unix_nano) or nanoseconds(log.observed_time_unix_nano)
                records.append(Event(origin, name, at, attributes))
    return records


def _of_traces(request: _Traces, wanted: Wanted) -> list[Record]:
    records: list[Record] = []
    for resource in request.resource_spans or ():
        about = _attributes(resource.resource.attributes if resource.resource else None, wanted.resource)
        for scope in resource.scope_spans or ():
            origin = Origin(about, _scope(scope.scope))
            for span in scope.spans or ():
                made = Span(
                    origin,
                    (span.name or "")[:TEXT_LIMIT],
                    _enum(span.kind),
                    (span.span_id or "")[:TEXT_LIMIT].lower(),
                    (span.parent_span_id or "")[:TEXT_LIMIT].lower(),
                    nanoseconds(span.start_time_unix_nano),
                    nanoseconds(span.end_time_unix_nano),
                    span.status is not None and _enum(span.status.code) == 2,
                    _attributes(span.attributes, wanted.record),
                )
                records.append(made)
    return records


def _scope(scope: _Scope | None) -> str:
    return ((scope.name or "") if scope is not None else "")[:TEXT_LIMIT]


def _enum(value: int | str | None) -> int:
    return _NAMED.get(value, 0) if isinstance(value, str) else value or 0


def _attributes(pairs: list[_Attribute] | None, wanted: frozenset[str]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for pair in pairs or ():
        if pair.key in wanted and (value := _scalar(pair.value)) is not None:
            found[pair.key] = value
    return found


def _scalar(raw: msgspec.Raw) -> Scalar | None:
    try:
        value = _value.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if value.string_value is not None:
        return value.string_value if len(value.string_value) <= TEXT_LIMIT else None
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        whole = number(value.int_value)
        return None if whole is None else int(whole)
    return number(value.double_value)
