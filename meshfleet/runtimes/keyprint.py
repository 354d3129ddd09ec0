"""By what an API key is known: never the key, and nothing that a guess could be tried against in passing.

In the agent's process a key becomes `PROVIDER:` and 64 hexadecimal digits, by a hash that takes a tenth of a second on
purpose. That goes to the machine's node and no further: the node hashes it once more, under the fleet's key, to the six
digits that the fleet sees (`meshfleet.node.keyprints`). docs/security.md argues why twice.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS = 200_000
"""Of PBKDF2 with SHA-256: what the one who guesses pays for each guess, and an agent once for each key."""

SALT = b"meshfleet api key 1 "
LONGEST_KEY = 16_384
"""Characters of a key: tokens of some gateways have thousands."""

_BEARERS = ("authorization", "proxy-authorization")
_PLAIN = ("x-api-key", "api-key", "x-goog-api-key")
_HOSTS = {"googleapis.com": "google", "openai.azure.com": "azure", "amazonaws.com": "aws", "chatgpt.com": "openai"}
_PROXIED = {"anthropic": "anthropic", "codex": "openai", "gemini": "google", "openai": "openai"}
"""First part of a path at `meshfleet proxy` -> whose API that leads to, unless somebody turned it elsewhere."""

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def key_of(headers: Mapping[str, str]) -> str | None:
    """The API key that a request shows; None where it shows none. `headers` finds names in lower case."""
    for name in _PLAIN:
        given = headers.get(name)
        if given:
            return given[:LONGEST_KEY].strip() or None
    scheme, _, token = (headers.get(_BEARERS[0]) or "")[:LONGEST_KEY].partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def provider_of(host: str, headers: Mapping[str, str], path: str = "") -> str:
    """Whose key it is, by where the request goes: `api.anthropic.com` -> `anthropic`. On this machine, where a proxy
    may stand between, by the path of ours or by the headers; `local` where they don't tell."""
    lower = host.lower().rstrip(".")
    for suffix, name in _HOSTS.items():
        if lower == suffix or lower.endswith("." + suffix):
            return name
    labels = lower.split(".")
    if len(labels) >= 2 and not labels[-1].isdigit() and _LABEL.fullmatch(labels[-2]):
        return labels[-2]
    if (proxied := _PROXIED.get(path.lstrip("/").partition("/")[0])) is not None:
        return proxied
    if headers.get("anthropic-version"):
        return "anthropic"
    return "local"


def fingerprint(provider: str, key: str) -> str:
    """`PROVIDER:` and 64 hexadecimal digits. Takes a tenth of a second: not for an agent's own thread."""
    digest = hashlib.pbkdf2_hmac("sha256", key.encode(errors="replace"), SALT + provider.encode(), ROUNDS)
    return f"{provider}:{digest.hex()}"
