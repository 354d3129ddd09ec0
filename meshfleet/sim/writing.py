"""A scenario as the TOML that `load` reads: for plans that were drawn, or made smaller, and are to be kept."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meshfleet.sim.scenario import Scenario

Plain = str | bool | int | float | list["Plain"] | dict[str, "Plain"]
"""What a scenario is made of, once it is no longer records."""


def to_toml(scenario: Scenario) -> str:
    """The file's text. What has its default value is left out, so that a file says what is special about it."""
    plain = _plain(scenario)
    assert isinstance(plain, dict)
    head = [f"{key} = {_value(value)}" for key, value in plain.items() if key not in _TABLES]
    parts = ["\n".join(head)]
    for key in _TABLES:
        value = plain.get(key)
        if isinstance(value, dict):
            parts.append(_table(f"[{key}]", value))
        elif isinstance(value, list):
            parts += [_table(f"[[{key}]]", each) for each in value if isinstance(each, dict)]
    return "\n\n".join(parts) + "\n"


_TABLES = ("fleet", "network", "fault", "expect", "liveness")


def _table(heading: str, content: dict[str, Plain]) -> str:
    return "\n".join([heading, *(f"{key} = {_value(value)}" for key, value in content.items())])


def _plain(value: object) -> Plain:
    """Records to tables, by the names that files use."""
    if isinstance(value, msgspec.Struct):
        table: dict[str, Plain] = {}
        config = value.__struct_config__
        if config.tag_field is not None:
            table[config.tag_field] = str(config.tag)
        for field in msgspec.structs.fields(type(value)):
            held = getattr(value, field.name)
            if held is not None and (field.required or held != _default(field)):
                table[field.encode_name] = _plain(held)
        return table
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Enum):
        return str(value.value)
    assert isinstance(value, str | bool | int | float), value
    return value


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _value(value: Plain) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # what JSON escapes TOML escapes alike, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _value(key)
