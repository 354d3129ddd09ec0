from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.state import AGENTS_LIMIT, AgentState, Status
from meshfleet.serve.limits import BODY_LIMIT
from meshfleet.serve.pushing import beside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from .conftest import SampleFeed

MINE = "/v1/agents/box-1/py-1/state"
STATE: dict[str, object] = {
    "agent_id": "box-1/py-1",
    "timestamp": "2026-11-23T20:15:05.123Z",
    "status": "working",
    "runtime": "python",
}


async def test_a_pushed_state_reaches_the_feed_as_it_was_said(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.post(MINE, json=STATE | {"model": "qwen3", "cost_usd": None})
    assert (answer.status_code, answer.json()) == (
        202,
        {"agent_id": "box-1/py-1", "node": "n1", "ignored": []},
    )
    (state,) = feed.published
    assert (state.agent_id, state.status.value, state.model, state.cost_usd) == ("box-1/py-1", "working", "qwen3", None)


async def test_a_misspelt_field_is_named_and_the_rest_accepted(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.post(MINE, json=STATE | {"modle": "qwen3"})
    assert (answer.status_code, answer.json()["ignored"], len(feed.published)) == (202, ["modle"], 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"status": "wroking"}, "rate_limited"),
        ({"status": "wroking"}, "$.status"),
        ({"tokens_in": -1}, "$.tokens_in"),
        ({"model": 7}, "$.model"),
        ({"note": "x" * 201}, "$.note"),
        ({"rate_limits": [{"key": "a"}]}, "window"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, feed: SampleFeed, change: dict[str, object], named: str
) -> None:
    answer = await client.post(MINE, json=STATE | change)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert feed.published == []


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post(MINE, json={"agent_id": "box-1/py-1", "status": "idle", "runtime": "python"})
    assert (answer.status_code, "timestamp" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 9000, b'{"agent_id": "\xff"}'])
async def test_what_is_not_a_state_is_refused_with_a_sentence(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(MINE, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].endswith((".", "fields."))


async def test_a_whole_number_may_be_written_with_a_point_as_json_schema_has_it(
    client: httpx.AsyncClient, feed: SampleFeed
) -> None:
    body = STATE | {"tokens_in": 12_000.0, "cost_usd": 2.0, "context_pct": 1e300}
    assert (await client.post(MINE, json=body)).status_code == 202
    state = feed.published[0]
    assert (state.tokens_in, state.cost_usd, state.context_pct) == (12_000, 2.0, 1e300)
    for wrong in (12_000.5, "12000", True, 1e300):
        assert (await client.post(MINE, json=STATE | {"tokens_in": wrong})).status_code == 400


@pytest.mark.parametrize("body", [b'{"agent_id": ' + b"[" * n + b"]" * n + b"}" for n in (500, 900, 2_000)])
async def test_what_is_nested_deeply_is_refused_and_nothing_else(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(MINE, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_an_unknown_field_that_is_no_text_is_refused_and_nothing_is_taken(
    client: httpx.AsyncClient, feed: SampleFeed
) -> None:
    body = msgspec.json.encode(STATE)[:-1] + b',"x":{"\xb7":1},"\xb7":2}'
    answer = await client.post(MINE, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, feed.published) == (400, [])


async def test_the_id_in_the_body_must_be_the_one_in_the_path(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.post("/v1/agents/box-1/py-2/state", json=STATE)
    assert (answer.status_code, feed.published) == (409, [])
    assert "box-1/py-1" in answer.json()["error"]
    assert "box-1/py-2" in answer.json()["error"]


async def test_an_id_that_no_agent_may_have_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/agents/box 1/state", json=STATE | {"agent_id": "box 1"})
    assert (answer.status_code, "not a valid agent id" in answer.json()["error"]) == (400, True)


async def test_a_state_over_the_snapshot_limit_is_413(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    sources = {f"field{i}": "x" * 190 for i in range(25)}
    answer = await client.post(MINE, json=STATE | {"sources": sources})
    assert (answer.status_code, "4096" in answer.json()["error"], feed.published) == (413, True, [])


async def test_one_agent_too_many_is_409_and_known_ones_go_on(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    feed.own = [f"box-1/a{number}" for number in range(AGENTS_LIMIT)]
    answer = await client.post(MINE, json=STATE)
    assert (answer.status_code, str(AGENTS_LIMIT) in answer.json()["error"], feed.published) == (409, True, [])
    known = await client.post("/v1/agents/box-1/a7/state", json=STATE | {"agent_id": "box-1/a7"})
    assert (known.status_code, len(feed.published)) == (202, 1)


async def test_a_body_over_the_limit_is_413_however_it_is_sent(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    big = msgspec.json.encode(STATE | {"note": "x" * BODY_LIMIT})

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    json = {"Content-Type": "application/json"}
    whole = await client.post(MINE, content=big, headers=json)
    chunked = await client.post(MINE, content=in_pieces(), headers=json)
    assert [whole.status_code, chunked.status_code, feed.published] == [413, 413, []]
    assert str(BODY_LIMIT) in whole.json()["error"]
    assert (await client.get("/health")).status_code == 200


async def test_only_json_is_taken(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        answer = await client.post(MINE, content=b"{}", headers={"Content-Type": content_type})
        assert (answer.status_code, answer.headers["accept-post"]) == (415, "application/json")
    body = msgspec.json.encode(STATE)
    answer = await client.post(MINE, content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert (answer.status_code, len(feed.published)) == (202, 1)


async def test_an_own_agent_can_be_withdrawn(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.delete("/v1/agents/box-1/claude-1f3c")
    assert (answer.status_code, answer.content, feed.withdrawn) == (204, b"", ["box-1/claude-1f3c"])


async def test_another_nodes_agent_can_not_be_withdrawn_here(client: httpx.AsyncClient, feed: SampleFeed) -> None:
    answer = await client.delete("/v1/agents/box-2/codex-77aa")
    assert (answer.status_code, feed.withdrawn) == (404, [])
    assert "Only the node that carries" in answer.json()["error"]


def state(runtime: str, status: Status, **more: object) -> AgentState:
    plain = {"agent_id": "box/a", "timestamp": "2026-11-26T00:00:00.000Z", "status": status, "runtime": runtime}
    return msgspec.convert({**plain, **more}, AgentState)


def test_who_only_runs_an_agent_does_not_hide_what_the_agent_itself_tells() -> None:
    itself = state("claude-code", Status.TOOL, tokens_in=7, active_tool="Bash")
    runs, ended = state("process", Status.WORKING), state("process", Status.EXITED, exit_code=3)
    assert beside(None, runs) == runs
    assert beside(runs, ended) == ended
    assert beside(runs, itself) == itself
    assert beside(itself, runs) is None
    over = beside(itself, ended)
    assert over is not None
    assert (over.runtime, over.status, over.exit_code) == ("claude-code", Status.EXITED, 3)
    assert (over.tokens_in, over.active_tool) == (7, None)
    assert beside(over, runs) == runs  # the same id is run once more
    ended_by_itself = msgspec.structs.replace(itself, status=Status.EXITED)
    assert beside(ended_by_itself, ended) == over  # its own word was faster; its figures stay
