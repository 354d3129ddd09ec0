"""What runtimes post: answered with `{}` at once, whatever it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest

from meshfleet.fleet.names import Address
from meshfleet.serve import serve
from meshfleet.serve.guard import Guard
from meshfleet.serve.limits import BODY_LIMIT, HOOK_LIMIT, Counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio
    from starlette.types import Message, Receive, Scope, Send

    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed


class Kept:
    """An intake that keeps what it is given."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []

    def hook(self, runtime: str, body: bytes) -> None:
        self.said.append((runtime, body))

    def statusline(self, body: bytes) -> None:
        self.said.append(("statusline", body))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def agent(
    feed: SampleFeed, readers: Readers, kept: Kept, nursery: trio.Nursery
) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, as hooks are."""

    async def served(*, task_status: trio.TaskStatus[str]) -> None:
        await serve(feed, readers, Address("127.0.0.1", 0), hooks=kept, task_status=task_status)

    url: str = await nursery.start(served)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as opened:
        yield opened


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("path", "runtime"), [("claude", "claude"), ("x", "x"), ("claude/statusline", "statusline")])
async def test_a_hook_is_handed_on_and_answered_with_nothing(
    agent: httpx.AsyncClient, kept: Kept, path: str, runtime: str
) -> None:
    for body in (b"{}", b"", b"nonsense \xff"):
        answer = await agent.post(f"/hooks/{path}", content=body, headers=JSON)
        assert (answer.status_code, answer.json()) == (200, {})
        assert kept.said.pop() == (runtime, body)


async def test_a_large_hook_is_looked_at_and_one_too_large_is_not_and_neither_fails(
    agent: httpx.AsyncClient, kept: Kept
) -> None:
    for size, taken in ((HOOK_LIMIT, HOOK_LIMIT), (HOOK_LIMIT + 1, 0), (3 * HOOK_LIMIT, 0)):
        answer = await agent.post("/hooks/claude", content=b" " * size, headers=JSON)
        assert (answer.status_code, answer.json(), len(kept.said.pop()[1])) == (200, {}, taken)
    page = await agent.post("/v1/agents/a/state", content=b" " * (BODY_LIMIT + 1), headers=JSON)
    assert page.status_code == 413


async def test_what_a_form_could_send_is_not_taken(agent: httpx.AsyncClient, kept: Kept) -> None:
    answer = await agent.post("/hooks/claude", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, kept.said) == (200, [])


async def test_from_another_machine_a_hook_needs_a_token(agent: httpx.AsyncClient, kept: Kept) -> None:
    answer = await agent.post("/hooks/claude", content=b"{}", headers={**JSON, "X-Forwarded-For": "10.0.0.7"})
    assert (answer.status_code, kept.said) == (401, [])


async def test_from_another_machine_a_hook_is_no_larger_than_anything_else() -> None:
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b" " * (BODY_LIMIT + 1), "more_body": False}

    async def send(message: Message) -> None:
        told.append(message)

    guard = Guard(_nobody, Counts())
    own, passed_on = (b"host", b"localhost"), (b"x-forwarded-for", b"10.0.0.7")
    scope = {"type": "http", "method": "POST", "path": "/hooks/claude"}
    await guard(scope | {"headers": [own], "client": ("10.0.0.7", 1)}, receive, send)
    await guard(scope | {"headers": [own, passed_on], "client": ("127.0.0.1", 1)}, receive, send)
    assert [message["status"] for message in told if "status" in message] == [413, 413]


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("it was let through")


async def test_a_node_without_agents_answers_as_well(client: httpx.AsyncClient) -> None:
    answer = await client.post("/hooks/claude", content=b"{}", headers=JSON)
    assert (answer.status_code, answer.json()) == (200, {})


async def test_no_hook_is_ever_logged(agent: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await agent.post("/hooks/claude", content=b'{"prompt": "CANARY"}', headers=JSON)
    assert "CANARY" not in caplog.text
