"""`@meshfleet.agent` on generators: they are at work until they end, and are spoken to as without us."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
import trio

import meshfleet
from meshfleet.embed.crew import CREW
from tests.embed.test_by_hand import NOBODY, doing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator


@pytest.fixture(autouse=True)
def _nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_NODE", NOBODY)


def test_generators_are_at_work_until_they_end() -> None:
    @meshfleet.agent("box/steps")
    def steps() -> Iterator[int]:
        yield 1
        yield 2

    @meshfleet.agent("box/asteps")
    async def asteps() -> AsyncIterator[int]:
        yield 1
        yield 2

    made = steps()
    assert next(made) == 1
    assert doing(CREW._agents["box/steps"]) == ("working", None)
    assert list(made) == [2]
    assert doing(CREW._agents["box/steps"]) == ("idle", None)

    async def some() -> None:
        async with aclosing(asteps()) as each:  # type: ignore[type-var]  # an async generator, as the decorator gave back
            assert await anext(each) == 1
            assert doing(CREW._agents["box/asteps"]) == ("working", None)

    asyncio.run(some())
    assert doing(CREW._agents["box/asteps"]) == ("idle", None)


def test_a_generator_is_spoken_to_as_without_us() -> None:
    heard: list[object] = []

    def talk() -> Generator[str, object, str]:
        try:
            heard.append((yield "first"))
            try:
                yield "second"
            except KeyError as error:
                heard.append(error)
            heard.append((yield "third"))
        finally:
            heard.append("closed")
        return "in the end"

    thrown = KeyError("mine")
    for function in (talk, meshfleet.agent("box/a")(talk)):
        heard.clear()
        made = function()
        assert (next(made), made.send(1), made.throw(thrown)) == ("first", "second", "third")
        with pytest.raises(StopIteration) as over:
            made.send(2)
        assert over.value.value == "in the end"
        assert heard == [1, thrown, 2, "closed"]
    assert doing(CREW._agents["box/a"]) == ("idle", None)


def test_an_async_generator_is_spoken_to_as_without_us() -> None:
    heard: list[object] = []

    async def talk() -> AsyncGenerator[str, object]:
        try:
            heard.append((yield "first"))
            try:
                yield "second"
            except KeyError as error:
                heard.append(error)
            heard.append((yield "third"))
            yield "fourth"
        except GeneratorExit:
            heard.append("told to end")
            raise
        finally:
            heard.append("closed")

    thrown, fatal = KeyError("mine"), LookupError("mine, too")

    async def speak(function: Callable[[], AsyncGenerator[str, object]]) -> None:
        made = function()
        assert (await anext(made), await made.asend(1), await made.athrow(thrown)) == ("first", "second", "third")
        await made.aclose()
        assert heard == [1, thrown, "told to end", "closed"]
        with pytest.raises(StopAsyncIteration):
            await anext(made)
        heard.clear()
        made = function()
        assert [each async for each in made] == ["first", "second", "third", "fourth"]
        assert heard == [None, None, "closed"]
        made = function()
        await anext(made)
        with pytest.raises(LookupError) as passed:
            await made.athrow(fatal)
        assert passed.value is fatal
        heard.clear()

    asyncio.run(speak(talk))
    asyncio.run(speak(meshfleet.agent("box/a")(talk)))
    assert doing(CREW._agents["box/a"]) == ("error", None)
    trio.run(speak, meshfleet.agent("box/a")(talk))
