"""OTLP as protobuf -> plain records, by the messages of `opentelemetry-proto`, which the extra `otlp` installs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from meshfleet.errors import NotInstalled, TelemetryError
from meshfleet.runtimes.otlp.from_json import made_point
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
    nanoseconds,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, MetricsData, NumberDataPoint
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    from meshfleet.runtimes.otlp.wanted import Wanted

_T = TypeVar("_T")
_M = TypeVar("_M", "MetricsData", "LogsData", "TracesData")

ERROR = 2
"""STATUS_CODE_ERROR"""


def decode(signal: Signal, body: bytes, wanted: Wanted) -> Batch:
    """The records of one request. TelemetryError where it is none, NotInstalled where nobody can read it."""
    made, budget = _messages(), _Budget()
    if signal is Signal.METRICS:
        return _of_metrics(_read(made[0](), body), wanted, budget)
    if signal is Signal.LOGS:
        return Batch(tuple(_of_logs(_read(made[1](), body), wanted, budget)))
    return Batch(tuple(_of_traces(_read(made[2](), body), wanted, budget)))


class _Budget:
    """Objects that may yet be looked at. Two bytes can be one, so the length of a body bounds nothing."""

    def __init__(self) -> None:
        self._left = OBJECTS_LIMIT

    def each(self, objects: Collection[_T]) -> Collection[_T]:
        """These, where there are not too many."""
        self._left -= len(objects)
        if self._left < 0:
            raise TelemetryError(TOO_MANY)
        return objects


@lru_cache(maxsize=1)
def _messages() -> tuple[type[MetricsData], type[LogsData], type[TracesData]]:
    # A request to export is, byte for byte, the data that it exports.
    try:
        from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
        from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
    except ImportError as error:
        raise NotInstalled(
            "This node reads OTLP as JSON only. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/json where it is sent, or install "
            "the reader of protobuf here: pip install 'meshfleet[otlp]'."
        ) from error
    return MetricsData, LogsData, TracesData


def _read(message: _M, body: bytes) -> _M:
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(body)
    except (DecodeError, RecursionError, ValueError) as error:
        raise TelemetryError("The body is not OTLP as protobuf. Is its Content-Type right?") from error
    return message


def _of_metrics(request: MetricsData, wanted: Wanted, budget: _Budget) -> Batch:
    records: list[Record] = []
    rejected, why = 0, ""
    for resource in budget.each(request.resource_metrics):
        about = _attributes(resource.resource.attributes, wanted.resource, budget)
        for scope in budget.each(resource.scope_metrics):
            origin = Origin(about, _scope(scope.scope))
            for metric in budget.each(scope.metrics):
                kind = metric.WhichOneof("data")
                if metric.name not in wanted.metrics or kind not in ("sum", "histogram"):
                    continue
                data = metric.sum if kind == "sum" else metric.histogram
                for point in budget.each(data.data_points):
                    if point.flags & 1:
                        continue
                    made = made_point(
                        origin,
                        metric.name,
                        _value(point),
                        data.aggregation_temporality,
                        nanoseconds(point.start_time_unix_nano),
                        nanoseconds(point.time_unix_nano),
                        _attributes(point.attributes, wanted.record, budget),
                    )
                    if isinstance(made, Point):
                        records.append(made)
                    else:
                        rejected, why = rejected + 1, why or made
    return Batch(tuple(records), rejected, why)


def _value(point: NumberDataPoint | HistogramDataPoint) -> float | None:
    for field in ("as_int", "as_double", "sum"):
        if field in point.DESCRIPTOR.fields_by_name and point.HasField(field):  # type: ignore[arg-type] # - as asked
            return number(getattr(point, field))
    return None


def _of_logs(request: LogsData, wanted: Wanted, budget: _Budget) -> list[Record]:
    records: list[Record] = []
    for resource in budget.each(request.resource_logs):
        about = _attributes(resource.resource.attributes, wanted.resource, budget)
        for scope in budget.each(resource.scope_logs):
            origin = Origin(about, _scope(scope.scope))
            for log in budget.each(scope.log_records):
                attributes = _attributes(log.attributes, wanted.record, budget)
                name = str(attributes.get("event.name") or getattr(log, "event_name", "")[:TEXT_LIMIT])
                at = nanoseconds(log.time_unix_nano) or nanoseconds(log.observed_time_unix_nano)
                records.append(Event(origin, name, at, attributes))
    return records


def _of_traces(request: TracesData, wanted: Wanted, budget: _Budget) -> list[Record]:
    records: list[Record] = []
    for resource in budget.each(request.resource_spans):
        about = _attributes(resource.resource.attributes, wanted.resource, budget)
        for scope in budget.each(resource.scope_spans):
            origin = Origin(about, _scope(scope.scope))
            for span in budget.each(scope.spans):
                made = Span(
                    origin,
                    span.name[:TEXT_LIMIT],
                    span.kind,
                    span.span_id[:TEXT_LIMIT].hex(),
                    span.parent_span_id[:TEXT_LIMIT].hex(),
                    nanoseconds(span.start_time_unix_nano),
                    nanoseconds(span.end_time_unix_nano),
                    span.status.code == ERROR,
                    _attributes(span.attributes, wanted.record, budget),
                )
                records.append(made)
    return records


def _scope(scope: InstrumentationScope) -> str:
    return scope.name[:TEXT_LIMIT]


def _attributes(pairs: Collection[KeyValue], wanted: frozenset[str], budget: _Budget) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for pair in budget.each(pairs):
        if pair.key not in wanted:
            continue
        match pair.value.WhichOneof("value"):
            case "string_value" if len(pair.value.string_value) <= TEXT_LIMIT:
                found[pair.key] = pair.value.string_value
            case "bool_value":
                found[pair.key] = pair.value.bool_value
            case "int_value":
                found[pair.key] = pair.value.int_value
            case "double_value" if (value := number(pair.value.double_value)) is not None:
                found[pair.key] = value
    return found
