"""`/v1/events` over the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from meshfleet.fleet.access import Scope
from meshfleet.fleet.happening import Happened, Happening
from meshfleet.fleet.names import Address
from meshfleet.serve import serve

from .conftest import AsReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from meshfleet.node.readers import Readers

    from .conftest import SampleFeed, Tokens


def line(number: int, subject: str = "n2", kind: Happened = Happened.DOWN) -> Happening:
    return Happening(id=number, at="2026-11-23T20:15:05.123Z", kind=kind, subject=subject, text="is so")


class Lines:
    """A history of five lines."""

    def __init__(self) -> None:
        self.lines = [line(1, "n1", Happened.STARTED), line(2), line(3, kind=Happened.BACK), line(4, "n3"), line(5)]

    @property
    def last(self) -> int:
        return 5

    def after(self, last: int, limit: int) -> list[Happening]:
        return [one for one in self.lines if one.id > last][:limit]

    def newest(self, limit: int) -> list[Happening]:
        return self.lines[-limit:]


@pytest.fixture
async def told(
    feed: SampleFeed, readers: Readers, tokens: Tokens, nursery: trio.Nursery
) -> AsyncIterator[httpx.AsyncClient]:
    async def start(task_status: trio.TaskStatus[str]) -> None:
        await serve(feed, readers, Address("127.0.0.1", 0), history=Lines(), task_status=task_status)

    url: str = await nursery.start(start)
    async with httpx.AsyncClient(base_url=url, trust_env=False, auth=AsReader(tokens[Scope.READ])) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "ids", "last"),
    [
        ("", [1, 2, 3, 4, 5], 5),
        ("?limit=2", [4, 5], 5),
        ("?after=3", [4, 5], 5),
        ("?after=1&limit=2", [2, 3], 3),
        ("?after=5", [], 5),
        ("?after=9", [], 9),
        ("?subject=n2", [2, 3, 5], 5),
        ("?subject=n2&limit=1", [5], 5),
        ("?kind=down&kind=back&after=2", [3, 4, 5], 5),
        ("?kind=down&after=0&limit=2", [2, 4], 4),
        ("?subject=nobody", [], 5),
    ],
)
async def test_what_is_asked_for(told: httpx.AsyncClient, query: str, ids: list[int], last: int) -> None:
    answer = (await told.get(f"/v1/events{query}")).json()
    assert ([one["id"] for one in answer["events"]], answer["last"]) == (ids, last)


@pytest.mark.parametrize("query", ["?limit=x", "?limit=1001", "?after=-1", "?after=99999999999999999", "?kind=odd"])
async def test_mistakes_are_explained(told: httpx.AsyncClient, query: str) -> None:
    answer = await told.get(f"/v1/events{query}")
    assert answer.status_code == 400
    assert "odd" in answer.json()["error"] or "is no number" in answer.json()["error"]


async def test_a_node_that_keeps_none_says_so_by_an_empty_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/events")).json() == {"events": [], "last": 0}
