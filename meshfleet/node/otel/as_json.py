"""An export as OTLP/JSON (opentelemetry-proto, docs/specification.md): names in camel case, whole numbers of 64 bits as
text, enums as numbers.

All values are doubles, which hold every count of ours: the next whole number beyond 2^53 is none. So a series never
changes its type; and a collector was met that loses whole numbers, as text, from JSON (rotel 0.0.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meshfleet.node.otel.series import Attributes, DataPoint, Export, Metric

CUMULATIVE = 2
"""AGGREGATION_TEMPORALITY_CUMULATIVE"""
NO_VALUE = 1
"""DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK"""
SCOPE = "meshfleet"


class _Value(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    string_value: str


class _Attribute(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: _Value


class _Point(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    attributes: tuple[_Attribute, ...] = ()
    start_time_unix_nano: str | None = None
    time_unix_nano: str = ""
    as_double: float | None = None
    flags: int = 0


class _Gauge(msgspec.Struct, frozen=True, rename="camel"):
    data_points: tuple[_Point, ...]


class _Sum(msgspec.Struct, frozen=True, rename="camel"):
    data_points: tuple[_Point, ...]
    aggregation_temporality: int = CUMULATIVE
    is_monotonic: bool = True


class _Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    description: str
    unit: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None


class _Scope(msgspec.Struct, frozen=True):
    name: str


class _ScopeMetrics(msgspec.Struct, frozen=True):
    scope: _Scope
    metrics: tuple[_Metric, ...]


class _Resource(msgspec.Struct, frozen=True):
    attributes: tuple[_Attribute, ...]


class _ResourceMetrics(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource
    scope_metrics: tuple[_ScopeMetrics, ...]


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    resource_metrics: tuple[_ResourceMetrics, ...]


def encode(export: Export) -> bytes:
    """An ExportMetricsServiceRequest."""
    metrics = tuple(_metric(metric, str(export.at)) for metric in export.metrics)
    scoped = _ScopeMetrics(_Scope(SCOPE), metrics)
    told = _ResourceMetrics(_Resource(_attributes(export.resource)), (scoped,))
    return msgspec.json.encode(_Request((told,)))


def _metric(metric: Metric, at: str) -> _Metric:
    if metric.since is None:
        gauge = _Gauge(tuple(_point(point, at, None) for point in metric.points))
        return _Metric(metric.name, metric.told, metric.unit, gauge=gauge)
    points = tuple(_point(point, at, str(metric.since)) for point in metric.points)
    return _Metric(metric.name, metric.told, metric.unit, sum=_Sum(points))


def _point(point: DataPoint, at: str, since: str | None) -> _Point:
    attributes, value = _attributes(point.attributes), point.value
    if value is None:
        return _Point(attributes, since, at, flags=NO_VALUE)
    return _Point(attributes, since, at, as_double=value)


def _attributes(pairs: Attributes) -> tuple[_Attribute, ...]:
    return tuple(_Attribute(key, _Value(value)) for key, value in pairs)
