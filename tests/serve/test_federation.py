"""`/federate` and `/v1/sd`, over the real server; read by prometheus-client's parsers."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from meshfleet.fleet.access import Scope
from meshfleet.serve.answers import Refusal
from meshfleet.serve.federation import Told
from meshfleet.serve.matching import SELECTOR_LIMIT, SELECTORS_CHARACTERS, SELECTORS_LIMIT, is_wanted, selectors
from tests.cli.top.fleet import on_two_levels

if TYPE_CHECKING:
    import httpx

    from .conftest import Tokens

Query = list[tuple[str, str | int | float | bool | None]]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    return {(s.name, frozenset(s.labels.items())): s.value for family in plain(text) for s in family.samples}


def named(found: Series, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for (one, labels), value in found.items() if one == name}


async def test_one_node_tells_of_the_whole_fleet(client: httpx.AsyncClient) -> None:
    found = series((await client.get("/federate")).text)
    fresh = {dict(labels)["node"]: value for labels, value in named(found, "meshfleet_fleet_node_fresh").items()}
    assert fresh == {"n1": 1.0, "n2": 1.0, "n3": 0.0}
    agent = frozenset({("agent", "box-1/claude-1f3c")})
    assert named(found, "meshfleet_agent_cost_usd_total")[agent] == 7.31
    assert named(found, "meshfleet_agent_context_used_ratio")[agent] == pytest.approx(0.612)
    assert named(found, "meshfleet_agent_tokens_total")[agent | {("direction", "in")}] == 1_893_321
    assert named(found, "meshfleet_agent_tool")[agent | {("tool", "Bash")}] == 1
    assert named(found, "meshfleet_rate_limit_used_ratio") == {
        frozenset({("key", "anthropic:9f2e"), ("window", "5h")}): pytest.approx(0.38)
    }
    assert named(found, "meshfleet_fleet_agents") == {frozenset(): 3}


def of_two_levels() -> Series:
    """The same of a fleet that has other zones."""
    families = Told(on_two_levels(), ()).collect()
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_of_another_zone_sums_are_told_and_how_it_is_heard() -> None:
    found = of_two_levels()
    eu, us = frozenset({("zone", "eu-2")}), frozenset({("zone", "us-1")})
    nodes = named(found, "meshfleet_zone_nodes")
    assert nodes[eu | {("presence", "fresh")}] == 97
    assert nodes[eu | {("presence", "down")}] == 1
    assert named(found, "meshfleet_zone_agents")[us | {("presence", "fresh")}] == 310
    said = {eu | {("presence", "fresh")}: 1, us | {("presence", "unreachable")}: 1}
    assert named(found, "meshfleet_zone_presence") == said
    assert named(found, "meshfleet_zone_cost_usd_total") == {eu: 2_031.5}
    assert named(found, "meshfleet_zone_age_seconds") == {eu: 0.4, us: 41.0}
    assert named(found, "meshfleet_zone_notices") == {eu: 4, us: 0}


async def test_what_an_agent_does_not_know_has_no_series(client: httpx.AsyncClient) -> None:
    assert "meshfleet_agent_context_full_seconds" not in (await client.get("/federate")).text


async def test_match_selects(client: httpx.AsyncClient) -> None:
    wanted: Query = [("match[]", '{__name__=~"meshfleet_agent_(.*)"}')]
    assert (await client.get("/federate", params=wanted)).status_code == 400  # groups are not known here
    params: Query = [
        ("match[]", 'meshfleet_fleet_node_fresh{node!="n1"}'),
        ("match[]", '{__name__=~".*_cost_usd_total|up"}'),
    ]
    found = series((await client.get("/federate", params=params)).text)
    assert {name for name, _ in found} == {"meshfleet_fleet_node_fresh", "meshfleet_agent_cost_usd_total"}
    assert len(named(found, "meshfleet_fleet_node_fresh")) == 2


async def test_open_metrics_for_who_asks_for_it(client: httpx.AsyncClient) -> None:
    for path, unit in (("/federate", "# UNIT meshfleet_agent_context_used_ratio ratio"), (
        "/metrics", "# UNIT meshfleet_gossip_bytes bytes"
    )):  # fmt: skip
        answer = await client.get(path, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert unit in answer.text
        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert list(open_metrics(answer.text))  # type: ignore[no-untyped-call]  # of prometheus-client


async def test_discovery_lists_who_serves(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sd")
    assert answer.headers["content-type"] == "application/json"
    assert [one["targets"] for one in answer.json()] == [["127.0.0.1:7881"], ["127.0.0.1:7882"], ["127.0.0.1:7883"]]
    assert answer.json()[2]["labels"] == {
        "__scheme__": "http",
        "__meta_meshfleet_node": "n3",
        "__meta_meshfleet_host": "box-3",
        "__meta_meshfleet_zone": "east",
        "__meta_meshfleet_role": "observer",
        "__meta_meshfleet_presence": "down",
    }


@pytest.mark.parametrize("path", ["/federate", "/v1/sd"])
async def test_collectors_and_readers_may_and_agents_may_not(
    stranger: httpx.AsyncClient, tokens: Tokens, path: str
) -> None:
    told = {scope: {"Authorization": f"Bearer {token}"} for scope, token in tokens.items()}
    found = {scope: (await stranger.get(path, headers=headers)).status_code for scope, headers in told.items()}
    assert found == {Scope.READ: 200, Scope.METRICS: 200, Scope.AGENT: 403}
    assert (await stranger.get(path)).status_code == 401


NO_SELECTORS = [
    "",
    "{}",
    "a b",
    "1up",
    "{a}",
    "{a=b}",
    '{a="b"',
    'a{b="c" d="e"}',
    '{a=~"b\\"}',
    *(f'{{a=~"{pattern}"}}' for pattern in ("(b", "(a+)+", "[ab]*", "b{9}", r"\\1", r"\\d")),
    f'{{a="{"x" * SELECTOR_LIMIT}"}}',
]


@pytest.mark.parametrize("text", NO_SELECTORS)
def test_what_is_no_selector_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Refusal, match="selector"):
        selectors([text])


def test_there_is_an_end_to_how_many() -> None:
    with pytest.raises(Refusal, match="at most"):
        selectors(["up"] * (SELECTORS_LIMIT + 1))
    with pytest.raises(Refusal, match="at most"):
        selectors(["x" * (SELECTORS_CHARACTERS // 8 + 1)] * 8)


@given(
    st.lists(st.sampled_from(["a", "b", ".", ".*", ".+", "|", r"\."]), max_size=9).map("".join),
    st.text("ab.", max_size=9),
)
def test_wilds_mean_what_they_mean_in_regular_expressions(pattern: str, text: str) -> None:
    quoted = pattern.replace("\\", r"\\")
    held = is_wanted("up", {"node": text}, selectors([f'{{node=~"{quoted}"}}']))
    assert held is (re.fullmatch(pattern, text, re.DOTALL) is not None)


def test_no_pattern_goes_back_and_back_over_a_text() -> None:
    """As Python's own engine would, for longer than anybody waits: 96 wilds, each of which can end at 100 places."""
    (selector,) = selectors(['{node=~"' + ".*a" * 96 + '.*b"}'])
    assert not is_wanted("up", {"node": "a" * 100}, [selector])


@pytest.mark.parametrize(
    ("text", "labels", "held"),
    [
        ('up{node="n1"}', {"node": "n1"}, True),
        ('up{node="n1"}', {"node": "n11"}, False),
        ('up{node!="n1",}', {"node": "n2"}, True),
        ('{node=~"n1|n2"}', {"node": "n2"}, True),
        ('{node=~"n1|n2"}', {"node": "n22"}, False),
        ('{node!~"n.+"}', {"node": "n"}, True),
        ('{zone=""}', {"node": "n"}, True),
        ('{tool="a\\"b\\\\c"}', {"tool": 'a"b\\c'}, True),
        ('{tool=~"a\\\\.b"}', {"tool": "axb"}, False),
        ('{tool=~"a\\\\.b"}', {"tool": "a.b"}, True),
        ("down", {}, False),
    ],
)
def test_a_selector_takes_in_what_it_says(text: str, labels: dict[str, str], held: bool) -> None:
    assert is_wanted("up", labels, selectors([text])) is held


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_selector_makes_it_fail_otherwise(text: str, value: str) -> None:
    for one in (text, f'{{a=~"{text}"}}', f'a{{b="{text}"}}'):
        try:
            among = selectors([one])
        except Refusal:
            continue
        is_wanted("a", {"a": value, "b": value}, among)


def test_the_dashboard_is_one_by_grafanas_own_schema() -> None:
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="no grafana-foundation-sdk")
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder
    told = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "meshfleet.json").read_text())
    read = json.loads(encoder().encode(models.Dashboard.from_json(told)))
    assert lost(told, read) == []
    ids = [panel["id"] for panel in told["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in told["panels"]]
    ways = [(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])) for at in places]
    cells = [cell for across, down in ways for cell in product(across, down)]
    assert len(cells) == len(set(cells)), "no panel lies on another"
    assert max(x for x, _ in cells) < 24


def lost(told: object, read: object, place: str = "") -> list[str]:
    """What of a file does not come out of a schema as it went in."""
    if isinstance(told, dict) and isinstance(read, dict):
        return [each for key in told for each in lost(told[key], read.get(key), f"{place}.{key}")]
    if isinstance(told, list) and isinstance(read, list) and len(told) == len(read):
        return [each for i, pair in enumerate(zip(told, read, strict=True)) for each in lost(*pair, f"{place}[{i}]")]
    return [] if told == read else [place]


async def test_dashboard_and_alerts_ask_for_nothing_that_is_not_told(client: httpx.AsyncClient) -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    texts = [(deploy / "grafana" / "meshfleet.json").read_text(), (deploy / "prometheus" / "alerts.yml").read_text()]
    asked = {name for text in texts for name in re.findall(r"\bmeshfleet_[a-z_]+", text)}
    told = {name for path in ("/federate", "/metrics") for name, _ in series((await client.get(path)).text)}
    told |= {name for name, _ in of_two_levels()}
    assert asked <= told | {"meshfleet_agent_context_full_seconds"}
    assert len(asked) > 10
