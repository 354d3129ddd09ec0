"""`POST /otlp/v1/metrics`, `logs` and `traces`: telemetry, as OTLP/HTTP has it (opentelemetry.io/docs/specs/otlp).

Answers come in the encoding of the request: 200 with an Export…ServiceResponse, which says how much was rejected, or a
google.rpc.Status with 400 (never send it again), 415 or 503 (send it again, after Retry-After). What any request may
meet, such as 401 or 413, is refused as everywhere.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import trio
from starlette.responses import Response

from meshfleet.errors import Busy, NotInstalled, TelemetryError
from meshfleet.serve.answers import JSON, Refusal, json_answer, quoted
from meshfleet.serve.limits import INFLATED_LIMIT, INLINE_LIMIT

if TYPE_CHECKING:
    from starlette.requests import Request

    from meshfleet.serve.intake import Intake, Taken

PROTOBUF = "application/x-protobuf"
REJECTED = {"metrics": "rejectedDataPoints", "logs": "rejectedLogRecords", "traces": "rejectedSpans"}
RETRY_SECONDS = 2

NOBODY = "This node takes no telemetry, as it looks for no agents (--no-discover). Send it to one that does."

INVALID, UNIMPLEMENTED, UNAVAILABLE = 3, 12, 14
"""Codes of google.rpc."""


class Exported(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Telemetry was taken. `partialSuccess` is there where some of it was of no use: `rejectedDataPoints`,
    `rejectedLogRecords` or `rejectedSpans`, as text, and `errorMessage`."""

    partial_success: dict[str, str] | None = None


class RpcStatus(msgspec.Struct, frozen=True):
    """Why telemetry was not taken: a google.rpc.Status."""

    code: int
    message: str


class Exports:
    """Answers those who export."""

    def __init__(self, intake: Intake | None) -> None:
        self._intake = intake

    async def metrics(self, request: Request) -> Response:
        """`POST /otlp/v1/metrics`"""
        return await self._answer("metrics", request)

    async def logs(self, request: Request) -> Response:
        """`POST /otlp/v1/logs`"""
        return await self._answer("logs", request)

    async def traces(self, request: Request) -> Response:
        """`POST /otlp/v1/traces`"""
        return await self._answer("traces", request)

    async def _answer(self, signal: str, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()[:40].lower()
        protobuf = kind == PROTOBUF
        try:
            if kind not in (JSON, PROTOBUF):
                said = quoted(request.headers.get("content-type", ""))
                raise NotInstalled(f"The body's Content-Type is {said}. Send it as {JSON} or {PROTOBUF}.")
            if self._intake is None:
                return _status(404, UNIMPLEMENTED, NOBODY, protobuf)
            body = await _plain(await request.body(), request.headers.get("content-encoding", ""))
            taken = await self._intake.telemetry(signal, body, protobuf=protobuf)
        except Busy as error:
            return _status(503, UNAVAILABLE, str(error), protobuf, {"Retry-After": str(RETRY_SECONDS)})
        except NotInstalled as error:
            return _status(415, UNIMPLEMENTED, str(error), protobuf, {"Accept-Post": f"{JSON}, {PROTOBUF}"})
        except TelemetryError as error:
            return _status(400, INVALID, str(error), protobuf)
        if protobuf:
            return Response(_partial(taken), media_type=PROTOBUF)
        if not taken.rejected:
            return json_answer(Exported())
        return json_answer(Exported({REJECTED[signal]: str(taken.rejected), "errorMessage": taken.why}))


async def _plain(body: bytes, encoding: str) -> bytes:
    said = encoding.strip().lower()
    if said in ("", "identity"):
        return body
    if said == "gzip":
        return inflated(body) if len(body) <= INLINE_LIMIT else await trio.to_thread.run_sync(inflated, body)
    raise NotInstalled(f"The body's Content-Encoding is {quoted(encoding)}. Send it with gzip, or as it is.")


def inflated(body: bytes) -> bytes:
    """What gzip holds. A bomb is refused when it has grown to INFLATED_LIMIT; TelemetryError where it is no gzip."""
    reader = zlib.decompressobj(wbits=31)
    try:
        whole = reader.decompress(body, INFLATED_LIMIT + 1)
    except zlib.error as error:
        raise TelemetryError("The body is no gzip, though its Content-Encoding says so.") from error
    if len(whole) > INFLATED_LIMIT:
        raise Refusal(413, f"The body inflates to more than {INFLATED_LIMIT} bytes. Send smaller batches.")
    if not reader.eof or reader.unused_data:
        raise TelemetryError("The body is not one whole piece of gzip.")
    return whole


def _status(status: int, code: int, message: str, protobuf: bool, headers: dict[str, str] | None = None) -> Response:
    if protobuf:
        text = message.encode()
        content = b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text
        return Response(content, status, headers, media_type=PROTOBUF)
    return json_answer(RpcStatus(code, message), status=status, headers=headers)


def _partial(taken: Taken) -> bytes:
    """Export…ServiceResponse as protobuf: all three have the same fields under the same numbers."""
    if not taken.rejected:
        return b""
    text = taken.why.encode()
    partial = b"\x08" + _varint(taken.rejected) + b"\x12" + _varint(len(text)) + text
    return b"\x0a" + _varint(len(partial)) + partial


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
