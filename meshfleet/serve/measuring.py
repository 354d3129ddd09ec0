"""Measures as Prometheus collects them: families of prometheus-client, which writes the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from meshfleet.fleet.measures import Kind

UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}
"""As Prometheus calls them, where it has a word; OpenMetrics tells them beside the name, which ends with them."""

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from meshfleet.fleet.measures import Measured


def as_metric(measured: Measured) -> Metric:
    """One family. A state is told where it holds alone: what ends is told by Prometheus itself, as a series does."""
    family = measured.family
    labels = [label.name for label in family.labels]
    if family.kind is Kind.INFO:
        info = InfoMetricFamily(family.name, family.told, labels=labels)
        for point in measured.points:
            info.add_metric(point.labels, {})
        return info
    made = CounterMetricFamily if family.kind is Kind.SUM else GaugeMetricFamily
    metric = made(family.name, family.told, labels=labels, unit=UNITS.get(family.unit, ""))
    for point in measured.points:
        metric.add_metric(point.labels, point.value)
    return metric
