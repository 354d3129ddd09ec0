"""What a collector gets, and what becomes of an export whatever it answers. A real server on loopback."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from meshfleet.errors import ConfigError
from meshfleet.node.certificate import for_http
from meshfleet.node.otel import sending as module
from meshfleet.node.otel.answers import JSON, PROTOBUF, read_answer
from meshfleet.node.otel.sending import RETRY_AFTER_LIMIT, GivenUp, Sending
from meshfleet.node.otel.series import DataPoint, Export, Metric
from meshfleet.node.otel.settings import Compression, Otel, Protocol
from meshfleet.node.settings import OWN
from tests.node.otel.collector import Reply, collecting

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0
AT = 1_795_687_749_000_000_000
POINTS = (DataPoint((("gen_ai.agent.id", "box/ä"),), 7), DataPoint((("gen_ai.agent.id", "box/b"),), None))
EXPORT = Export(
    (("service.name", "meshfleet"),),
    AT,
    (Metric("meshfleet.agent.tokens", "Tokens.", "{token}", AT - 9, POINTS), Metric("meshfleet.x", "X.", "", None, (
        DataPoint((), 0.25),
    ))),
)  # fmt: skip


class Outcome:
    """A sender to one collector, and what it counts."""

    def __init__(self, url: str, environment: dict[str, str] | None = None, **fields: object) -> None:
        self.counts: Counter[str] = Counter()
        otel = Otel(endpoint=f"{url}/v1/metrics", timeout_s=5.0)
        self.otel = msgspec.structs.replace(otel, **fields)
        self.sending = Sending(self.otel, self.counts, lambda: AT / 1e9, random.Random(1), environment or {}, "9.9")

    async def send(self, export: Export = EXPORT, patience: float = 20.0) -> str | None:
        """Why it was given up; None where it got through."""
        with trio.fail_after(PATIENCE):
            try:
                await self.sending.send(export, trio.current_time() + patience)
            except GivenUp as error:
                return str(error)
        return None


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("protocol", Protocol)
async def test_what_arrives_is_what_was_sent_in_either_encoding(protocol: Protocol, compression: Compression) -> None:
    async with collecting() as collector:
        outcome = Outcome(collector.url, protocol=protocol, compression=compression)
        assert await outcome.send() is None
    (got,) = collector.received
    assert got.path == "/v1/metrics"
    assert got.headers["user-agent"] == "meshfleet/9.9"
    assert got.resource == {"service.name": "meshfleet"}
    tokens, other = got.metrics
    assert (tokens.name, tokens.description, tokens.unit) == ("meshfleet.agent.tokens", "Tokens.", "{token}")
    assert tokens.sum.is_monotonic
    assert tokens.sum.aggregation_temporality == 2  # cumulative
    known, ended = tokens.sum.data_points
    assert (known.start_time_unix_nano, known.time_unix_nano, known.as_double, known.flags) == (AT - 9, AT, 7, 0)
    assert (ended.flags, ended.WhichOneof("value")) == (1, None)
    assert known.attributes[0].value.string_value == "box/ä"
    assert (other.gauge.data_points[0].as_double, other.gauge.data_points[0].start_time_unix_nano) == (0.25, 0)
    assert outcome.counts == {"otel_exports": 1, "otel_points": 3, "otel_rejected_points": 0}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_be_sent_again_is(status: int) -> None:
    async with collecting() as collector:
        collector.reply = lambda number: Reply(status if number < 2 else 200)
        outcome = Outcome(collector.url)
        assert await outcome.send() is None
    assert (collector.asked, outcome.counts["otel_retries"]) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 415, 500, 501, 301, 307])
async def test_what_must_not_be_sent_again_is_not(status: int) -> None:
    async with collecting() as collector, collecting() as elsewhere:
        where = (("Location", f"{elsewhere.url}/v1/metrics?key=hidden"),) if status < 400 else ()
        collector.reply = lambda _: Reply(status, where)
        outcome = Outcome(collector.url)
        why = await outcome.send()
    assert (collector.asked, elsewhere.asked, outcome.counts["otel_retries"]) == (1, 0, 0)
    assert why is not None
    assert "hidden" not in why
    assert (f"it redirects to {elsewhere.url}" if status < 400 else f"it answers {status}") in why


@pytest.mark.parametrize(
    ("asked", "rest"),
    [("3", 3.0), ("999999999999999999999999", RETRY_AFTER_LIMIT), (" Thu, 26 Nov 2026 10:09:29 GMT", 20.0),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", 0.0), ("-5", 0.0), ("", 0.0), ("1e9", 0.0)],
)  # fmt: skip
async def test_the_rest_that_a_collector_asks_for_is_kept(
    asked: str, rest: float, autojump_clock: trio.testing.MockClock
) -> None:
    outcome = Outcome("http://127.0.0.1:1")
    assert outcome.sending._rest(asked) == pytest.approx(rest)
    began = trio.current_time()
    if rest:
        await outcome.sending._pause(1.0, rest, began + 10_000.0, "")
        assert trio.current_time() - began == outcome.sending.not_before - began == pytest.approx(rest)


async def test_a_rest_beyond_the_interval_ends_it_and_outlasts_it() -> None:
    async with collecting() as collector:
        collector.reply = lambda _: Reply(429, (("Retry-After", "600"),))
        outcome = Outcome(collector.url)
        assert await outcome.send() == "it answers 429"
        assert outcome.sending.not_before > trio.current_time() + 300
    assert collector.asked == 1


@pytest.mark.parametrize("protocol", Protocol)
async def test_points_that_it_does_not_want_are_counted_and_not_sent_again(protocol: Protocol) -> None:
    partial_success = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=partial_success).SerializeToString()
    if protocol is Protocol.JSON:
        body = b'{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}'
    async with collecting() as collector:
        collector.reply = lambda _: Reply(body=body)
        outcome = Outcome(collector.url, protocol=protocol)
        assert await outcome.send() is None
    assert outcome.counts == {"otel_exports": 1, "otel_points": 1, "otel_rejected_points": 2}
    said = read_answer(PROTOBUF if protocol is Protocol.PROTOBUF else JSON, body, 3)
    assert said == (2, "too old")


async def test_it_says_why_but_repeats_no_secret_that_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("# who we are\nAuthorization: Bearer s3cret\n")
    async with collecting() as collector:
        cut = b'{"message":"%s s3cret"}' % (b"x" * 196)
        bodies = [b'{"message":"no\\na\\u001b[31m"}', b'{"message":"s3cret?"}', cut, cut]
        collector.reply = lambda n: Reply(400, body=bodies[n])
        outcome = Outcome(
            collector.url,
            {"OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b"},
            headers_file=str(file),
            protocol=Protocol.JSON,
        )
        assert await outcome.send() == 'it answers 400: "no a [31m"'
        assert await outcome.send() == "it answers 400"
        assert await outcome.send() == "it answers 400"
        file.write_text("Authorization: Other\n")  # it is read anew
        assert await outcome.send() == f'it answers 400: "{"x" * 196} s3c"'
    assert collector.asked == 4


async def test_headers_go_along_and_the_file_counts_more(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("X-Team: file\nUser-Agent: mine\n")
    async with collecting() as collector:
        environment = {"OTEL_EXPORTER_OTLP_HEADERS": "x-team=env,api-key=k%3D1"}
        assert await Outcome(collector.url, environment, headers_file=str(file)).send() is None
    (got,) = collector.received
    assert (got.headers["x-team"], got.headers["api-key"], got.headers["user-agent"]) == ("file", "k=1", "mine")


@pytest.mark.parametrize(
    "line", ["no colon", ": v", "a b: c", "x:", "Host: evil", "x: ä", "x: a\x00b", "content-length: 1"]
)
async def test_a_header_that_can_not_be_is_named_by_its_line_alone(tmp_path: Path, line: str) -> None:
    file = tmp_path / "headers"
    file.write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"headers_file") as refused:
        await Outcome("http://127.0.0.1:1", headers_file=str(file)).sending.send(EXPORT, 1e9)
    assert "evil" not in str(refused.value)


async def test_a_collector_that_hangs_is_left_in_time() -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, hang, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        outcome = Outcome(url, timeout_s=0.05)
        assert await outcome.send(patience=0.3) == "it did not answer within 0.05 s"
        assert outcome.counts["otel_retries"] >= 1
        nursery.cancel_scope.cancel()


async def test_nobody_there_is_tried_again_and_then_given_up() -> None:
    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        outcome = Outcome(url)
        why = await outcome.send(patience=0.2)
    assert why is not None
    assert "connection refused" in why
    assert outcome.counts["otel_retries"] >= 1


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2\r\n" * 10,
    b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 2_000_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000,
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"partia",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[[[",
    b"\x16\x03\x01\x00\x00",
    b"",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_whatever_it_answers_an_export_ends_one_way_or_the_other(garbage: bytes) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some(65_536)
            await stream.send_all(garbage)
        except trio.BrokenResourceError:
            pass  # it read no further

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        outcome = Outcome(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        why = await outcome.send(patience=0.5)
        assert why is not None or outcome.counts["otel_unreadable"] == 1
        nursery.cancel_scope.cancel()


async def test_a_large_export_goes_in_parts_over_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POINTS", 100)
    points = tuple(DataPoint((("gen_ai.agent.id", f"box/{i}"),), i) for i in range(250))
    gauge = Metric("meshfleet.y", "Y.", "", None, points)
    async with collecting() as collector:
        assert await Outcome(collector.url).send(EXPORT._replace(metrics=(gauge, *EXPORT.metrics))) is None
    assert collector.connections == 1
    assert [sum(len(got.points(m.name)) for m in got.metrics) for got in collector.received] == [100, 100, 53]
    assert len({key for got in collector.received for key in got.points("meshfleet.y")}) == 250


async def test_https_is_believed_by_a_certificate_and_by_no_other(tmp_path: Path) -> None:
    certificate = tmp_path / "http.crt"
    server = for_http(OWN, tmp_path, ("127.0.0.1",), datetime.now(UTC))
    async with collecting(server) as collector:
        assert await Outcome(collector.url, certificate=str(certificate)).send() is None
        why = await Outcome(collector.url).send()
        plain = await Outcome(collector.url.replace("https", "http")).send(patience=0.2)
    assert len(collector.received) == 1
    assert why is not None
    assert why.startswith("its certificate is not believed (")
    assert plain is not None
