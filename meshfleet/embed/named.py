"""`@meshfleet.agent("reviewer")`: a function whose calls are an agent's runs; and the same as a `with` block."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from meshfleet.embed.agent import Agent
from meshfleet.embed.crew import CREW
from meshfleet.embed.quiet import failure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType

    from meshfleet.embed.fields import Fields
    from meshfleet.embed.work import Work

F = TypeVar("F", bound="Callable[..., Any]")  # a decorator gives back what it was given


class Named:
    """An agent by name, which lives as long as the process: idle, but for its runs."""

    def __init__(self, name: str, runtime: str, fields: Fields) -> None:
        self._name = name
        self._runtime = runtime
        self._fields = fields
        self._works: list[Work] = []

    def _work(self) -> Work:
        try:
            agent = CREW.get(self._name, runtime=self._runtime, own=False)
            if agent is not None and self._fields:
                agent.update(**self._fields)
        except Exception as error:
            failure("agent", error)
            agent = None
        return (agent or Agent("nobody")).run()

    def __call__(self, function: F) -> F:
        """The function, each of whose calls is a run: of async ones until they return, of generators until they end."""
        if inspect.isasyncgenfunction(function):
            return cast("F", self._async_generator(function))
        if inspect.iscoroutinefunction(function):
            return cast("F", self._coroutine(function))
        if inspect.isgeneratorfunction(function):
            return cast("F", self._generator(function))

        @wraps(function)
        def called(*args: object, **kwargs: object) -> object:
            with self._work():
                return function(*args, **kwargs)

        return cast("F", called)

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., object]:
        @wraps(function)
        async def called(*args: object, **kwargs: object) -> object:
            async with self._work():
                return await function(*args, **kwargs)

        return called

    def _generator(self, function: Callable[..., Any]) -> Callable[..., object]:
        @wraps(function)
        def called(*args: object, **kwargs: object) -> Generator[object, object, object]:
            with self._work():
                result: object = yield from function(*args, **kwargs)
            return result

        return called

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., object]:
        @wraps(function)
        async def called(*args: object, **kwargs: object) -> AsyncGenerator[object, object]:
            # `yield from`, as PEP 380 spells it out: there is none for async generators.
            made = function(*args, **kwargs)
            async with self._work():
                try:
                    each = await anext(made)
                    while True:
                        try:
                            sent = yield each
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            each = await made.athrow(error)
                        else:
                            each = await made.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await made.aclose()

        return called

    def __enter__(self) -> Agent:
        work = self._work()
        agent = work.__enter__()
        self._works.append(work)
        return agent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._works.pop().__exit__(kind, error, trace)

    async def __aenter__(self) -> Agent:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def agent(name: str, *, runtime: str = "python", **fields: Unpack[Fields]) -> Named:
    """An agent by name, to decorate a function with or to run a block as.

        @meshfleet.agent("reviewer", model="claude-sonnet-4-5")
        async def review(diff: str) -> str:
            with meshfleet.current().tool("bash"):
                ...

    It is `working` while a call runs, `idle` between them, `error` after one that raised; the exception passes through
    untouched. `fields` are of its state, as for `Agent.update`. Its id is `HOST/name`: where several processes of one
    machine run the same program, give each a name of its own.
    """
    return Named(name, runtime, fields)
