"""`/metrics`, read by the parser of prometheus-client, from a real node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.fleet.node_measures import COUNTERS_LIMIT
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.serve import serve
from tests.node.meshing import config, see, state

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from .conftest import SampleFeed, Tokens

Samples = dict[tuple[str, ...], float]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def parsed(text: str) -> tuple[Samples, dict[str, str]]:
    """Samples by name and label values; types by name of the family."""
    families = list(text_string_to_metric_families(text))
    samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    return samples, {family.name: family.type for family in families}


async def test_a_real_node_tells_what_it_counts_in_names_that_prometheus_knows(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    key = keys.create(Scope.METRICS, "prometheus", "").text()
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2, trio.open_nursery() as nursery:
        readers = Readers(n1.keyring, keys, time.time)
        base_url: str = await nursery.start(serve, n1, readers, Address("127.0.0.1", 0))
        token, _ = await readers.by_key(key, 1800)
        with trio.fail_after(30):
            await see(n1, 2)
            n2.publish(state("n2/a"))
            while not n1.fleet().agents:
                await n1.changed(n1.version())
            async with httpx.AsyncClient(base_url=base_url, trust_env=False, headers=bearer(token)) as client:
                answer = await client.get("/metrics")
                stranger = await client.get("/metrics", headers=bearer("mfs_nonsense"))
                again = (await client.get("/metrics")).text
        counters = n1.counters()
        nursery.cancel_scope.cancel()
    assert (answer.status_code, stranger.status_code) == (200, 401)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples, types = parsed(answer.text)
    assert samples["meshfleet_node_info", "n1", n1.health().version] == 1
    assert {p.value: samples["meshfleet_nodes", p.value] for p in Presence} == {
        "fresh": 2, "stale": 0, "unreachable": 0, "down": 0, "left": 0
    }  # fmt: skip
    assert samples["meshfleet_agents", "fresh"] == 1
    assert sum(samples["meshfleet_standing", s.value] for s in Standing) == 1
    assert 0 < samples["meshfleet_datagrams_total", "received"] <= counters["datagrams_in"]
    assert 0 < samples["meshfleet_gossip_bytes_total", "sent", "udp"] <= counters["udp_bytes_out"]
    assert 0 < samples["meshfleet_gossip_bytes_total", "received", "stream"] <= counters["stream_bytes_in"]
    assert samples["meshfleet_events_total", "snapshots_in"] >= 1
    assert parsed(again)[0]["meshfleet_http_events_total", "tokens_refused"] == 1
    assert types["meshfleet_loop_lag_seconds"] == types["meshfleet_local_health"] == "gauge"
    assert types["meshfleet_datagrams"] == types["meshfleet_heartbeats"] == "counter"


async def test_names_of_nodes_and_agents_are_in_no_label(stranger: httpx.AsyncClient, tokens: Tokens) -> None:
    text = (await stranger.get("/metrics", headers=bearer(tokens[Scope.METRICS]))).text
    assert not any(name in text for name in ("n2", "n3", "claude", "codex", "shop"))
    samples, _ = parsed(text)
    assert {s: samples["meshfleet_standing", s.value] for s in Standing} == {
        s: s is Standing.CONNECTED for s in Standing
    }
    names = {name for name, *_ in samples}
    assert all(name.startswith("meshfleet_") for name in names)


async def test_there_are_never_more_counters_than_that(
    stranger: httpx.AsyncClient, tokens: Tokens, feed: SampleFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "counters", lambda: {f"drop_{i}": i for i in range(5_000)})
    samples, _ = parsed((await stranger.get("/metrics", headers=bearer(tokens[Scope.READ]))).text)
    assert len([name for name, *_ in samples if name == "meshfleet_events_total"]) == COUNTERS_LIMIT
