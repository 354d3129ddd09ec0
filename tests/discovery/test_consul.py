"""Consul's catalog. No Consul runs here: a server on loopback gives answers as its documentation shows them (fields of
`/v1/catalog/service/:service`, `X-Consul-Index`, 403 for a token that may not), and blocks as it says a query does."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from meshfleet.discovery import consul
from meshfleet.discovery.consul import Consul
from meshfleet.discovery.opening import open_sources
from meshfleet.discovery.source import Hurry, Unfound
from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.fleet.source import read_source
from tests.discovery.listening import HERE, PATIENCE, Told, watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def entry(address: str, port: int, fleet: str | None = None, node_address: str = "10.9.9.9") -> dict[str, object]:
    """As the documentation of the catalog has it, shortened by what nobody reads."""
    return {
        "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
        "Node": "t2.320",
        "Address": node_address,
        "Datacenter": "dc1",
        "TaggedAddresses": {"lan": node_address, "wan": node_address},
        "NodeMeta": {"somekey": "somevalue"},
        "CreateIndex": 51,
        "ModifyIndex": 51,
        "ServiceAddress": address,
        "ServiceEnableTagOverride": False,
        "ServiceID": "32a2a47f7992:nodea:5000",
        "ServiceName": "meshfleet",
        "ServicePort": port,
        "ServiceMeta": {} if fleet is None else {"fleet": fleet},
        "ServiceTaggedAddresses": {"lan": {"address": address, "port": port}},
        "ServiceTags": ["tacos"],
        "Namespace": "default",
    }


class Catalog:
    """Answers as Consul does, and waits where it would."""

    def __init__(self) -> None:
        self.services: list[dict[str, object]] = []
        self.index = 10
        self.status = 200
        self.writable = True
        self.with_index = True
        self.body: bytes | None = None
        self.queries: list[dict[str, list[str]]] = []
        self.puts: list[str] = []
        self.entries: list[dict[str, object]] = []
        self.tokens: set[str] = set()
        self.url = ""
        self._news = trio.Event()

    def change(self, *services: dict[str, object], index: int | None = None) -> None:
        """The catalog is another from now on."""
        self.services = list(services)
        self.index = self.index + 1 if index is None else index
        self.wake()

    def wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until_put(self, what: str) -> None:
        with trio.fail_after(PATIENCE):
            while not any(what in put for put in self.puts):
                await self._news.wait()

    async def until_asked(self, times: int) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.queries) < times:
                await self._news.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        head, body = await request(stream)
        method, target = head.split(b"\r\n")[0].decode().split()[:2]
        self.tokens |= {line[16:].decode() for line in head.split(b"\r\n") if line.startswith(b"X-Consul-Token: ")}
        split = urlsplit(target)
        if method == "PUT":
            self.puts.append(split.path)
            if split.path.endswith("/register"):
                self.entries.append(json.loads(body))
            self.wake()
            await answer(stream, 200 if self.writable else 403, b"" if self.writable else b"Permission denied")
            return
        query = parse_qs(split.query)
        self.queries.append(query)
        self.wake()
        while self.status == 200 and self.with_index and int(query["index"][0]) == self.index:
            await self._news.wait()
        told = self.body if self.body is not None else json.dumps(self.services).encode()
        index = b"X-Consul-Index: %d\r\n" % self.index if self.with_index else b""
        await answer(stream, self.status, told, index)


async def request(stream: trio.SocketStream) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    while len(body) < sum(lengths):
        body += await stream.receive_some()
    return head, body


async def answer(stream: trio.SocketStream, status: int, body: bytes, headers: bytes = b"") -> None:
    await stream.send_all(b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n" % (status, headers, len(body)) + body)
    await stream.aclose()


@asynccontextmanager
async def catalog() -> AsyncIterator[Catalog]:
    told = Catalog()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        told.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, told.serve, listeners)
        yield told
        nursery.cancel_scope.cancel()


def source(told: Catalog, token: str | None = None) -> Consul:
    return Consul(read_source(f"consul:{told.url}"), told.url, token, None)


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consul, "LEAST", 0.0)
    monkeypatch.setattr(consul, "PLAIN", 0.0)


async def test_the_catalog_is_followed_by_blocking_queries() -> None:
    async with catalog() as told_by:
        told_by.services = [entry("10.0.0.1", 7878), entry("", 7900, node_address="10.0.0.2")]
        async with watched(source(told_by)) as told:
            await told.nodes("10.0.0.1:7878", "10.0.0.2:7900")
            await told_by.until_asked(2)
            told_by.change(entry("10.0.0.3", 7878))
            await told.nodes("10.0.0.3:7878")
            await told_by.until_asked(3)
        assert [query["index"] for query in told_by.queries] == [["0"], ["10"], ["11"]]
        assert told_by.queries[0]["wait"] == ["55s"]


async def test_an_index_that_goes_back_begins_anew() -> None:
    async with catalog() as told_by, watched(source(told_by)) as told:
        await told_by.until_asked(2)
        told_by.change(entry("10.0.0.3", 7878), index=3)
        await told.nodes("10.0.0.3:7878")
        await told_by.until_asked(4)
        assert [query["index"] for query in told_by.queries[:4]] == [["0"], ["10"], ["0"], ["3"]]


async def test_who_is_of_another_fleet_is_not_tried_and_nonsense_neither() -> None:
    async with catalog() as told_by:
        told_by.services = [
            entry("10.0.0.1", 7878, fleet=HERE.fleet),
            entry("10.0.0.2", 7878, fleet="b771"),
            entry("10.0.0.4", 0),
            entry("10.0.0.5", 70_000),
            entry("", 7878, node_address=""),
            entry("x" * 10_000, 7878),
        ]
        async with watched(source(told_by)) as told:
            await told.nodes("10.0.0.1:7878")


async def test_a_node_registers_itself_keeps_its_check_passing_and_takes_itself_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consul, "TTL", 0.3)
    async with catalog() as told_by:
        async with watched(source(told_by, "s3cret")) as told:
            await told_by.until_put("/v1/agent/service/register")
            await told_by.until_put("/v1/agent/check/pass/service:meshfleet-3f9a12cd-n1")
            told_by.change(entry("10.0.0.1", 7878))
            assert (await told.nodes("10.0.0.1:7878")).offered is True
        await told_by.until_put("/v1/agent/service/deregister/meshfleet-3f9a12cd-n1")
        said = told_by.entries[0]
        assert (said["Name"], said["Address"], said["Port"]) == ("meshfleet", "127.0.0.1", 7878)
        assert said["Meta"] == {"fleet": HERE.fleet, "node": "n1"}
        assert told_by.tokens == {"s3cret"}


async def test_a_token_that_may_only_read_reads_and_that_is_no_problem() -> None:
    async with catalog() as told_by:
        told_by.writable = False
        async with watched(source(told_by, "s3cret")) as told:
            await told_by.until_put("/register")
            told_by.change(entry("10.0.0.1", 7878))
            found = await told.nodes("10.0.0.1:7878")
            assert (found.offered, found.problem) == (False, None)
        assert not any("deregister" in put for put in told_by.puts)


async def test_without_an_index_it_is_asked_plainly() -> None:
    async with catalog() as told_by:
        told_by.with_index = False
        async with watched(source(told_by)):
            await told_by.until_asked(3)
        assert {query["index"][0] for query in told_by.queries} == {"0"}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (403, b"Permission denied", "its token in CONSUL_HTTP_TOKEN needs service:read"),
        (500, b"No cluster leader", "HTTP 500"),
        (302, b"", "a redirect, which is not followed"),
        (200, b"<html>", "no catalog of Consul's"),
        (200, b'[{"ServicePort": "x"}]', "no catalog of Consul's"),
        (200, b"[" * 100_000, "no catalog of Consul's"),
        (200, b"[" + b" " * consul.ANSWER_LIMIT + b"]", "more than 1048576 bytes"),
    ],
)
async def test_what_is_no_answer_is_a_failure_in_words(status: int, body: bytes, says: str) -> None:
    async with catalog() as told_by:
        told_by.status, told_by.body = status, body
        told = Told()
        with trio.fail_after(PATIENCE), pytest.raises(Unfound) as why:
            await source(told_by).watch(HERE, told.hear, Hurry())
    assert says in str(why.value)
    assert told.all == []


def test_the_variables_of_consuls_own_command_are_heeded() -> None:
    spec = read_source("consul")
    assert isinstance(open_sources([spec], {})[0], Consul)
    with pytest.raises(ConfigError, match="in the clear"):
        open_sources([spec], {"CONSUL_HTTP_ADDR": "consul.test:8500", "CONSUL_HTTP_TOKEN": "s3cret"})
    tls = {"CONSUL_HTTP_ADDR": "consul.test:8501", "CONSUL_HTTP_TOKEN": "s3cret", "CONSUL_HTTP_SSL": "true"}
    assert isinstance(open_sources([spec], tls)[0], Consul)
    with pytest.raises(ConfigError, match="CONSUL_CACERT"):
        open_sources([spec], {**tls, "CONSUL_CACERT": "/nowhere.pem"})


def test_an_address_that_the_catalog_gives_is_an_address() -> None:
    assert consul.read_catalog(json.dumps([entry("10.0.0.1", 1)]).encode(), "f") == (Address("10.0.0.1", 1),)
