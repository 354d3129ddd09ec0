"""`/openapi.json`: the contract, made from the route table and from the very types that are encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from meshfleet.serve.answers import JSON, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from meshfleet.serve.routes import Endpoint

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

REFUSALS = {
    304: "Not modified: what If-None-Match names is the newest.",
    400: "The id or the body is wrong; the sentence says where.",
    404: "Not known here; `near` lists what resembles it.",
    409: "This node carries as many agents as a node may; the new one was not added.",
    415: "The body is not application/json.",
    503: "All event streams are in use.",
}
EVERYWHERE = {
    403: "The Host header is not this machine's own, or the request comes from another site's page.",
    405: "The path knows other methods: see Allow.",
    408: "The body took too long.",
    413: "The body, or the state in it, is too big.",
    500: "This node failed to answer.",
}


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Json]:
    """The OpenAPI 3.1 document of `endpoints`."""
    types: list[type[msgspec.Struct]] = [Problem]
    types += [t for e in endpoints for t in (e.answers, e.takes) if t is not None]
    types = list(dict.fromkeys(types))
    refs, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type: dict[type[msgspec.Struct], Json] = dict(zip(types, refs, strict=True))
    paths: dict[str, Json] = {}
    for path in dict.fromkeys(e.path for e in endpoints):
        paths[path] = {e.method.lower(): _operation(e, by_type) for e in endpoints if e.path == path}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "meshfleet",
            "version": version,
            "description": "Any node serves the whole fleet, as it sees it. Times are RFC 3339 UTC, durations seconds, "
            "money USD; null means not known.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": dict(schemas)},
    }


class Contract:
    """Serves the document. Encoded once: it does not change while a node runs."""

    def __init__(self) -> None:
        self._body = b""

    def describe(self, endpoints: Sequence[Endpoint], version: str) -> None:
        """Take `endpoints`, the contract's own among them, as what is told from now on."""
        self._body = msgspec.json.encode(document(endpoints, version))

    async def answer(self, _request: Request) -> Response:
        """`GET /openapi.json`"""
        return Response(self._body, media_type=JSON)


def _operation(endpoint: Endpoint, by_type: dict[type[msgspec.Struct], Json]) -> Json:
    problem = by_type[Problem]
    success: dict[str, Json] = {"description": endpoint.summary}
    if endpoint.media is not None:
        schema: Json = {"type": "string"} if endpoint.media != JSON else {"type": "object"}
        if endpoint.answers is not None:
            schema = by_type[endpoint.answers]
        success["content"] = {endpoint.media: {"schema": schema}}
    responses: dict[str, Json] = {str(endpoint.status): success}
    told = {status: REFUSALS[status] for status in endpoint.refuses} | EVERYWHERE
    for status, description in sorted(told.items()):
        responses[str(status)] = {"description": description}
        if status != 304:
            responses[str(status)] = {"description": description, "content": {JSON: {"schema": problem}}}
    operation: dict[str, Json] = {
        "operationId": f"{endpoint.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', endpoint.path).strip('_') or 'page'}",
        "summary": endpoint.summary,
        "responses": responses,
    }
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if endpoint.takes is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": by_type[endpoint.takes]}}}
    return operation
