"""`meshfleet.httpx.instrument(client)`: what model providers say of rate limits is shown in the fleet, per API key.

    anthropic.Anthropic(http_client=meshfleet.httpx.instrument(httpx.Client()))
    openai.AsyncOpenAI(http_client=meshfleet.httpx.instrument(httpx.AsyncClient()))

A response hook that reads headers, and of the request the key, which goes no further than its fingerprint
(docs/security.md). For clients of httpx and of httpx2, which newer SDKs use; neither is imported here.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from meshfleet.embed.crew import CREW, program
from meshfleet.embed.here import here
from meshfleet.embed.quiet import failure, quietly
from meshfleet.runtimes.keyprint import key_of, provider_of
from meshfleet.runtimes.ratelimits import read_rate_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshfleet.embed.agent import Agent


class _Url(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def path(self) -> str: ...


class _Request(Protocol):
    @property
    def url(self) -> _Url: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class _Response(Protocol):
    @property
    def request(self) -> _Request: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def status_code(self) -> int: ...


C = TypeVar("C")


def instrument(client: C, agent: Agent | None = None) -> C:
    """`client`, which tells from now on what is left of each key that it uses. Never raises.

    `agent`: whose key it is. Default: whoever runs when an answer comes, by `@meshfleet.agent` or an instrumentation;
    else an agent that stands for the program.
    """
    try:
        hooks: dict[str, list[Callable[..., object]]] = client.event_hooks  # type: ignore[attr-defined]  # either kind's
        hook = _awaited(agent) if inspect.iscoroutinefunction(client.send) else _called(agent)  # type: ignore[attr-defined]  # the same
        client.event_hooks = {**hooks, "response": [*hooks.get("response", []), hook]}  # type: ignore[attr-defined]  # the same
    except Exception as error:
        failure("httpx.instrument", error)
    return client


def _called(agent: Agent | None) -> Callable[[_Response], None]:
    def heard(response: _Response) -> None:
        _hear(response, agent)

    return heard


def _awaited(agent: Agent | None) -> Callable[[_Response], object]:
    async def heard(response: _Response) -> None:
        _hear(response, agent)

    return heard


@quietly
def _hear(response: _Response, agent: Agent | None) -> None:
    request = response.request
    key = key_of(request.headers)
    if key is None:
        return
    limits = read_rate_limits(response.headers, key="", now=time.time(), status=response.status_code)
    if not limits:
        return
    whose = agent or here() or CREW.get(program())
    if whose is not None:
        whose.limited(provider_of(request.url.host, request.headers, request.url.path), key, limits)
