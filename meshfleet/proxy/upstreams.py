"""Where requests go, by the first part of their path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Upstream(msgspec.Struct, frozen=True):
    """A model provider's API."""

    name: str
    scheme: bytes
    host: bytes
    port: int | None
    """None: the scheme's own."""
    path: bytes
    """What stands before the path of each request; without a slash at its end."""

    @property
    def authority(self) -> bytes:
        """As the Host header has it."""
        host = b"[" + self.host + b"]" if b":" in self.host else self.host
        return host if self.port is None else host + b":%d" % self.port


DEFAULTS: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "codex": "https://chatgpt.com/backend-api/codex",
    "ollama": "http://127.0.0.1:11434",
}


def upstreams(given: Iterable[str] = ()) -> dict[str, Upstream]:
    """All of them by name: the usual ones, and what `given` adds or puts in their place, as NAME=URL each."""
    urls = dict(DEFAULTS)
    for each in given:
        name, equals, url = each.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigError(
                f"--to {each}: write NAME=URL, such as gateway=https://llm.example.com. A name has lower-case letters, "
                "digits and '-'; requests to /NAME/… go there."
            )
        urls[name] = url
    return {name: _parsed(name, url) for name, url in urls.items()}


def _parsed(name: str, url: str) -> Upstream:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--to {name}={url}: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"--to {name}={url}: give http:// or https://, a host, and at most a port and a path.")
    path = parts.path.rstrip("/").encode("ascii", "replace")
    return Upstream(name, parts.scheme.encode(), parts.hostname.encode("idna"), port, path)
