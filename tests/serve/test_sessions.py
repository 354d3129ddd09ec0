"""POST /auth/session over real HTTP: what is exchanged, what is refused, what is logged."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.access import Scope
from meshfleet.serve.limits import EXCHANGE_BURST, EXCHANGE_LIMIT, STREAMS_PER_CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    import httpx

    from meshfleet.node.keyfile import KeyFile
    from meshfleet.node.readers import Readers
    from meshfleet.wire.apikeys import ApiKey

    from .conftest import EventReader, Tokens


@pytest.fixture
def key(keys: KeyFile) -> ApiKey:
    return keys.create(Scope.READ, "grafana", "")


async def prove(client: httpx.AsyncClient, key: ApiKey, lifetime_s: int = 1800, host: str = "") -> dict[str, object]:
    """A proof of `key` for a fresh challenge, to the node as `client` knows it."""
    nonce = (await client.get("/auth/challenge")).json()["nonce"]
    proof = key.prove(nonce, host or client.base_url.netloc.decode(), lifetime_s)
    return {"key_id": key.key_id, "nonce": nonce, "proof": proof.hex(), "lifetime_s": lifetime_s}


async def test_a_key_is_exchanged_for_a_session_of_half_an_hour(stranger: httpx.AsyncClient, key: ApiKey) -> None:
    answer = await stranger.post("/auth/session", headers={"Authorization": f"Bearer {key.text()}"})
    session = answer.json()
    assert (answer.status_code, session["scope"], session["expires_in_s"]) == (200, "read", 1800)
    left = datetime.fromisoformat(session["expires_at"]) - datetime.now(UTC)
    assert 1700 < left.total_seconds() <= 1800
    headers = {"Authorization": f"Bearer {session['token']}"}
    assert (await stranger.get("/v1/fleet", headers=headers)).status_code == 200
    assert answer.headers["cache-control"] == "no-store"


async def test_a_proof_is_exchanged_once_and_the_key_stays_at_home(stranger: httpx.AsyncClient, key: ApiKey) -> None:
    proof = await prove(stranger, key)
    assert key.secret.hex() not in str(proof)
    first = await stranger.post("/auth/session", json=proof)
    again = await stranger.post("/auth/session", json=proof)
    assert (first.status_code, again.status_code) == (200, 401)
    assert "each is good once" in again.json()["error"]


@pytest.mark.parametrize(("lifetime", "status"), [(899, 400), (900, 200), (3600, 200), (3601, 400), (0, 400)])
async def test_a_session_lasts_15_to_60_minutes(
    stranger: httpx.AsyncClient, key: ApiKey, lifetime: int, status: int
) -> None:
    answer = await stranger.post("/auth/session", json=await prove(stranger, key, lifetime))
    assert answer.status_code == status
    assert answer.json().get("expires_in_s") == (lifetime if status == 200 else None)


async def test_a_proof_for_another_host_is_none(stranger: httpx.AsyncClient, key: ApiKey) -> None:
    for host in ("evil.example:7879", "localhost:1"):
        answer = await stranger.post("/auth/session", json=await prove(stranger, key, host=host))
        assert answer.status_code == 401
    relayed = await prove(stranger, key, host="evil.example:7879")
    answer = await stranger.post("/auth/session", json=relayed, headers={"Host": "evil.example:7879"})
    assert answer.status_code == 403  # the one that relays it would have to be a name of this node


async def test_a_link_is_exchanged_once(stranger: httpx.AsyncClient, readers: Readers) -> None:
    code = readers.new_code()
    first = await stranger.post("/auth/session", json={"code": code})
    assert (first.status_code, first.json()["scope"]) == (200, "read")
    again = await stranger.post("/auth/session", json={"code": code})
    assert (again.status_code, "used already" in again.json()["error"]) == (401, True)
    token = first.json()["token"]
    renewed = await stranger.post("/auth/session", headers={"Authorization": f"Bearer {token}"})
    assert renewed.status_code == 200
    assert renewed.json()["token"] != token


async def test_a_keys_session_can_not_be_stretched_with_itself(stranger: httpx.AsyncClient, tokens: Tokens) -> None:
    for token in tokens.values():
        answer = await stranger.post("/auth/session", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, "can't be renewed" in answer.json()["error"]) == (401, True)


@pytest.mark.parametrize(
    "body",
    [
        {"code": 7},
        {"code": "x" * 200},
        {"scope": "agent", "code": "a"},
        {"lifetime_s": "long"},
    ],
)
async def test_what_makes_no_sense_is_400_and_told(stranger: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await stranger.post("/auth/session", json=body)
    assert (answer.status_code, "/auth/challenge" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"7", b"[" * 1000, b"a=b"])
async def test_what_is_no_json_is_400(stranger: httpx.AsyncClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await stranger.post("/auth/session", content=content, headers=headers)).status_code == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await stranger.post("/auth/session", content=content, headers=form)).status_code == 415


async def test_a_longer_body_than_any_exchange_has_is_413(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/auth/session", json={"code": "x" * EXCHANGE_LIMIT})
    assert answer.status_code == 413
    assert str(EXCHANGE_LIMIT) in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b'{"lifetime_s": 900}', b'{"key_id": "00"}', b'{"key_id": "00", "nonce": "00"}'),
        b'{"code": "a", "key_id": "b"}',
    ],
)
async def test_who_shows_nothing_or_half_a_proof_or_too_much_is_told_what_can_be(
    stranger: httpx.AsyncClient, body: bytes
) -> None:
    answer = await stranger.post("/auth/session", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "/auth/challenge" in answer.json()["error"]) == (401, True)
    assert answer.headers["www-authenticate"] == 'Bearer realm="meshfleet"'


async def test_two_ways_at_once_are_none(stranger: httpx.AsyncClient, key: ApiKey, readers: Readers) -> None:
    headers = {"Authorization": f"Bearer {key.text()}"}
    code = readers.new_code()
    assert (await stranger.post("/auth/session", json={"code": code}, headers=headers)).status_code == 401
    assert (await stranger.post("/auth/session", json={"code": code})).status_code == 200


async def test_tries_are_limited_and_told_when_the_next_may_come(stranger: httpx.AsyncClient, key: ApiKey) -> None:
    answers = [await stranger.post("/auth/session", json={"code": "guess"}) for _ in range(EXCHANGE_BURST + 5)]
    assert {answer.status_code for answer in answers[:EXCHANGE_BURST]} == {401}
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    limited = await stranger.post("/auth/session", headers={"Authorization": f"Bearer {key.text()}"})
    assert limited.status_code == 429
    assert (await stranger.get("/auth/challenge")).status_code == 200
    assert (await stranger.get("/health")).status_code == 200


async def test_no_log_line_has_a_secret_in_it(
    stranger: httpx.AsyncClient, key: ApiKey, readers: Readers, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "meshfleet")
    code = readers.new_code()
    token = tokens[Scope.READ]
    proof = await prove(stranger, key)
    for headers in ({"Authorization": f"Bearer {key.text()}"}, {"Authorization": f"Bearer {key.text()[:-1]}0"}):
        await stranger.post("/auth/session", headers=headers)
    for body in (proof, proof, {"code": code}, {"code": code}):
        await stranger.post("/auth/session", json=body)
    invitation = "mfi1_hlggR96ljqAPrpQX7hnXZ1W_72kImQIRMu_7BP4f"
    for path in ("/v1/fleet", f"/v1/fleet?token={token}", f"/{token}", f"/{invitation}", f"/v1/nodes/{key.text()}"):
        await stranger.get(path, headers={"Authorization": f"Bearer {token}"})
        await stranger.get(path)
    with trio.fail_after(10):
        while "path=/v1/nodes" not in caplog.text:
            await trio.lowlevel.checkpoint()  # a request is logged after its answer
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("meshfleet"))
    assert "key=grafana" in logged
    assert "why=" in logged
    secrets = (key.secret.hex(), token, token[4:40], code, str(proof["proof"]), invitation[5:])
    assert [secret for secret in secrets if secret in logged] == []


async def test_a_client_has_so_many_streams_whatever_its_tokens(
    reader: Callable[..., AbstractAsyncContextManager[EventReader]],
    stranger: httpx.AsyncClient,
    key: ApiKey,
    readers: Readers,
) -> None:
    async def token() -> str:
        return (await readers.by_key(key.text(), 1800))[0]

    with trio.fail_after(20):
        async with AsyncExitStack() as stack:
            for _ in range(STREAMS_PER_CLIENT):
                told = await stack.enter_async_context(reader(token=await token()))
                assert await told.event() is not None
            headers = {"Authorization": f"Bearer {await token()}"}
            refused = await stranger.get("/v1/fleet/events", headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            other = await stack.enter_async_context(reader())
            assert await other.event() is not None
