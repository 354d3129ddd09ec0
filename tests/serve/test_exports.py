"""`POST /otlp/v1/…`, as OTLP/HTTP has it: encodings, answers, limits, and who may."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from meshfleet.errors import Busy, NotInstalled, TelemetryError
from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.serve import serve
from meshfleet.serve.answers import Refusal
from meshfleet.serve.exports import PROTOBUF, inflated
from meshfleet.serve.limits import BODY_LIMIT, INFLATED_LIMIT, LARGE_BODIES, TELEMETRY_LIMIT

if TYPE_CHECKING:
    from trio.testing import MockClock

    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed, Tokens

LOGS = "/otlp/v1/logs"
AS_JSON = {"Content-Type": "application/json"}
AS_PROTOBUF = {"Content-Type": PROTOBUF}
ZIPPED = {"Content-Encoding": "gzip"}


class Taken:
    """How much was of no use."""

    def __init__(self, rejected: int, why: str) -> None:
        self.rejected = rejected
        self.why = why


class FakeIntake:
    """Keeps what it is given, and answers as it is told to."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, bool]] = []
        self.taken = Taken(0, "")
        self.telling: list[str] = []
        self.error: TelemetryError | None = None
        self.go_on: trio.Event | None = None
        self.inside = 0
        self.entered = trio.Event()

    def tells_itself(self, instance: str) -> None:
        self.telling.append(instance)

    async def telemetry(self, signal: str, body: bytes, *, protobuf: bool) -> Taken:
        """Take it."""
        if self.go_on is not None:
            self.inside += 1
            if self.inside == LARGE_BODIES:
                self.entered.set()
            await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.kept.append((signal, body, protobuf))
        return self.taken


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
async def base_url(feed: SampleFeed, readers: Readers, intake: FakeIntake, nursery: trio.Nursery) -> str:
    async def start(task_status: trio.TaskStatus[str]) -> None:
        await serve(feed, readers, Address("127.0.0.1", 0), intake=intake, task_status=task_status)

    url: str = await nursery.start(start)
    return url


@pytest.mark.parametrize("signal", ["metrics", "logs", "traces"])
async def test_what_is_sent_is_handed_on_and_answered_in_its_own_encoding(
    stranger: httpx.AsyncClient, intake: FakeIntake, signal: str
) -> None:
    plain = await stranger.post(f"/otlp/v1/{signal}", content=b"{}", headers=AS_JSON)
    assert (plain.status_code, plain.headers["content-type"], plain.json()) == (200, "application/json", {})
    binary = await stranger.post(f"/otlp/v1/{signal}", content=b"\x0a\x00", headers=AS_PROTOBUF)
    assert (binary.status_code, binary.headers["content-type"], binary.content) == (200, PROTOBUF, b"")
    assert intake.kept == [(signal, b"{}", False), (signal, b"\x0a\x00", True)]


@pytest.mark.parametrize(
    ("signal", "field"),
    [("metrics", "rejectedDataPoints"), ("logs", "rejectedLogRecords"), ("traces", "rejectedSpans")],
)
async def test_what_was_rejected_is_told_in_json_and_in_protobuf(
    stranger: httpx.AsyncClient, intake: FakeIntake, signal: str, field: str
) -> None:
    intake.taken = Taken(300, "a point has no time")
    plain = await stranger.post(f"/otlp/v1/{signal}", content=b"{}", headers=AS_JSON)
    # proto3's JSON has 64-bit numbers as text.
    assert plain.json() == {"partialSuccess": {field: "300", "errorMessage": "a point has no time"}}
    binary = await stranger.post(f"/otlp/v1/{signal}", content=b"", headers=AS_PROTOBUF)
    # By hand: field 1 of 24 bytes; in it field 1 as varint 300 = ac 02, field 2 of 19 bytes.
    assert binary.content == b"\x0a\x18\x08\xac\x02\x12\x13a point has no time"


async def test_protobuf_answers_are_those_of_opentelemetry(stranger: httpx.AsyncClient, intake: FakeIntake) -> None:
    told = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2", reason="no extra otlp")
    intake.taken = Taken(2**40, "why")
    answer = await stranger.post(LOGS, content=b"", headers=AS_PROTOBUF)
    partial = told.ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (2**40, "why")


async def test_gzip_is_taken(stranger: httpx.AsyncClient, intake: FakeIntake) -> None:
    for body in (b"{}", b'{"a": "' + b"x" * 4_000_000 + b'"}'):
        answer = await stranger.post(LOGS, content=gzip.compress(body), headers=AS_JSON | ZIPPED)
        assert answer.status_code == 200
        assert intake.kept.pop() == ("logs", body, False)


async def test_a_bomb_is_refused_before_it_goes_off(stranger: httpx.AsyncClient, intake: FakeIntake) -> None:
    bomb = gzip.compress(bytes(INFLATED_LIMIT * 8))
    answer = await stranger.post(LOGS, content=bomb, headers=AS_JSON | ZIPPED)
    assert (answer.status_code, "inflates to more" in answer.json()["error"]) == (413, True)
    assert intake.kept == []
    tracemalloc.start()
    try:
        with pytest.raises(Refusal):
            inflated(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * INFLATED_LIMIT
    finally:
        tracemalloc.stop()


_PACKED = gzip.compress(b"{}", mtime=0)  # names of tests are made of it: they are the same in each process


@pytest.mark.parametrize("body", [b"no gzip", _PACKED[:-4], _PACKED + b"more", _PACKED * 2, b""])
async def test_what_is_no_whole_gzip_is_400(stranger: httpx.AsyncClient, body: bytes) -> None:
    answer = await stranger.post(LOGS, content=body, headers=AS_JSON | ZIPPED)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert "gzip" in answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "application/json or application/x-protobuf"),
        ({"Content-Type": "text/plain"}, "'text/plain'"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "application/x-protobuf"),
        (AS_JSON | {"Content-Encoding": "zstd"}, "gzip"),
    ],
)
async def test_other_kinds_and_encodings_are_415(
    stranger: httpx.AsyncClient, headers: dict[str, str], says: str
) -> None:
    answer = await stranger.post(LOGS, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, 12)
    assert says in answer.json()["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (TelemetryError("wrong at $.x"), 400, 3, None),
        (NotInstalled("install it"), 415, 12, None),
        (Busy("in a moment"), 503, 14, "2"),
    ],
)
async def test_why_it_was_not_taken_is_a_status_of_rpc(
    stranger: httpx.AsyncClient, intake: FakeIntake, error: TelemetryError, status: int, code: int, retry: str | None
) -> None:
    intake.error = error
    plain = await stranger.post(LOGS, content=b"{}", headers=AS_JSON)
    assert (plain.status_code, plain.json()) == (status, {"code": code, "message": str(error)})
    assert plain.headers.get("retry-after") == retry
    binary = await stranger.post(LOGS, content=b"", headers=AS_PROTOBUF)
    text = str(error).encode()
    assert binary.content == bytes((8, code, 18, len(text))) + text
    assert binary.headers["content-type"] == PROTOBUF


async def test_only_here_bodies_may_be_large(stranger: httpx.AsyncClient, intake: FakeIntake) -> None:
    large = b" " * (TELEMETRY_LIMIT - 2) + b"{}"
    assert (await stranger.post(LOGS, content=large, headers=AS_JSON)).status_code == 200
    assert len(intake.kept) == 1
    over = await stranger.post(LOGS, content=large + b" ", headers=AS_JSON)
    assert (over.status_code, "smaller batches" in over.json()["error"]) == (413, True)
    elsewhere = await stranger.post("/v1/agents/a/state", content=b" " * (BODY_LIMIT + 1), headers=AS_JSON)
    assert elsewhere.status_code == 413


async def test_so_many_large_bodies_are_here_at_once_and_no_more(
    stranger: httpx.AsyncClient, intake: FakeIntake
) -> None:
    intake.go_on = trio.Event()
    large = b" " * BODY_LIMIT + b"{}"
    answers: list[int] = []

    async def send() -> None:
        answers.append((await stranger.post(LOGS, content=large, headers=AS_JSON, timeout=30)).status_code)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(LARGE_BODIES):
                nursery.start_soon(send)
            await intake.entered.wait()
            refused = await stranger.post(LOGS, content=large, headers=AS_JSON)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            intake.go_on.set()
    assert answers == [200] * LARGE_BODIES
    intake.go_on = None
    assert (await stranger.post(LOGS, content=large, headers=AS_JSON)).status_code == 200


async def test_who_comes_by_a_proxy_needs_a_token_for_agents(
    stranger: httpx.AsyncClient, tokens: Tokens, intake: FakeIntake
) -> None:
    proxied = AS_JSON | {"X-Forwarded-For": "192.0.2.1"}
    assert (await stranger.post(LOGS, content=b"{}", headers=proxied)).status_code == 401
    for scope, status in ((Scope.READ, 403), (Scope.METRICS, 403), (Scope.AGENT, 200)):
        shown = proxied | {"Authorization": f"Bearer {tokens[scope]}"}
        assert (await stranger.post(LOGS, content=b"{}", headers=shown)).status_code == status
    assert len(intake.kept) == 1


async def begun(url: str, *headers: str) -> trio.SocketStream:
    """A request from elsewhere whose body is large, and never comes to its end."""
    place = httpx.URL(url)
    stream = await trio.open_tcp_stream(place.host, place.port or 0)
    head = (f"POST {LOGS} HTTP/1.1", f"Content-Length: {TELEMETRY_LIMIT}", "X-Forwarded-For: 192.0.2.1", *headers)
    await stream.send_all("\r\n".join((*head, "", "")).encode() + b" " * (BODY_LIMIT + 1))
    return stream


async def test_who_shows_no_token_for_it_takes_no_place_of_a_large_body(
    base_url: str, stranger: httpx.AsyncClient, tokens: Tokens, intake: FakeIntake, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # real sockets have their time
    reading = f"Authorization: Bearer {tokens[Scope.READ]}"
    shown = {"no token": (), "none that is good": ("Authorization: Bearer mfs_x",), "another scope": (reading,)}
    said: dict[str, bytes] = {}
    for who, headers in shown.items():
        for _ in range(LARGE_BODIES):
            async with await begun(base_url, "Host: localhost", *headers) as stream:
                with trio.fail_after(60):
                    said[who] = await stream.receive_some()
    assert {who: answer[:12] for who, answer in said.items()} == {
        "no token": b"HTTP/1.1 401",
        "none that is good": b"HTTP/1.1 401",
        "another scope": b"HTTP/1.1 403",
    }
    proxied = AS_JSON | {"X-Forwarded-For": "192.0.2.1", "Authorization": f"Bearer {tokens[Scope.AGENT]}"}
    answer = await stranger.post(LOGS, content=b" " * BODY_LIMIT + b"{}", headers=proxied)
    assert (answer.status_code, len(intake.kept)) == (200, 1)


async def test_the_body_of_who_asks_under_a_foreign_name_is_not_waited_for(
    base_url: str, tokens: Tokens, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05
    token = f"Authorization: Bearer {tokens[Scope.AGENT]}"
    async with await begun(base_url, "Host: evil.example", token) as stream:
        with trio.fail_after(60):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 403")


async def test_a_web_page_from_elsewhere_can_send_nothing(stranger: httpx.AsyncClient, intake: FakeIntake) -> None:
    page = AS_JSON | {"Sec-Fetch-Site": "cross-site"}
    assert (await stranger.post(LOGS, content=b"{}", headers=page)).status_code == 403
    assert intake.kept == []


async def test_a_node_without_an_intake_says_so(feed: SampleFeed, readers: Readers, nursery: trio.Nursery) -> None:
    url: str = await nursery.start(serve, feed, readers, Address("127.0.0.1", 0))
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post(LOGS, content=b"{}", headers=AS_JSON)
    assert (answer.status_code, "--no-discover" in answer.json()["message"]) == (404, True)


async def test_the_contract_has_all_three(stranger: httpx.AsyncClient) -> None:
    paths = json.loads((await stranger.get("/openapi.json")).content)["paths"]
    for signal in ("metrics", "logs", "traces"):
        told = paths[f"/otlp/v1/{signal}"]["post"]
        assert set(told["requestBody"]["content"]) == {"application/json", PROTOBUF}
        assert {"200", "400", "404", "413", "415", "503"} <= set(told["responses"])
