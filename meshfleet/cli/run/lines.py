"""What a command may write to the descriptor MESHFLEET_FD: lines of JSON, each with some fields of its state.

    {"status": "tool", "active_tool": "compile"}
    {"status": "working", "active_tool": null, "tokens_in": 18200, "context_tokens": 9100, "context_limit": 200000}

What a line does not name stays as it was; null takes a field back to "not known". A line of another shape is counted
and changes nothing.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from meshfleet.fleet.state import Count, RateLimit, Status, Text

LINE_LIMIT = 65_536
"""Bytes of a line. A state has at most 4 KiB."""

_Fraction = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_QUOTED = re.compile(r"'.*'", re.DOTALL)
"""A value in an error of msgspec's."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line. Fields are those of AgentState; see there for units."""

    status: Status | UnsetType = UNSET
    model: Text | UnsetType | None = UNSET
    project: Text | UnsetType | None = UNSET
    session: Text | UnsetType | None = UNSET
    parent: Text | UnsetType | None = UNSET
    context_pct: _Fraction | UnsetType | None = UNSET
    context_tokens: Count | UnsetType | None = UNSET
    context_limit: Count | UnsetType | None = UNSET
    tokens_in: Count | UnsetType | None = UNSET
    tokens_out: Count | UnsetType | None = UNSET
    tokens_cache_read: Count | UnsetType | None = UNSET
    tokens_cache_write: Count | UnsetType | None = UNSET
    cost_usd: _Fraction | UnsetType | None = UNSET
    active_tool: Text | UnsetType | None = UNSET
    active_tool_since: Text | UnsetType | None = UNSET
    rate_limits: Annotated[tuple[RateLimit, ...], msgspec.Meta(max_length=8)] | UnsetType = UNSET
    note: Text | UnsetType | None = UNSET


_line = msgspec.json.Decoder(Line)


class Lines:
    """Bytes of the pipe -> what the lines said. Bounded; never raises on what is in them."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.good = 0
        self.bad = 0
        """Lines that were not understood."""
        self.why = ""
        """What was wrong with the first of them: fields and types, nothing of what it said."""

    def feed(self, piece: bytes) -> dict[str, object]:
        """The fields that the lines completed by `piece` have set, later ones over earlier ones."""
        said: dict[str, object] = {}
        *whole, rest = (self._rest + piece).split(b"\n")
        for line in whole:
            if self._skipping:
                self._skipping = False
            elif line.strip():
                said |= self._line(line)
        if len(rest) > LINE_LIMIT and not self._skipping:
            self._wrong(f"a line has more than {LINE_LIMIT} bytes")
            self._skipping = True
        self._rest = b"" if self._skipping else rest
        return said

    def _line(self, line: bytes) -> dict[str, object]:
        if len(line) > LINE_LIMIT:
            self._wrong(f"a line has more than {LINE_LIMIT} bytes")
            return {}
        try:
            decoded = _line.decode(line)
        except msgspec.ValidationError as error:
            self._wrong(_QUOTED.sub("…", str(error)))
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._wrong("a line is not JSON")
            return {}
        if decoded.status is Status.EXITED:
            self._wrong("a command that writes has not exited: `$.status`")
            return {}
        if isinstance(decoded.active_tool_since, str) and not _TIME.fullmatch(decoded.active_tool_since):
            self._wrong("not a time as in RFC 3339: `$.active_tool_since`")
            return {}
        self.good += 1
        fields = ((name, getattr(decoded, name)) for name in Line.__struct_fields__)
        return {name: value for name, value in fields if value is not UNSET}

    def _wrong(self, why: str) -> None:
        self.bad += 1
        self.why = self.why or why[:200]
