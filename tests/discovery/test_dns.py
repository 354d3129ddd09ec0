"""DNS, asked at a real dnsmasq."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.discovery import dns
from meshfleet.discovery.dns import Dns
from meshfleet.discovery.source import Found, Hurry, Unfound
from meshfleet.fleet.names import Address
from meshfleet.fleet.source import read_source
from tests.discovery.listening import HERE, PATIENCE, Told, watched
from tests.discovery.nameserver import name_server, needs_dnsmasq

if TYPE_CHECKING:
    from pathlib import Path

    from tests.discovery.nameserver import NameServer

pytestmark = needs_dnsmasq


def source(name: str, server: NameServer) -> Dns:
    return Dns(read_source(f"dns:{name}@{server.at}"))


async def refused(asked: Dns) -> str:
    """Why it finds nothing."""
    told = Told()
    with trio.fail_after(PATIENCE), pytest.raises(Unfound) as why:
        await asked.watch(HERE, told.hear, Hurry())
    assert told.all == []
    return str(why.value)


async def test_a_headless_service_gives_an_address_for_each_pod(tmp_path: Path) -> None:
    pods = "10.1.0.1 fleet.test\n10.1.0.2 fleet.test\nfd00::1 fleet.test\n"
    async with name_server(tmp_path, hosts=pods) as server:
        async with watched(source("fleet.test:7900", server)) as told:
            assert await told.nodes("10.1.0.1:7900", "10.1.0.2:7900") == Found(
                nodes=(Address("10.1.0.1", 7900), Address("10.1.0.2", 7900))
            )
        six = msgspec.structs.replace(HERE, gossip=Address("fd00::9", 7878))
        async with watched(source("fleet.test", server), six) as told:
            await told.nodes("[fd00::1]:7878")


async def test_srv_records_bring_ports_and_are_followed_to_addresses(tmp_path: Path) -> None:
    records = ("a.fleet.test,7901,10", "b.fleet.test,7902,5", "gone.fleet.test,7903,1")
    options = [f"--srv-host=_gossip._udp.fleet.test,{record}" for record in records]
    hosts = "10.1.0.1 a.fleet.test\n10.1.0.2 b.fleet.test"
    async with (
        name_server(tmp_path, *options, hosts=hosts) as server,
        watched(source("_gossip._udp.fleet.test", server)) as told,
    ):
        await told.nodes("10.1.0.2:7902", "10.1.0.1:7901")
        assert [node.port for node in told.all[-1].nodes] == [7902, 7901], "the lower priority comes first"


async def test_it_is_asked_again_when_the_answer_has_lived_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "LEAST", 0.05)
    async with (
        name_server(tmp_path, "--local-ttl=0", hosts="10.1.0.1 fleet.test") as server,
        watched(source("fleet.test", server)) as told,
    ):
        await told.nodes("10.1.0.1:7878")
        server.names("10.1.0.2 fleet.test", "10.1.0.3 fleet.test")
        await told.nodes("10.1.0.2:7878", "10.1.0.3:7878")


async def test_it_is_asked_at_once_when_members_were_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "LEAST", 0.05)
    async with (
        name_server(tmp_path, "--local-ttl=86400", hosts="10.1.0.1 fleet.test") as server,
        watched(source("fleet.test", server)) as told,
        trio.open_nursery() as nursery,
    ):
        await told.nodes("10.1.0.1:7878")
        server.names("10.1.0.2 fleet.test")

        async def lose_members() -> None:
            while True:
                told.hurry.up()
                await trio.lowlevel.checkpoint()

        nursery.start_soon(lose_members)
        await told.nodes("10.1.0.2:7878")
        nursery.cancel_scope.cancel()


async def test_a_name_that_is_not_there_is_a_failure_and_no_empty_fleet(tmp_path: Path) -> None:
    async with name_server(tmp_path, "--txt-record=only-text.test,hello") as server:
        assert "DNS knows no name fleet.test" in await refused(source("fleet.test", server))
        assert "has no" in await refused(source("only-text.test", server))
        assert "DNS knows no name" in await refused(source("_gossip._udp.fleet.test", server))


async def test_srv_records_without_an_address_among_them_are_a_failure(tmp_path: Path) -> None:
    async with name_server(tmp_path, "--srv-host=_gossip._udp.fleet.test,gone.fleet.test,7901") as server:
        assert "none of them has an address" in await refused(source("_gossip._udp.fleet.test", server))


async def test_a_server_that_died_is_a_failure_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "PATIENCE", 1.0)
    async with name_server(tmp_path, hosts="10.1.0.1 fleet.test") as server:
        asked = source("fleet.test", server)
        await server.end()
        assert "DNS does not answer for fleet.test" in await refused(asked)
