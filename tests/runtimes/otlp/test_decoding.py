"""JSON and protobuf give the same records; what is none of both is refused with a sentence; nothing else is raised."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from meshfleet.errors import NotInstalled, TelemetryError
from meshfleet.runtimes.otlp import from_json, from_protobuf
from meshfleet.runtimes.otlp.dialects import WANTED
from meshfleet.runtimes.otlp.plain import OBJECTS_LIMIT, Batch, Event, Point, Signal, Span, Temporality
from tests.runtimes.writing import T0

from .writing import CUMULATIVE, DATA, DELTA, Json, chat, claude, counter, logs, metrics, point, traces, used

DEEP = 100_000


def of(request: Json, signal: Signal) -> Batch:
    return from_json.decode(signal, json.dumps(request).encode(), WANTED)


def as_protobuf(request: Json, signal: Signal) -> bytes:
    """The same request as protobuf, by the messages of opentelemetry-proto."""
    json_format = pytest.importorskip("google.protobuf.json_format", reason="the extra otlp is not installed")
    kinds = from_protobuf._messages()
    made = kinds[list(Signal).index(signal)]()
    json_format.ParseDict(with_base64(request), made, ignore_unknown_fields=True)
    return bytes(made.SerializeToString())


def with_base64(plain: Any, key: str = "") -> Any:
    """Ids as JSON of protobuf has them, where OTLP has hex."""
    if isinstance(plain, dict):
        return {name: with_base64(each, name) for name, each in plain.items() if each is not None}
    if isinstance(plain, list):
        return [with_base64(each) for each in plain]
    if key in ("traceId", "spanId", "parentSpanId"):
        return b64encode(bytes.fromhex(plain)).decode()
    return plain


def paused(metric: Json) -> Json:
    """The same, with points that say that there is no value."""
    metric["sum"]["dataPoints"][0]["flags"] = 1
    return metric


@pytest.mark.parametrize("place", sorted(DATA.glob("*.json")), ids=lambda place: place.stem)
def test_json_and_protobuf_give_the_same_records(place: Any) -> None:
    request, signal = json.loads(place.read_text()), Signal(place.stem.rpartition(".")[2])
    plain = of(request, signal)
    assert from_protobuf.decode(signal, as_protobuf(request, signal), WANTED) == plain
    assert plain.records or "codex" in place.name


@pytest.mark.parametrize(
    ("request_", "signal"),
    [
        (metrics(used("input", 5, T0, T0 + 1, CUMULATIVE)), Signal.METRICS),
        (metrics(counter("claude_code.cost.usage", 0, point(1, T0, T0 + 1))), Signal.METRICS),
        (traces(chat(gen_ai__usage__input_tokens=3, operation__cost=0.5, parent=4)), Signal.TRACES),
        (logs(claude("api_request", input_tokens="3", model="long" * 60)), Signal.LOGS),
        (metrics(paused(used("input", 5, T0, T0 + 1))), Signal.METRICS),
    ],
)
def test_what_is_made_by_hand_is_the_same_in_both(request_: Json, signal: Signal) -> None:
    assert from_protobuf.decode(signal, as_protobuf(request_, signal), WANTED) == of(request_, signal)


def test_numbers_that_come_as_text_are_numbers() -> None:
    number = used("input", 5, T0, T0 + 1)
    del number["sum"]["dataPoints"][0]["asDouble"]
    for field, sent in (("asInt", "7"), ("asInt", 7), ("asDouble", "7"), ("asDouble", 7), ("asDouble", 7.0)):
        number["sum"]["dataPoints"][0] |= {"asInt": None, "asDouble": None, field: sent}
        (record,) = of(metrics(number), Signal.METRICS).records
        assert isinstance(record, Point)
        assert (record.value, record.temporality) == (7, Temporality.DELTA)


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-3", -1, None, "seven"])
def test_a_point_without_a_number_that_counts_is_rejected_and_told_of(bad: object) -> None:
    one = used("input", 5, T0, T0 + 1)
    one["sum"]["dataPoints"][0]["asDouble"] = bad
    batch = of(metrics(one, used("output", 5, T0, T0 + 1)), Signal.METRICS)
    assert (len(batch.records), batch.rejected) == (1, 1)
    assert batch.why == "claude_code.token.usage: a point has no value that a counter can have"


def test_a_point_whose_temporality_nobody_says_is_rejected() -> None:
    batch = of(metrics(used("input", 5, T0, T0 + 1, temporality=0)), Signal.METRICS)
    assert (batch.records, batch.rejected) == ((), 1)
    assert "aggregationTemporality" in batch.why


def test_metrics_that_nobody_asks_for_are_skipped_and_not_rejected() -> None:
    batch = of(metrics(counter("http.server.duration", 0, point(1, 0, 0))), Signal.METRICS)
    assert (batch.records, batch.rejected) == ((), 0)


def test_a_series_that_pauses_says_so_and_counts_for_nothing() -> None:
    assert of(metrics(paused(used("input", 5, T0, T0 + 1))), Signal.METRICS) == Batch(())


def test_what_is_null_or_missing_is_no_error() -> None:
    requests: tuple[Json, ...] = (
        {"resourceLogs": None},
        {"resourceLogs": [{}]},
        {"resourceLogs": [{"resource": None, "scopeLogs": [{"scope": None, "logRecords": None}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": None, "attributes": None, "traceId": ""}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [{"key": "model"}]}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [{"key": "model", "value": {}}]}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [{"key": "model", "value": None}]}]}]}]},
        {"more": {"than": ["we", "know"]}},
        {},
    )
    for request in requests:
        batch = of(request, Signal.LOGS)
        assert all(isinstance(record, Event) and not record.attributes for record in batch.records)


def test_a_value_of_another_kind_than_asked_for_is_left_out() -> None:
    record = {"attributes": [{"key": "model", "value": {"kvlistValue": {"values": []}}}]}
    record["attributes"].append({"key": "input_tokens", "value": {"arrayValue": {"values": [{"intValue": "3"}]}}})
    record["attributes"].append({"key": "output_tokens", "value": {"stringValue": {"not": "text"}}})
    (event,) = of({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}, Signal.LOGS).records
    assert event.attributes == {}


def test_a_name_that_is_too_long_to_be_one_is_left_out() -> None:
    (event,) = of(logs(claude("api_request", model="canary" * 50)), Signal.LOGS).records
    assert "model" not in event.attributes


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"hello canary", "not JSON"),
        (b'{"resourceLogs": "canary"}', "resourceLogs"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": {}}]}]}]}', "timeUnixNano"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [{"key": 7}]}]}]}]}', "key"),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "\xff\xfe"}]}]}]}', "not JSON"),
        (b'{"a": ' * DEEP + b"1" + b"}" * DEEP, "nested too deep"),
        (b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deep"),
        (b"{}" * (OBJECTS_LIMIT + 1), "objects"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place_and_without_its_content(body: bytes, says: str) -> None:
    with pytest.raises(TelemetryError, match=says) as refused:
        from_json.decode(Signal.LOGS, body, WANTED)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("body", [b"\x0a\xff", b"hello canary", b"\xff" * 40, b"\x0a\x02\x0a\x09"])
def test_what_is_no_protobuf_is_refused_without_its_content(body: bytes) -> None:
    pytest.importorskip("opentelemetry.proto", reason="the extra otlp is not installed")
    with pytest.raises(TelemetryError) as refused:
        from_protobuf.decode(Signal.LOGS, body, WANTED)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("unit", [b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00"])
def test_a_body_of_too_many_objects_is_refused(unit: bytes) -> None:
    pytest.importorskip("opentelemetry.proto", reason="the extra otlp is not installed")
    with pytest.raises(TelemetryError, match="smaller batches"):
        from_protobuf.decode(Signal.LOGS, unit * (OBJECTS_LIMIT + 1), WANTED)


def test_without_the_extra_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from_protobuf._messages.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.proto.logs.v1.logs_pb2", None)
    with pytest.raises(NotInstalled, match=r"http/json.*meshfleet\[otlp\]"):
        from_protobuf.decode(Signal.LOGS, b"", WANTED)
    from_protobuf._messages.cache_clear()


def test_ids_are_hex_and_times_are_seconds() -> None:
    (record,) = of(traces(chat(T0, number=0xAB, parent=0xCD)), Signal.TRACES).records
    assert isinstance(record, Span)
    assert (record.span_id, record.parent_id) == ("00000000000000ab", "00000000000000cd")
    assert (record.start, record.end) == (T0 - 1, T0)


@pytest.mark.parametrize("name", ["AGGREGATION_TEMPORALITY_DELTA", DELTA])
def test_enums_come_by_number_and_by_name(name: object) -> None:
    one = used("input", 5, T0, T0 + 1)
    one["sum"]["aggregationTemporality"] = name
    (record,) = of(metrics(one), Signal.METRICS).records
    assert isinstance(record, Point)
    assert record.temporality is Temporality.DELTA
