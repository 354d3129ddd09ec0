"""Headers that go along with each export: from a file, and from OpenTelemetry's variables. They are secrets: no error
and no log line shows a value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meshfleet.node.otel.settings import Otel

Headers = tuple[tuple[str, str], ...]

VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""The first that is set counts, as by the specification; the file's come over it."""

FILE_LIMIT = 65_536
HEADERS_LIMIT = 64
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]{0,8190}[\x21-\x7e])?")
_OURS = ("connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding")


def headers(otel: Otel, environment: Mapping[str, str], path: Path | None) -> Headers:
    """All of them. Reads the file at `path`. ConfigError says which is wrong, by its place."""
    found: dict[str, tuple[str, str]] = {}
    variable = next((name for name in VARIABLES if environment.get(name, "").strip()), None)
    if variable is not None:
        for number, pair in enumerate(environment[variable].split(","), 1):
            if pair.strip():
                name, equals, value = pair.partition("=")
                _take(found, unquote(name.strip()), unquote(value.strip()) if equals else "", f"{variable}, {number}.")
    if path is not None:
        for number, line in enumerate(_read(path).splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                name, _, value = line.partition(":")
                _take(found, name.strip(), value.strip(), f"otel.headers_file, line {number}")
    return tuple(found.values())


def _take(found: dict[str, tuple[str, str]], name: str, value: str, place: str) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ConfigError(f"{place}: this is no header. Write a name and a value of ASCII characters.")
    if name.lower() in _OURS:
        raise ConfigError(f"{place}: {name} is set by the export itself.")
    if len(found) >= HEADERS_LIMIT and name.lower() not in found:
        raise ConfigError(f"{place}: more than {HEADERS_LIMIT} headers.")
    found[name.lower()] = (name, value)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise ConfigError(f"otel.headers_file has more than {FILE_LIMIT} bytes. Is it the right file?")
        return data.decode("ascii")
    except OSError as error:
        raise ConfigError(f"otel.headers_file can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError("otel.headers_file has other than ASCII characters.") from error
