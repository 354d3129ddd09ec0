"""What others say, made fit for the screen before it is laid out; and a screen that lets nothing else through."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from rich.segment import Segment
from textual.app import App
from textual.filter import LineFilter

from meshfleet.plain import is_one_line, one_line, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.color import Color
    from textual.notifications import SeverityLevel

_T = TypeVar("_T", bound=msgspec.Struct)


def plainly(told: _T) -> _T:
    """The same answer of a node, each text in it one line that acts on no terminal."""
    encoded = msgspec.json.encode(told).decode()
    # JSON escapes what is below a space, all else of what we look for stands in it as it is.
    if "\\" not in encoded and is_one_line(encoded):
        return told
    return cast("_T", _plainly(told))


def _plainly(value: object) -> object:
    if type(value) is str:  # a word of an enumeration is ours
        return one_line(value)
    if isinstance(value, msgspec.Struct):
        # Not by way of `convert`: what is written out is longer, and may be more than its field takes.
        fields = {name: _plainly(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(_plainly(each) for each in value)
    if isinstance(value, dict):
        return {_plainly(key): _plainly(each) for key, each in value.items()}
    return value


class _Net(LineFilter):
    """Takes out of drawn lines what acts on a terminal. It has no width, so nothing moves."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The line as it is shown."""
        if all(segment.control or is_one_line(segment.text) for segment in segments):
            return segments
        return [each if each.control else Segment(without(each.text), each.style) for each in segments]


class Plain(App[None]):
    """A program on whose screen no text acts, and none is read as markup."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Those of Textual, and ours."""
        return [*super().get_line_filters(), _Net()]

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """A word in a corner of the screen."""
        super().notify(one_line(message), title=title, severity=severity, timeout=timeout, markup=markup)
