"""What runtimes post while they work: `POST /hooks/{runtime}` and Claude Code's status line.

The agent waits for the answer, so it is `{}` with 200 at once, whatever came: an agent can't mend what its node does
not understand, and must not be told that its hook failed. What was of no use is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.responses import Response

from meshfleet.serve.answers import JSON

if TYPE_CHECKING:
    from starlette.requests import Request

    from meshfleet.serve.limits import Counts


class HookIntake(Protocol):
    """Who understands them. `meshfleet.runtimes.hooks.intake.Hooks` satisfies it. Never raises, never waits."""

    def hook(self, runtime: str, body: bytes) -> None:
        """A hook of `claude`, `codex` or `gemini`."""
        ...

    def statusline(self, body: bytes) -> None:
        """What Claude Code gives its status line."""
        ...


class Hooks:
    """Hands bodies on, and answers."""

    def __init__(self, intake: HookIntake | None, counts: Counts) -> None:
        """`intake` None: a node that carries no agents of its machine."""
        self._intake = intake
        self._counts = counts

    async def hook(self, request: Request) -> Response:
        """`POST /hooks/{runtime}`"""
        if (body := await self._body(request)) is not None and self._intake is not None:
            self._intake.hook(request.path_params["runtime"], body)
        return _nothing()

    async def statusline(self, request: Request) -> Response:
        """`POST /hooks/claude/statusline`"""
        if (body := await self._body(request)) is not None and self._intake is not None:
            self._intake.statusline(body)
        return _nothing()

    async def _body(self, request: Request) -> bytes | None:
        # No form of another site's page can send this, and no browser sends it across sites unasked.
        content_type = request.headers.get("content-type", "")
        if self._intake is None or content_type.partition(";")[0].strip()[: len(JSON) + 1].lower() != JSON:
            self._counts.hooks_dropped += 1
            return None
        return await request.body()


def _nothing() -> Response:
    return Response(b"{}", media_type=JSON)
