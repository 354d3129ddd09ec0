"""`/openapi.json`: the contract, made from the route table and from the very types that are encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import AGENT_ID_LIMIT, AGENT_ID_PATTERN
from meshfleet.serve.access import SessionRequest
from meshfleet.serve.answers import JSON, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from meshfleet.serve.routes import Endpoint

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

REFUSALS = {
    304: "Not modified: what If-None-Match names is the newest.",
    400: "The id or the body is wrong; the sentence says where.",
    401: "No token, or one that is not good (any more); the sentence says why.",
    404: "Not known here; `near` lists what resembles it.",
    409: "The body is about another agent than the path; or this node carries as many agents as a node may, and the "
    "new one was not added.",
    415: "The body is not application/json, or of another kind that is taken there; the sentence says which are.",
    426: "Only to be had over a WebSocket.",
    429: "Too many at once from there; Retry-After says when the next may come.",
    503: "As much as there may be is in use or waiting; Retry-After says when the next may come.",
}
EVERYWHERE = {
    403: "The Host header is no name of this node, the request comes from another site's page, or the token's scope is "
    "not enough: the sentence names the one that is missing.",
    405: "The path knows other methods: see Allow.",
    408: "The body took too long.",
    413: "The body, or the state in it, is too big.",
    500: "This node failed to answer.",
}
SCHEMES = {
    Scope.READ: "A session token with scope `read`: to see the fleet.",
    Scope.AGENT: "A session token with scope `agent`: to speak for agents.",
    Scope.METRICS: "A session token with scope `metrics`: to collect metrics.",
}
API_KEY = "api_key"
PARAMETERS: dict[str, Json] = {"id": {"type": "string", "pattern": AGENT_ID_PATTERN, "maxLength": AGENT_ID_LIMIT}}


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Json]:
    """The OpenAPI 3.1 document of `endpoints`."""
    types: list[type[msgspec.Struct]] = [Problem]
    types += [t for e in endpoints for t in (e.answers, e.takes, e.refuses_with) if t is not None]
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
        "components": {"schemas": dict(schemas), "securitySchemes": _schemes()},
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


def _schemes() -> dict[str, Json]:
    schemes: dict[str, Json] = {
        str(scope): {"type": "http", "scheme": "bearer", "bearerFormat": "mfs_…", "description": told}
        for scope, told in SCHEMES.items()
    }
    schemes[API_KEY] = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "mf_SCOPE_ID_SECRET",
        "description": "A long-lived API key. Better is a proof of it in the body: docs/readers.md.",
    }
    return schemes


def _security(endpoint: Endpoint) -> list[Json]:
    """Any one of them is enough. An empty one says that it goes without, too."""
    wanted: list[Json] = [{str(scope): []} for scope in endpoint.scopes]
    if endpoint.takes is SessionRequest:
        wanted.append({API_KEY: []})
    return [*wanted, {}] if endpoint.loopback_without or not endpoint.scopes else wanted


def _operation(endpoint: Endpoint, by_type: dict[type[msgspec.Struct], Json]) -> Json:
    problem = by_type[Problem]
    success: dict[str, Json] = {"description": endpoint.summary}
    if endpoint.media is not None:
        schema: Json = {"type": "string"} if endpoint.media != JSON else {"type": "object"}
        if endpoint.answers is not None:
            schema = by_type[endpoint.answers]
            schema = {"type": "array", "items": schema} if endpoint.many else schema
        success["content"] = {endpoint.media: {"schema": schema}}
    responses: dict[str, Json] = {str(endpoint.status): success}
    refuses = (*endpoint.refuses, 401) if endpoint.scopes else endpoint.refuses
    told = {status: REFUSALS[status] for status in refuses} | EVERYWHERE
    for status, description in sorted(told.items()):
        responses[str(status)] = {"description": description}
        if status != 304:
            shape = by_type[endpoint.refuses_with] if status in endpoint.refuses else problem
            responses[str(status)] = {"description": description, "content": {JSON: {"schema": shape}}}
    operation: dict[str, Json] = {
        "operationId": f"{endpoint.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', endpoint.path).strip('_') or 'page'}",
        "summary": endpoint.summary,
        "security": _security(endpoint),
        "responses": responses,
    }
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": PARAMETERS.get(name, {"type": "string"})}
            for name in names
        ]
    if endpoint.takes is not None:
        operation["requestBody"] = {
            "required": endpoint.takes is not SessionRequest,
            "content": {JSON: {"schema": by_type[endpoint.takes]}},
        }
    if endpoint.also_takes is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": {"type": "object"}}, endpoint.also_takes: {}},
        }
    return operation
