"""Who is let in where: every method of every path, with every kind of token, as the contract says."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from meshfleet.fleet.access import Scope
from meshfleet.serve.access import Session

if TYPE_CHECKING:
    import httpx

    from meshfleet.node.keyfile import KeyFile
    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed, Tokens

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADE-UP")
EXAMPLES = {"{name}": "n3", "{id}": "box-1/claude-1f3c", "{file}": "main.js"}
STATE = {"agent_id": "a", "timestamp": "2026-11-23T20:15:05Z", "status": "idle", "runtime": "python"}
ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}

Paths = dict[str, dict[str, dict[str, list[dict[str, list[str]]]]]]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def example(path: str) -> str:
    for name, value in EXAMPLES.items():
        path = path.replace(name, value)
    return path


async def status(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and text; of a stream its head alone, as it has no end."""
    async with client.stream(method, example(path), headers=headers) as answer:
        streams = answer.status_code == 200 and "event-stream" in answer.headers.get("content-type", "")
        return answer.status_code, "" if streams or method == "HEAD" else (await answer.aread()).decode()


def operation_of(paths: Paths, path: str, method: str) -> dict[str, list[dict[str, list[str]]]] | None:
    """What the contract says of it. An agent's id may end in `/state`, so these two paths are one where it must be."""
    return paths[path].get(method) or (paths["/v1/agents/{id}"].get(method) if path.startswith("/v1/agents") else None)


async def contract(client: httpx.AsyncClient) -> Paths:
    return cast("Paths", (await client.get("/openapi.json")).json()["paths"])


async def test_each_token_is_good_for_what_the_contract_says_and_for_nothing_else(
    stranger: httpx.AsyncClient, tokens: Tokens
) -> None:
    await each_token_opens_what_the_contract_says(stranger, tokens)


async def each_token_opens_what_the_contract_says(stranger: httpx.AsyncClient, tokens: Tokens) -> None:
    """And nothing else: every method of every path with a token of every scope, from another machine. The adversary
    suite does the same with a real node behind it."""
    paths, scopes = await contract(stranger), {scope.value for scope in Scope}
    for path, method, scope in itertools.product(paths, METHODS, Scope):
        code, text = await status(stranger, method, path, bearer(tokens[scope]) | ELSEWHERE)
        operation = operation_of(paths, path, {"HEAD": "get"}.get(method, method.lower()))
        where = f"{method} {path} with {scope}: {code} {text}"
        if operation is None:
            writes = method not in ("GET", "HEAD")
            known = [
                name for each in paths[path].values() for way in each["security"] for name in way if name in scopes
            ]
            good = [Scope.AGENT.value] if writes else known
            assert code == (403 if known and scope not in good else 405), where
            assert code == 405 or method == "HEAD" or f"scope {' or '.join(good)} is missing" in text, where
            continue
        wanted = [name for each in operation["security"] for name in each]
        if operation["security"] == [{}]:
            assert code not in (401, 403), where
        elif path.startswith("/auth/"):
            assert code in (200, 400, 401), where  # whatever is shown there is to be exchanged
        elif scope in wanted:
            assert code not in (401, 403, 405), where
        else:
            assert code == 403, where
            assert method == "HEAD" or f"The scope {' or '.join(wanted)} is missing" in text, where


async def test_without_a_token_all_but_what_is_public_is_closed(stranger: httpx.AsyncClient) -> None:
    paths = await contract(stranger)
    public = {path for path, item in paths.items() for each in item.values() if each["security"] == [{}]}
    assert public == {"/", "/page/{file}", "/health", "/openapi.json", "/auth/challenge"}
    for path, item in paths.items():
        for method, operation in item.items():
            code, text = await status(stranger, method.upper(), path, ELSEWHERE)
            if operation["security"] == [{}]:
                assert code == 200, (path, method)
            else:
                assert code == 401, (path, method)
                assert "/auth/" in text


async def test_a_401_and_a_403_say_what_to_do_in_words_and_for_machines(
    stranger: httpx.AsyncClient, tokens: Tokens
) -> None:
    nothing = await stranger.get("/v1/fleet")
    assert (nothing.status_code, nothing.headers["www-authenticate"]) == (401, 'Bearer realm="meshfleet"')
    assert "meshfleet link" in nothing.json()["error"]
    wrong = await stranger.get("/v1/fleet", headers=bearer("mfs_nonsense"))
    assert (wrong.status_code, 'error="invalid_token"' in wrong.headers["www-authenticate"]) == (401, True)
    missing = await stranger.get("/v1/fleet", headers=bearer(tokens[Scope.AGENT]))
    assert missing.status_code == 403
    assert 'error="insufficient_scope", scope="read"' in missing.headers["www-authenticate"]
    assert missing.json()["error"].startswith("The scope read is missing: GET '/v1/fleet' needs it")
    assert "a-agent-key" in missing.json()["error"]


async def test_an_api_key_is_no_token(stranger: httpx.AsyncClient, keys: KeyFile) -> None:
    key = keys.create(Scope.READ, "grafana", "").text()
    answer = await stranger.get("/v1/fleet", headers=bearer(key))
    assert answer.status_code == 401
    assert "An API key is first exchanged." in answer.json()["error"]
    assert key not in answer.text


@pytest.mark.parametrize("where", ["?token={}", "?access_token={}", "?code={}", "/{}"])
async def test_a_token_in_a_url_opens_nothing(stranger: httpx.AsyncClient, tokens: Tokens, where: str) -> None:
    answer = await stranger.get(f"/v1/fleet{where.format(tokens[Scope.READ])}")
    assert answer.status_code in (401, 404)
    cookie = {"Cookie": f"token={tokens[Scope.READ]}"}
    assert (await stranger.get("/v1/fleet", headers=cookie)).status_code == 401


async def test_only_one_authorization_of_the_known_kind_counts(stranger: httpx.AsyncClient, tokens: Tokens) -> None:
    good = f"Bearer {tokens[Scope.READ]}"
    for headers in ([("Authorization", "Basic YTpi")], [("Authorization", good), ("Authorization", good)]):
        assert (await stranger.get("/v1/fleet", headers=headers)).status_code == 401
    for spelling in ("bearer", "BEARER"):
        headers = [("Authorization", good.replace("Bearer", spelling))]
        assert (await stranger.get("/v1/fleet", headers=headers)).status_code == 200


async def test_who_is_on_this_machine_speaks_for_agents_without_a_token_and_nobody_else(
    stranger: httpx.AsyncClient, feed: SampleFeed, tokens: Tokens
) -> None:
    body = msgspec.json.encode(STATE)
    plain = {"Content-Type": "application/json"}
    own = "/v1/agents/box-1/claude-1f3c"
    assert (await stranger.post("/v1/agents/a/state", content=body, headers=plain)).status_code == 202
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        passed_on = plain | {header: "for=203.0.113.7"}
        refused = await stranger.post("/v1/agents/a/state", content=body, headers=passed_on)
        assert (refused.status_code, "scope agent" in refused.json()["error"]) == (401, True)
        assert (await stranger.delete(own, headers=passed_on)).status_code == 401
        let_in = passed_on | bearer(tokens[Scope.AGENT])
        assert (await stranger.post("/v1/agents/a/state", content=body, headers=let_in)).status_code == 202
    read = plain | bearer(tokens[Scope.READ])
    assert (await stranger.post("/v1/agents/a/state", content=body, headers=read)).status_code == 403
    assert len(feed.published) == 5
    assert (await stranger.delete(own)).status_code == 204


async def test_a_token_of_another_node_of_the_fleet_is_as_good(stranger: httpx.AsyncClient, elsewhere: Readers) -> None:
    token = elsewhere.by_code(elsewhere.new_code())[0]
    assert (await stranger.get("/v1/fleet", headers=bearer(token))).status_code == 200
    body = await stranger.post("/auth/session", headers=bearer(token))
    assert msgspec.json.decode(body.content, type=Session).scope is Scope.READ


async def test_every_bit_of_a_token_counts(stranger: httpx.AsyncClient, tokens: Tokens) -> None:
    token = tokens[Scope.READ]
    for place in range(len(token)):
        for bit in range(7):
            flipped = token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
            if flipped.isprintable() and " " not in flipped:  # others are no header
                answer = await stranger.get("/state", headers=bearer(flipped))
                assert answer.status_code == 401, (place, bit)
