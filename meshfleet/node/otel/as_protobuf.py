"""An export as protobuf, by the messages of `opentelemetry-proto`, which the extra `otlp` installs. Imported with the
first export that wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from meshfleet.node.otel.as_json import CUMULATIVE, NO_VALUE, SCOPE

if TYPE_CHECKING:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as Message
    from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

    from meshfleet.node.otel.series import DataPoint, Export, Metric


def encode(export: Export) -> bytes:
    """An ExportMetricsServiceRequest."""
    request = ExportMetricsServiceRequest()
    told = request.resource_metrics.add()
    for key, value in export.resource:
        told.resource.attributes.add(key=key).value.string_value = value
    scoped = told.scope_metrics.add()
    scoped.scope.name = SCOPE
    for metric in export.metrics:
        _fill(scoped.metrics.add(), metric, export.at)
    return bytes(request.SerializeToString())


def _fill(message: Message, metric: Metric, at: int) -> None:
    message.name, message.description, message.unit = metric.name, metric.told, metric.unit
    if metric.since is None:
        for point in metric.points:
            _fill_point(message.gauge.data_points.add(), point, at)
        return
    message.sum.aggregation_temporality = CUMULATIVE  # type: ignore[assignment]  # an enum's number
    message.sum.is_monotonic = True
    for point in metric.points:
        made = message.sum.data_points.add()
        made.start_time_unix_nano = metric.since
        _fill_point(made, point, at)


def _fill_point(made: NumberDataPoint, point: DataPoint, at: int) -> None:
    made.time_unix_nano = at
    for key, value in point.attributes:
        made.attributes.add(key=key).value.string_value = value
    if point.value is None:
        made.flags = NO_VALUE
    else:
        made.as_double = point.value
