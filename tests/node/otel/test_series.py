"""From measures to metrics: states whole, ends told once, parts that are the whole, and both encodings alike."""

from __future__ import annotations

import gzip

import msgspec
import pytest
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from meshfleet.fleet.measures import Family, Kind, Label, Measured, Point, Since
from meshfleet.node.billing import Billing
from meshfleet.node.otel import as_json, as_protobuf
from meshfleet.node.otel.exporter import Seen, measure
from meshfleet.node.otel.series import DataPoint, Export, Metric, metrics, split
from meshfleet.node.otel.settings import Mode
from meshfleet.node.otel.starting import start_of
from tests.serve.conftest import SampleFeed

BEGUN = dict.fromkeys(Since, 5)
AGENT = Label("agent", "gen_ai.agent.id")
STATUS = Family(
    "s", "meshfleet.s", Kind.STATE, "S.", (AGENT, Label("status", "meshfleet.status")), states=("on", "off")
)
TOKENS = Family(
    "t", "meshfleet.t", Kind.SUM, "T.", (AGENT, Label("direction", "gen_ai.token.type")), since=Since.PERIOD
)

_texts = st.text(min_size=1, max_size=8)
_attributes = st.dictionaries(_texts, _texts, max_size=2).map(lambda told: tuple(sorted(told.items())))
_values = st.none() | st.integers(0, 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_points = st.lists(st.builds(DataPoint, _attributes, _values), min_size=1, max_size=5).map(tuple)
_metrics = st.builds(Metric, _texts, _texts, st.just("s"), st.none() | st.integers(1, 2**62), _points)
EXPORTS = st.builds(
    Export, _attributes.filter(bool), st.integers(1, 2**62),
    st.lists(_metrics, max_size=3, unique_by=lambda metric: metric.name).map(tuple),
)  # fmt: skip


def test_a_state_is_told_with_all_its_words() -> None:
    (made,) = metrics([Measured(STATUS, (Point(("a", "off"), 1),))], (), BEGUN, 9)
    assert made.since is None
    assert made.points == (
        DataPoint((("gen_ai.agent.id", "a"), ("meshfleet.status", "on")), 0.0),
        DataPoint((("gen_ai.agent.id", "a"), ("meshfleet.status", "off")), 1.0),
    )


def test_what_has_ended_is_told_once_and_words_are_openTelemetrys_own() -> None:
    before = [Measured(TOKENS, (Point(("a", "in"), 1), Point(("b", "out"), 2)))]
    now = [Measured(TOKENS, (Point(("a", "in"), 3),))]
    (made,) = metrics(now, before, BEGUN, 9)
    assert made.since == 5
    assert made.points == (
        DataPoint((("gen_ai.agent.id", "a"), ("gen_ai.token.type", "input")), 3),
        DataPoint((("gen_ai.agent.id", "b"), ("gen_ai.token.type", "output")), None),
    )
    (later,) = metrics(now, now, BEGUN, 9)
    assert [point.value for point in later.points] == [3]
    (gone,) = metrics([], now, BEGUN, 9)
    assert [point.value for point in gone.points] == [None]
    assert metrics([], [], BEGUN, 9) == ()


def test_nothing_begins_after_it_is_told() -> None:
    (made,) = metrics([Measured(TOKENS, (Point(("a", "in"), 3),))], (), BEGUN, 4)
    assert made.since == 4


@settings(max_examples=30)
@given(EXPORTS, st.integers(1, 7))
def test_the_parts_are_the_whole_and_none_is_larger_than_allowed(export: Export, limit: int) -> None:
    parts = split(export, limit)
    assert all(0 < sum(len(m.points) for m in part.metrics) <= limit for part in parts) or not export.metrics
    together = [(m.name, point) for part in parts for m in part.metrics for point in m.points]
    assert together == [(m.name, point) for m in export.metrics for point in m.points]


@settings(max_examples=30)
@given(EXPORTS)
def test_both_encodings_say_the_same(export: Export) -> None:
    from_json, from_protobuf = ExportMetricsServiceRequest(), ExportMetricsServiceRequest()
    Parse(as_json.encode(export), from_json)
    from_protobuf.ParseFromString(as_protobuf.encode(export))
    assert from_json == from_protobuf


def test_a_thousand_agents_are_a_bounded_number_of_series_and_fit_into_what_receivers_take() -> None:
    feed = SampleFeed()
    view, agent = feed.fleet(), feed.fleet().agents[0]
    many = tuple(msgspec.structs.replace(agent, agent_id=f"box/claude-{i:08}") for i in range(1_000))
    seen = Seen(msgspec.structs.replace(view, agents=many), feed.health(), feed.counters())
    made = metrics(measure(seen, Mode.FLEET, lambda _: 1.0), (), BEGUN, 9)
    export = Export((("service.name", "meshfleet"),), 9, made)
    assert sum(len(metric.points) for metric in made) <= 1_000 * 22 + 3 * 8 + 10
    bodies = [as_json.encode(part) for part in split(export, 8_192)]
    assert len(bodies) == 3
    assert max(map(len, bodies)) < 4 * 2**20
    assert sum(len(gzip.compress(body, 6)) for body in bodies) < 2**20
    keys = [(metric.name, point.attributes) for metric in made for point in metric.points]
    assert len(keys) == len(set(keys)), "a receiver may refuse what comes twice"


@pytest.mark.parametrize(
    ("zone", "day", "began"), [("UTC", 1, 1793491200), ("Europe/Berlin", 15, 1794697200), ("UTC", 28, 1793145600)]
)
def test_a_periods_sums_begin_with_its_first_day(zone: str, day: int, began: int) -> None:
    assert start_of(Billing(day=day, zone=zone), 1795687749.0) == began
