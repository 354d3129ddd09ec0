"""The contract holds: it has every route, and real answers fit the schemas that it shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, cast

import pytest
from starlette.routing import Route

from meshfleet.serve.application import application
from meshfleet.serve.encoded import Encoding
from meshfleet.serve.exports import Exports
from meshfleet.serve.federation import Federation
from meshfleet.serve.files import Page
from meshfleet.serve.gate import Gate
from meshfleet.serve.history import Nothing, Telling
from meshfleet.serve.hooks import Hooks
from meshfleet.serve.limits import Counts
from meshfleet.serve.metrics import Metrics
from meshfleet.serve.openapi import Contract, Json
from meshfleet.serve.past import Past
from meshfleet.serve.pushing import Pushing
from meshfleet.serve.reading import Reading
from meshfleet.serve.routes import Answering, table
from meshfleet.serve.sessions import Sessions
from meshfleet.serve.stream import Broadcast
from meshfleet.serve.websocket import Sockets

if TYPE_CHECKING:
    import httpx

    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed

Document = dict[str, Json]


def at(value: Json, *keys: str) -> Document:
    """The object at `keys` inside of `value`."""
    for key in keys:
        assert isinstance(value, dict), f"nothing at {key}"
        value = value[key]
    assert isinstance(value, dict)
    return value


class Checker:
    """Checks values against the part of JSON Schema that the contract uses, and fails on any other part."""

    KNOWN: ClassVar = {"$ref", "title", "description", "type", "enum", "properties", "required", "items", "anyOf"} | {
        *("default", "minimum", "maximum", "exclusiveMaximum", "maxLength", "minLength", "maxItems"),
        *("additionalProperties", "propertyNames"),
    }

    def __init__(self, document: Document) -> None:
        self._schemas = at(document, "components", "schemas")

    def check(self, value: Json, schema: Document, where: str = "$") -> None:
        assert set(schema) <= self.KNOWN, f"{where}: unknown to this checker: {set(schema) - self.KNOWN}"
        if "$ref" in schema:
            return self.check(value, at(self._schemas, str(schema["$ref"]).rpartition("/")[2]), where)
        if "anyOf" in schema:
            return self._any(value, cast("list[Document]", schema["anyOf"]), where)
        if "enum" in schema:
            assert value in cast("list[Json]", schema["enum"]), f"{where}: {value!r} is none of {schema['enum']}"
        if "type" in schema:
            kinds: dict[str, type | tuple[type, ...]] = {
                "null": type(None),
                "boolean": bool,
                "integer": int,
                "number": (int, float),
                "string": str,
                "array": list,
                "object": dict,
            }
            assert isinstance(value, kinds[str(schema["type"])]), f"{where}: {value!r} is no {schema['type']}"
        if isinstance(value, str):
            assert len(value) <= cast("int", schema.get("maxLength", len(value))), where
        if isinstance(value, int) and "minimum" in schema:
            assert value >= cast("int", schema["minimum"]), where
        if isinstance(value, int) and "exclusiveMaximum" in schema:
            assert value < cast("int", schema["exclusiveMaximum"]), where
        if isinstance(value, list):
            for i, item in enumerate(value):
                self.check(item, cast("Document", schema.get("items", {})), f"{where}[{i}]")
        if isinstance(value, dict):
            self._object(value, schema, where)
        return None

    def _any(self, value: Json, choices: list[Document], where: str) -> None:
        failures = []
        for choice in choices:
            try:
                return self.check(value, choice, where)
            except AssertionError as error:
                failures.append(str(error))
        raise AssertionError("; ".join(failures))

    def _object(self, value: Document, schema: Document, where: str) -> None:
        properties = cast("dict[str, Document]", schema.get("properties", {}))
        missing = set(cast("list[str]", schema.get("required", []))) - set(value)
        assert not missing, f"{where}: lacks {missing}"
        rest = schema.get("additionalProperties")
        for key, item in value.items():
            if key in properties:
                self.check(item, properties[key], f"{where}.{key}")
            else:
                assert isinstance(rest, dict), f"{where}: {key} is not in the contract"
                self.check(item, rest, f"{where}.{key}")


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Document:
    found: Document = (await client.get("/openapi.json")).json()
    return found


def schema_of(document: Document, path: str, method: str = "get", status: int = 200) -> Document:
    content = at(document, "paths", path, method, "responses", str(status), "content")
    return at(content, "application/json", "schema")


async def test_every_route_is_in_the_contract_and_nothing_else(
    document: Document, feed: SampleFeed, readers: Readers
) -> None:
    counts = Counts()
    encoding = Encoding(feed)
    broadcast = Broadcast(feed, encoding, counts)
    parts = Answering(
        reading=Reading(feed, encoding, broadcast),
        sockets=Sockets(broadcast),
        pushing=Pushing(feed),
        hooks=Hooks(None, counts),
        exports=Exports(None),
        sessions=Sessions(readers, counts),
        telling=Telling(Nothing()),
        metrics=Metrics(feed, counts),
        federation=Federation(feed),
        past=Past(feed, counts),
        page=Page(),
        contract=Contract(),
    )
    routes = [r for r in application(table(parts), Gate(readers, counts)).routes if isinstance(r, Route)]
    routed = {(r.path.replace(":path", ""), m) for r in routes for m in (r.methods or set()) - {"HEAD"}}
    described = {(path, m.upper()) for path, item in at(document, "paths").items() for m in cast("Document", item)}
    assert described == routed
    assert ("/v1/fleet", "GET") in described
    assert document["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/health", "/health"),
        ("/state", "/state"),
        ("/v1/agents/{id}/history", "/v1/agents/box-1/claude-1f3c/history"),
        ("/v1/fleet", "/v1/fleet"),
        ("/v1/nodes/{name}", "/v1/nodes/n3"),
        ("/v1/agents/{id}", "/v1/agents/box-1/claude-1f3c"),
        ("/v1/why/{name}", "/v1/why/n3"),
        ("/openapi.json", "/openapi.json"),
    ],
)
async def test_real_answers_fit_the_contract(
    client: httpx.AsyncClient, document: Document, path: str, asked: str
) -> None:
    answer = await client.get(asked)
    assert answer.status_code == 200
    schema = schema_of(document, path)
    if path != "/openapi.json":
        Checker(document).check(answer.json(), schema)


async def test_refusals_fit_the_contract_too(client: httpx.AsyncClient, document: Document) -> None:
    checker = Checker(document)
    unknown = await client.get("/v1/nodes/n22")
    checker.check(unknown.json(), schema_of(document, "/v1/nodes/{name}", status=404))
    wrong = await client.put("/v1/fleet")
    checker.check(wrong.json(), schema_of(document, "/v1/fleet", status=405))


async def test_what_is_pushed_and_what_comes_back_fit_the_contract(
    client: httpx.AsyncClient, document: Document
) -> None:
    path = "/v1/agents/{id}/state"
    body: Document = {"agent_id": "a", "timestamp": "2026-11-23T20:15:05Z", "status": "idle", "runtime": "python"}
    checker = Checker(document)
    takes = at(document, "paths", path, "post", "requestBody", "content", "application/json", "schema")
    checker.check(body, takes)
    with pytest.raises(AssertionError, match="status"):
        checker.check(body | {"status": "bored"}, takes)
    answer = await client.post("/v1/agents/a/state", json=body)
    checker.check(answer.json(), schema_of(document, path, "post", 202))


async def test_every_reference_leads_somewhere_and_every_path_parameter_is_told(document: Document) -> None:
    text = str(document)
    schemas = at(document, "components", "schemas")
    assert {ref for ref in re.findall(r"#/components/schemas/(\w+)", text)} <= set(schemas)
    for path, item in at(document, "paths").items():
        for operation in cast("dict[str, Document]", item).values():
            told = [at(p)["name"] for p in cast("list[Json]", operation.get("parameters", []))]
            assert told == re.findall(r"\{(\w+)\}", path)
