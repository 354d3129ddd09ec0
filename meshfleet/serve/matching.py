"""Prometheus' series selectors, as `match[]` of `/federate` has them: `name{label="value", other=~"a|b.*"}`.

Regular expressions come from whoever may read, and Python's can be made to take for ever. So they are matched here as
what people write in selectors anyway: literals, `.*`, `.+`, `.` and alternatives at the top level. Between two of its
wilds such a pattern has parts of fixed length, and where the first place of a part fits, no later one fits better. So
each is looked for once, in an atomic group that is never gone back into: a text times a pattern is the most it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshfleet.serve.answers import Refusal, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SELECTORS_LIMIT = 16
"""`match[]` in one request."""

SELECTOR_LIMIT = 512
"""Characters of one."""

SELECTORS_CHARACTERS = 2_048
"""Of all in one request: each is tried on each series."""

_SELECTOR = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_PART = re.compile(r"\.\*|\.\+|\.|\\[^A-Za-z0-9]|[^\\^$()\[\]{}*+?|.]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label's condition."""

    label: str
    wanted: bool
    """False where the value must not be so."""
    pattern: re.Pattern[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels fulfils it. A label that is not there is empty."""
        return (self.pattern.fullmatch(labels.get(self.label, "")) is not None) is self.wanted


Selector = tuple[Matcher, ...]


def selectors(texts: Sequence[str]) -> tuple[Selector, ...]:
    """The selectors of a request. Refusal where one is none, or would take too long."""
    if len(texts) > SELECTORS_LIMIT:
        raise Refusal(400, f"There are {len(texts)} match[]; at most {SELECTORS_LIMIT} are looked at.")
    if (characters := sum(map(len, texts))) > SELECTORS_CHARACTERS:
        raise Refusal(
            400, f"All match[] together have {characters} characters; at most {SELECTORS_CHARACTERS} are looked at."
        )
    return tuple(_selector(text) for text in texts)


def is_wanted(name: str, labels: Mapping[str, str], among: Sequence[Selector]) -> bool:
    """Whether any selector takes in that series; without selectors all are wanted."""
    told = {**labels, "__name__": name}
    return not among or any(all(matcher.holds(told) for matcher in selector) for selector in among)


def _selector(text: str) -> Selector:
    found = _SELECTOR.fullmatch(text) if len(text) <= SELECTOR_LIMIT else None
    if found is None or not (found[1] or found[2]):
        raise _wrong(text, 'write a metric\'s name, {label="value"}, or both')
    matchers = [Matcher("__name__", True, re.compile(re.escape(found[1])))] if found[1] else []
    rest, at = found[2] or "", 0
    while at < len(rest.rstrip()):
        one = _MATCHER.match(rest, at)
        if one is None:
            raise _wrong(text, f'at {quoted(rest[at:], 30)} write label="value", with =, !=, =~ or !~')
        label, operator, value = (
            one[1],
            one[2],
            _ESCAPED.sub(r"\1", one[3].replace(r"\\", "\x00")).replace("\x00", "\\"),
        )
        pattern = _regular(value, text) if "~" in operator else re.escape(value)
        matchers.append(Matcher(label, not operator.startswith("!"), re.compile(pattern, re.DOTALL)))
        at = one.end()
    return tuple(matchers)


def _regular(value: str, text: str) -> str:
    return "|".join(f"(?:{_alternative(alternative, text)})" for alternative in value.split("|"))


def _alternative(alternative: str, text: str) -> str:
    """Parts of fixed length, and wilds between them."""
    parts, at = [""], 0
    while at < len(alternative):
        part = _PART.match(alternative, at)
        if part is None:
            raise _wrong(text, f"of regular expressions only ., .*, .+ and | are known here, not {alternative[at]!r}")
        if part[0] == ".+":
            parts[-1] += "."
        if part[0] in (".*", ".+"):
            parts.append("")
        else:
            parts[-1] += part[0]
        at = part.end()
    first, *rest = parts
    if not rest:
        return first
    return first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + f".*{rest[-1]}"


def _wrong(text: str, what: str) -> Refusal:
    return Refusal(400, f"match[]={quoted(text)} is no selector: {what}.")
