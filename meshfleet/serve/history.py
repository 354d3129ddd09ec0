"""`/v1/events`: what happened in the fleet, as this node saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from meshfleet.fleet.happening import Happened, Happening
from meshfleet.serve.answers import Refusal, json_answer, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

ANSWER_LIMIT = 1_000
"""Lines in one answer."""

USUAL = 200


class History(Protocol):
    """Where the lines come from. A node's chronicle satisfies it."""

    @property
    def last(self) -> int:
        """Id of the newest line; 0 where there is none."""
        ...

    def after(self, last: int, limit: int) -> Sequence[Happening]:
        """The oldest so many lines with a greater id, of those that are still known."""
        ...

    def newest(self, limit: int) -> Sequence[Happening]:
        """The newest so many lines, oldest first."""
        ...


class Happenings(msgspec.Struct, frozen=True, kw_only=True):
    """Lines, oldest first."""

    events: tuple[Happening, ...]
    last: int
    """The id to ask on from: `?after=…`."""


class Nothing:
    """The history of a node that keeps none."""

    last = 0

    def after(self, last: int, limit: int) -> Sequence[Happening]:
        """None."""
        return ()

    def newest(self, limit: int) -> Sequence[Happening]:
        """None."""
        return ()


class Telling:
    """Answers from a history."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def events(self, request: Request) -> Response:
        """`GET /v1/events`: the newest lines, or those after an id; of one subject or kind alone, if asked for."""
        limit = _number(request, "limit", USUAL, ANSWER_LIMIT)
        kinds = [_kind(text) for text in request.query_params.getlist("kind")]
        subject = request.query_params.get("subject")
        narrowed = bool(kinds) or subject is not None
        if "after" in request.query_params:
            after = _number(request, "after", 0, 2**53)
            lines = self._history.after(after, 2**53 if narrowed else limit)
        else:
            after, lines = 0, self._history.newest(2**53 if narrowed else limit)
        if narrowed:
            lines = [line for line in lines if (not kinds or line.kind in kinds) and subject in (None, line.subject)]
            lines = lines[:limit] if "after" in request.query_params else lines[-limit:]
        cut = len(lines) == limit and "after" in request.query_params
        return json_answer(
            Happenings(events=tuple(lines), last=lines[-1].id if cut else max(after, self._history.last))
        )


def _number(request: Request, name: str, usual: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= most):
        raise Refusal(400, f"{name}={quoted(text)} is no number from 0 to {most}.")
    return int(text)


def _kind(text: str) -> Happened:
    try:
        return Happened(text)
    except ValueError:
        raise Refusal(400, f"There is no kind {quoted(text)}. There are: {', '.join(Happened)}.") from None
