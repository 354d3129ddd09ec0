"""Bodies of requests: JSON alone, and read as JSON Schema reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.serve.answers import JSON, Refusal, quoted

if TYPE_CHECKING:
    from starlette.requests import Request

    from meshfleet.serve.openapi import Json

T = TypeVar("T", bound=msgspec.Struct)

EXACT = 2.0**53
"""Up to here a float stands for one whole number."""


def require_json(request: Request) -> None:
    """415 where the body is said to be anything else: what a form of another site's page could send."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip()[: len(JSON) + 1].lower() != JSON:
        raise Refusal(
            415,
            f"The body's Content-Type is {quoted(content_type)}. Send it as {JSON}.",
            headers={"Accept-Post": JSON},
        )


def read(body: bytes, kind: type[T]) -> T:
    """The `kind` that `body` holds; msgspec.ValidationError or another of msgspec's and Python's where it does not.

    `1500.0` is an integer to JSON Schema, which the contract is written in, and to whoever computes with floats and
    sends what comes out. To msgspec it is none, so whole numbers are made integers first.
    """
    return msgspec.convert(_whole(msgspec.json.decode(body)), kind)


def _whole(plain: Json) -> Json:
    if isinstance(plain, float) and plain.is_integer() and abs(plain) < EXACT:
        return int(plain)
    if isinstance(plain, list):
        return [_whole(item) for item in plain]
    if isinstance(plain, dict):
        return {key: _whole(item) for key, item in plain.items()}
    return plain
