"""What is exchanged for a session, how often, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshfleet.errors import AccessDenied
from meshfleet.fleet.access import SESSION_SECONDS, Scope
from meshfleet.node import readers as module
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.readers import CHALLENGE_SECONDS, CODE_SECONDS, CODES_LIMIT, PAGE_SECONDS, Readers
from meshfleet.wire.keyring import Keyring

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.wire.apikeys import ApiKey

HOST = "127.0.0.1:7879"
CREATED = "2026-11-23T20:15:05Z"


class Clock:
    """Unix time, set by the test."""

    now = 1_763_923_200.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


@pytest.fixture
def node(keys: KeyFile, clock: Clock) -> Readers:
    return Readers(Keyring(b"k" * 32, b"f" * 16), keys, clock)


@pytest.fixture
def key(keys: KeyFile) -> ApiKey:
    return keys.create(Scope.READ, "grafana", CREATED)


async def prove(node: Readers, key: ApiKey, nonce: str, *, to: str = HOST, shown_to: str = HOST) -> str:
    """A session for a proof that was made for `to`, and is shown where the node is known as `shown_to`."""
    proof = key.prove(nonce, to, SESSION_SECONDS).hex()
    return (await node.by_proof(key.key_id, nonce, proof, shown_to, SESSION_SECONDS))[0]


async def test_a_key_and_a_proof_of_it_are_worth_the_same(node: Readers, key: ApiKey, clock: Clock) -> None:
    shown, grant = await node.by_key(key.text(), 900)
    assert (grant.scope, grant.name, grant.holder) == (Scope.READ, "grafana", key.key_id)
    assert grant.expires - grant.issued == 900
    proven = await prove(node, key, node.challenge())
    assert node.check(shown).holder == node.check(proven).holder
    assert shown != proven
    clock.now += 900
    with pytest.raises(AccessDenied, match="expired"):
        node.check(shown)
    assert node.check(proven).scope is Scope.READ


async def test_any_node_of_the_fleet_believes_a_session_and_no_other(node: Readers, key: ApiKey, clock: Clock) -> None:
    token = await prove(node, key, node.challenge())
    assert Readers(Keyring(b"k" * 32, b"f" * 16), None, clock).check(token).name == "grafana"
    with pytest.raises(AccessDenied):
        Readers(Keyring(b"x" * 32, b"f" * 16), None, clock).check(token)


async def test_a_proof_is_taken_once(node: Readers, key: ApiKey, clock: Clock) -> None:
    nonce = node.challenge()
    await prove(node, key, nonce)
    for later in (0, 5, -120, CHALLENGE_SECONDS):  # also where the clock was set back
        clock.now += later
        with pytest.raises(AccessDenied, match=r"answered before|older than"):
            await prove(node, key, nonce)


async def test_a_failed_proof_does_not_use_up_a_challenge(node: Readers, key: ApiKey) -> None:
    nonce = node.challenge()
    with pytest.raises(AccessDenied, match="does not prove possession"):
        await node.by_proof(key.key_id, nonce, "00" * 64, HOST, SESSION_SECONDS)
    await prove(node, key, nonce)


async def test_a_proof_to_one_node_is_none_to_another(node: Readers, keys: KeyFile, key: ApiKey, clock: Clock) -> None:
    other = Readers(Keyring(b"k" * 32, b"f" * 16), keys, clock)  # the same keys: a copy of the file
    with pytest.raises(AccessDenied, match="none of this node's"):
        await prove(other, key, node.challenge())
    with pytest.raises(AccessDenied, match="does not prove possession"):
        await prove(node, key, node.challenge(), to="evil.example:7879")


@pytest.mark.parametrize("nonce", ["", "00", "zz" * 32, "00" * 32, "0" * 1000, " "])
async def test_a_nonce_that_was_not_drawn_here_is_refused(node: Readers, key: ApiKey, nonce: str) -> None:
    with pytest.raises(AccessDenied, match="none of this node's"):
        await prove(node, key, nonce)


async def test_a_nonce_has_one_spelling(node: Readers, key: ApiKey) -> None:
    nonce = node.challenge()
    await prove(node, key, nonce)
    for spelling in (nonce.upper(), f"{nonce[:2]} {nonce[2:]}"):
        if spelling != nonce:
            with pytest.raises(AccessDenied):
                await prove(node, key, spelling)


async def test_a_challenge_has_to_be_answered_within_a_minute(node: Readers, key: ApiKey, clock: Clock) -> None:
    nonce = node.challenge()
    clock.now += CHALLENGE_SECONDS
    with pytest.raises(AccessDenied, match="older than 60 s"):
        await prove(node, key, nonce)


async def test_where_no_more_answers_can_be_remembered_none_is_taken_twice(
    node: Readers, key: ApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPENT_LIMIT", 3)
    nonces = [node.challenge() for _ in range(4)]
    for nonce in nonces[:3]:
        await prove(node, key, nonce)
    with pytest.raises(AccessDenied, match="ask again in one"):
        await prove(node, key, nonces[3])
    for nonce in nonces[:3]:
        with pytest.raises(AccessDenied, match="answered before"):
            await prove(node, key, nonce)
    clock.now += CHALLENGE_SECONDS
    await prove(node, key, node.challenge())


async def test_a_revoked_key_gets_no_more_sessions_and_those_it_has_end(
    node: Readers, keys: KeyFile, key: ApiKey, clock: Clock
) -> None:
    token = await prove(node, key, node.challenge())
    keys.revoke("grafana")
    with pytest.raises(AccessDenied, match="a key is exchanged at the node that made it"):
        await prove(node, key, node.challenge())
    with pytest.raises(AccessDenied, match="keys api list"):
        await node.by_key(key.text(), SESSION_SECONDS)
    node.check(token)
    clock.now += SESSION_SECONDS
    with pytest.raises(AccessDenied):
        node.check(token)
    with pytest.raises(AccessDenied):
        node.by_token(token)


async def test_a_key_with_another_secret_or_scope_is_refused(node: Readers, key: ApiKey) -> None:
    for text in (key.text()[:-1] + ("0" if key.text()[-1] != "0" else "1"), key.text().replace("read", "agent")):
        with pytest.raises(AccessDenied, match="not the API key of that id"):
            await node.by_key(text, SESSION_SECONDS)
    with pytest.raises(AccessDenied, match="no API key"):
        await node.by_key("mf_", SESSION_SECONDS)


def test_a_link_opens_once_and_for_five_minutes(node: Readers, clock: Clock) -> None:
    code = node.new_code()
    token, grant = node.by_code(code)
    assert (grant.scope, grant.name, node.check(token)) == (Scope.READ, "page", grant)
    with pytest.raises(AccessDenied, match="used already"):
        node.by_code(code)
    late = node.new_code()
    clock.now += CODE_SECONDS
    with pytest.raises(AccessDenied, match="older than 5 minutes"):
        node.by_code(late)
    with pytest.raises(AccessDenied):
        node.by_code("")


def test_one_link_too_many_ends_the_oldest(node: Readers) -> None:
    first, *rest = [node.new_code() for _ in range(CODES_LIMIT + 1)]
    with pytest.raises(AccessDenied):
        node.by_code(first)
    for code in rest:
        node.by_code(code)


def test_a_page_goes_on_by_its_own_token_for_a_day_of_work(node: Readers, clock: Clock) -> None:
    token, grant = node.by_code(node.new_code())
    began, holder = clock.now, grant.holder
    while grant.expires < grant.renewable_until:
        clock.now += 0.8 * SESSION_SECONDS
        token, grant = node.by_token(token)
        assert (grant.holder, grant.scope) == (holder, Scope.READ)
    clock.now = grant.expires - 1
    node.check(token)
    with pytest.raises(AccessDenied, match="12 hours"):
        node.by_token(token)
    assert PAGE_SECONDS <= grant.expires - began <= PAGE_SECONDS + SESSION_SECONDS


async def test_the_session_of_a_key_is_not_renewed_by_itself(node: Readers, key: ApiKey) -> None:
    token = await prove(node, key, node.challenge())
    with pytest.raises(AccessDenied, match="can't be renewed"):
        node.by_token(token)


def test_a_node_without_a_state_dir_has_no_keys(clock: Clock) -> None:
    node = Readers(Keyring(b"k" * 32, b"f" * 16), None, clock)
    assert node.check(node.by_code(node.new_code())[0]).name == "page"
