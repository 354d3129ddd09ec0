"""Tables of a configuration: `[attention]`, `[deliver]`, `[otel]`, field by field: so a mistake names its place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from math import isfinite
from typing import TypeAlias, TypeVar

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.attention import NAMES, Rules
from meshfleet.fleet.notice import Severity
from meshfleet.node.delivery import Delivery, check_delivery
from meshfleet.node.otel.settings import Otel, read_field

Value: TypeAlias = float | bool | str | tuple[str, ...]
Table: TypeAlias = Mapping[str, Value]

TABLES: dict[str, type[Rules] | type[Delivery] | type[Otel]] = {"attention": Rules, "deliver": Delivery, "otel": Otel}

_T = TypeVar("_T", Rules, Delivery, Otel)


def laid_over(kind: type[_T], table: Table) -> _T:
    """The defaults of `kind`, with the fields of a checked table over them."""
    fields = {key: _read(kind, key, value) for key, value in table.items()}
    return msgspec.structs.replace(kind(), **fields)


def wrong_in(name: str, table: Table) -> tuple[str, str] | None:
    """The first field of the table `name` that can't be, and what is wrong with it; None where all is well."""
    kind = TABLES[name]
    for key, value in table.items():
        if key not in kind.__struct_fields__:
            near = get_close_matches(key, kind.__struct_fields__, 1, 0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(kind.__struct_fields__)}."
            return key, f"is not a setting. {hint}"
        try:
            _read(kind, key, value)
        except ConfigError as error:
            return key, str(error)
    return None


def _read(kind: type[Rules] | type[Delivery] | type[Otel], key: str, value: Value) -> object:
    if kind is Otel:
        return read_field(key, value)
    if kind is Rules and key != "off":
        return _threshold(key, value)
    if key == "off":
        return _rules(value)
    if key == "command":
        return _command(value)
    if key == "least":
        words = [severity.value for severity in Severity]
        if value not in words:
            raise ConfigError(f"{value!r} is none of {', '.join(words)}.")
        return Severity(value)
    if key == "webhook":
        if not isinstance(value, str):
            raise ConfigError(f"{value!r} is not a URL.")
        check_delivery(Delivery(webhook=value or None))
        return value or None
    try:
        return msgspec.convert(value, bool, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{value!r} is not true or false.") from error


def _threshold(key: str, value: Value) -> float:
    try:
        number = msgspec.convert(value, float, strict=False) if not isinstance(value, bool) else -1.0
    except msgspec.ValidationError:
        number = -1.0
    if not (isfinite(number) and number > 0):
        raise ConfigError(f"{value!r} is not a number greater than 0. To switch a rule off, name it in attention.off.")
    if key.endswith("_pct") and number > 100:
        raise ConfigError(f"{value!r} is more than 100 percent.")
    return number


def _rules(value: Value) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    if not isinstance(names, tuple):
        raise ConfigError(f"{value!r} is not a list of rules.")
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, 1, 0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(NAMES)}."
            raise ConfigError(f"{name!r} is not a rule. {hint}")
    return names


def _command(value: Value) -> tuple[str, ...]:
    """A list, or one text that is split as a shell would: it is run without one."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ConfigError(f"{value[:80]!r} can't be split into a command and its arguments: {error}.") from error
    if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
        raise ConfigError(f'{value!r} is not a command. Write ["program", "argument"].')
    return value
