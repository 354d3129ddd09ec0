"""What a dialect makes of one record, in the words of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from meshfleet.fleet.state import Status
from meshfleet.runtimes.usage import Usage

if TYPE_CHECKING:
    from meshfleet.runtimes.otlp.plain import Attributes, Event, Origin, Point, Span


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A model has answered."""

    id: str
    """What tells it from all others of its session: told again, it is counted once."""
    usage: Usage
    cost: float | None = None
    """USD, where the program itself says so."""
    standard: bool = True
    """Whether the list price holds; not in a mode that costs more."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one event or span says of its session. None where it says nothing of it."""

    status: Status | None = None
    tool: str | None = None
    """The tool that runs, with status `tool`."""
    open_ended: bool = False
    """The answer has come, but nothing says that the turn is over."""
    model: str | None = None
    """The session's own, not that of a sub-agent or an errand."""
    context: int | None = None
    """Tokens in the session's own context after it."""
    emptied: bool = False
    """The context was compacted, to nobody knows what."""
    response: Response | None = None
    of_model: str | None = None
    """Whose response it is, where that is not the session's own model."""
    begins: bool = False
    """Whether the session begins with it: all of it will have been heard."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one point adds: one kind of tokens, or money."""

    kind: str
    """A field of Usage, or `cost`; `prompt` where it is all of the prompt, cached or not; `resumed` where it says that
    the session began before."""
    model: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    """What tells its series from the others of the same metric."""
    window: int | None = None
    """Tokens that the model holds, where its name says so."""


class Dialect(Protocol):
    """One runtime's way to tell."""

    @property
    def runtime(self) -> str | None:
        """How its sessions are called; None where the language of the program says it."""

    @property
    def provider(self) -> str | None:
        """Whose prices come first."""

    @property
    def attributes(self) -> frozenset[str]:
        """Attributes of its records that it looks at."""

    @property
    def metrics(self) -> frozenset[str]:
        """Metrics that it counts by."""

    def session(self, origin: Origin, attributes: Attributes) -> str | None:
        """Whose record it is."""

    def event(self, event: Event) -> Told | None:
        """What an event says; None where nothing."""

    def span(self, span: Span) -> Told | None:
        """What a span says; None where nothing."""

    def point(self, point: Point) -> Counted | None:
        """How a point counts; None where it does not."""

    def window(self, model: str) -> int | None:
        """Tokens that a model holds, by the runtime's own table; None where it has none."""
