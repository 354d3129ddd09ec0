from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.view import FleetView

if TYPE_CHECKING:
    import httpx

    from .conftest import SampleFeed


async def test_health_says_who_runs_and_how_well_it_stands(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "node": "n1",
        "epoch": 1_763_923_200_123,
        "heartbeat": 42,
        "standing": "connected",
        "version": "0.1.0",
    }


async def test_state_lists_only_the_agents_that_this_node_carries(client: httpx.AsyncClient) -> None:
    state = (await client.get("/state")).json()
    assert state["node"] == "n1"
    assert [agent["agent_id"] for agent in state["agents"]] == ["box-1/claude-1f3c"]


async def test_the_fleet_travels_whole(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.get("/v1/fleet")
    assert answer.headers["content-type"] == "application/json"
    assert msgspec.json.decode(answer.content, type=FleetView) == feed.fleet()


async def test_who_has_the_newest_version_is_told_so_without_a_view_being_built(
    client: httpx.AsyncClient, feed: SampleFeed
) -> None:
    etag = (await client.get("/v1/fleet")).headers["etag"]
    assert feed.version() in etag
    feed.age()
    built = feed.views_built
    for known in (etag, '"b1c9-1"', f'"older", {etag}', "*"):
        answer = await client.get("/v1/fleet", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert feed.views_built == built


async def test_news_changes_the_etag_and_is_served_in_full(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    old = (await client.get("/v1/fleet")).headers["etag"]
    feed.touch("a new note")
    answer = await client.get("/v1/fleet", headers={"If-None-Match": old})
    assert answer.status_code == 200
    assert answer.headers["etag"] != old
    assert answer.json()["agents"][0]["state"]["note"] == "a new note"


async def test_a_part_of_a_version_is_not_that_version(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fleet", headers={"If-None-Match": '"b1c9-11", "b1c9"'})
    assert answer.status_code == 200


async def test_one_node_and_one_agent_can_be_asked_for(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    node = await client.get("/v1/nodes/n2")
    assert node.content == msgspec.json.encode(feed.fleet().nodes[1])
    agent = await client.get("/v1/agents/box-2/codex-77ab")
    assert agent.content == msgspec.json.encode(feed.fleet().agents[2])
    assert (await client.get("/v1/agents/box-2%2Fcodex-77ab")).content == agent.content


async def test_an_unknown_name_is_told_what_is_near(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/agents/box-2/codex-77")
    assert answer.status_code == 404
    problem = answer.json()
    assert problem["near"][:2] == ["box-2/codex-77aa", "box-2/codex-77ab"]
    assert "box-2/codex-77" in problem["error"]
    assert (await client.get("/v1/nodes/n22")).json()["near"] == ["n2"]
    assert "near" not in (await client.get("/v1/nodes/zzzzzzzz")).json()


async def test_half_an_id_finds_the_whole(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/agents/1f3c")).json()["near"] == ["box-1/claude-1f3c"]


async def test_why_tells_the_facts_oldest_first_with_ages_and_times(client: httpx.AsyncClient) -> None:
    story = (await client.get("/v1/why/n3")).json()
    assert (story["presence"], story["certainty"]) == ("down", "proven")
    assert [(fact["kind"], fact["age_s"], fact["at"]) for fact in story["facts"]] == [
        ("eof", 3.0, "2026-11-23T20:15:02.123Z"),
        ("refused", 2.0, "2026-11-23T20:15:03.123Z"),
    ]
    assert [fact["host"] for fact in story["facts"]] == [None, "box-1"]


async def test_why_an_agent_is_why_its_node(client: httpx.AsyncClient) -> None:
    story = (await client.get("/v1/why/box-2/codex-77aa")).json()
    assert (story["name"], story["node"], story["facts"]) == ("box-2/codex-77aa", "n2", [])
    unknown = await client.get("/v1/why/box-2/codex-77ac")
    assert (unknown.status_code, unknown.json()["near"][:2]) == (404, ["box-2/codex-77ab", "box-2/codex-77aa"])


async def test_the_page_and_its_files_come_with_their_types(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (await client.get("/page/main.js")).headers["content-type"] == "text/javascript; charset=utf-8"
    assert (await client.get("/page/style.css")).headers["content-type"] == "text/css; charset=utf-8"
    again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


async def test_the_page_refers_only_to_files_that_exist(client: httpx.AsyncClient) -> None:
    pending, seen = ["/"], set()
    while pending:
        path = pending.pop()
        answer = await client.get(path)
        assert answer.status_code == 200, path
        seen.add(path)
        named = re.findall(r'(?:src|href)="(/page/[^"]+)"|from "\./([^"]+)"', answer.text)
        found = {absolute or f"/page/{relative}" for absolute, relative in named}
        pending += sorted(found - seen - set(pending))
    assert {"/page/style.css", "/page/main.js"} < seen


async def test_all_modules_are_asked_for_at_once(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    preloaded = re.findall(r'rel="modulepreload" href="/page/([^"]+)"', page)
    there = {entry.name for entry in files("meshfleet.serve").joinpath("page").iterdir() if entry.name.endswith(".js")}
    assert {*preloaded, "main.js"} == there


async def test_no_path_leads_out_of_the_page(client: httpx.AsyncClient) -> None:
    for path in ("/page/..%2Fserver.py", "/page/%2e%2e%2f__init__.py", "/page/main.js%00"):
        assert (await client.get(path)).status_code == 404


async def test_a_billing_period_is_told_by_its_month_and_what_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/cost")).json()["fleet"]["cost_usd"] == 21.93
    assert (await client.get("/v1/cost/2026-10")).json()["start"] == "2026-10-01"
    refused = await client.get("/v1/cost/soon")
    assert refused.status_code == 400
    assert "2026-11" in refused.json()["error"]


async def test_what_needs_attention_is_in_the_contract(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert schemas["FleetView"]["properties"]["attention"]["items"] == {"$ref": "#/components/schemas/Notice"}
    assert {"rule", "severity", "subject", "since", "text", "key"} <= set(schemas["Notice"]["properties"])
    assert schemas["Severity"]["enum"] == ["critical", "info", "warning"]
