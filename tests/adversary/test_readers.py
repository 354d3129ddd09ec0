"""Tokens that are tampered with, and tokens that want more than they are good for: at a real node, over TLS."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

import pytest

from meshfleet.fleet.access import Scope
from meshfleet.wire.tokens import PREFIX
from tests.serve.test_gate import bearer, each_token_opens_what_the_contract_says

if TYPE_CHECKING:
    import httpx

    from tests.adversary.conftest import Served

OPENS = {Scope.READ: "/v1/nodes/n2", Scope.METRICS: "/metrics"}


def flipped(token: str, place: int) -> str:
    """`token` with one bit of what it carries turned over."""
    text = token.removeprefix(PREFIX)
    data = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    data[place // 8] ^= 1 << place % 8
    return PREFIX + urlsafe_b64encode(data).rstrip(b"=").decode()


def bits(token: str) -> int:
    return len(token.removeprefix(PREFIX)) * 6 // 8 * 8


@pytest.mark.parametrize("scope", OPENS)
async def test_a_token_with_any_of_its_bits_flipped_opens_nothing(
    served: Served, stranger: httpx.AsyncClient, scope: Scope
) -> None:
    token = served.tokens[scope]
    assert (await stranger.get(OPENS[scope], headers=bearer(token))).status_code == 200
    for place in range(bits(token)):
        answer = await stranger.get(OPENS[scope], headers=bearer(flipped(token, place)))
        assert answer.status_code == 401, place
        assert "n2" not in answer.json()["error"]


async def test_no_bit_makes_an_agents_token_a_readers_nor_a_readers_an_agents(
    served: Served, stranger: httpx.AsyncClient
) -> None:
    for place in range(24, 32):  # the scope's byte
        for scope in Scope:
            token = flipped(served.tokens[scope], place)
            for path in ("/v1/fleet", "/metrics"):
                assert (await stranger.get(path, headers=bearer(token))).status_code == 401
            assert (await stranger.delete("/v1/agents/n1/a", headers=bearer(token))).status_code == 401
    assert [agent.agent_id for agent in served.node.own_agents()] == ["n1/a"]


async def test_on_every_route_and_method_each_scope_is_good_for_what_the_contract_says_and_nothing_else(
    served: Served, stranger: httpx.AsyncClient
) -> None:
    await each_token_opens_what_the_contract_says(stranger, served.tokens)
    assert {(agent.agent_id, agent.state.note) for agent in served.node.own_agents()} == {("n1/a", "mine")}
    assert served.node.counters().get("fault", 0) == 0


async def test_nothing_can_be_exchanged_for_another_scope(served: Served, stranger: httpx.AsyncClient) -> None:
    for scope in Scope:
        renewed = await stranger.post("/auth/session", headers=bearer(served.tokens[scope]))
        assert renewed.status_code == 401, "a key's session is not renewed by itself"
        got = await stranger.post("/auth/session", headers=bearer(served.keys[scope]))
        assert (got.status_code, got.json()["scope"]) == (200, scope)
        for other in set(Scope) - {scope}:
            posing = served.keys[scope].replace(f"mf_{scope}_", f"mf_{other}_")
            assert (await stranger.post("/auth/session", headers=bearer(posing))).status_code == 401
            asked = {"lifetime_s": 900, "scope": other}
            more = await stranger.post("/auth/session", headers=bearer(served.keys[scope]), json=asked)
            assert more.status_code == 400


async def test_who_may_speak_for_agents_speaks_for_those_of_the_node_that_is_asked_alone(
    served: Served, stranger: httpx.AsyncClient
) -> None:
    agent = bearer(served.tokens[Scope.AGENT])
    assert (await stranger.delete("/v1/agents/n2/a", headers=agent)).status_code == 404
    body = {"agent_id": "n2/a", "timestamp": "2026-11-23T20:15:05Z", "status": "idle", "runtime": "python"}
    assert (await stranger.post("/v1/agents/n2/a/state", headers=agent, json=body)).status_code == 202
    shown = next(each for each in served.node.fleet().agents if each.agent_id == "n2/a" and each.node == "n2")
    assert shown.state.note == "another's"
