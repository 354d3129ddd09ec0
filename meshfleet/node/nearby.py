"""Where servers of this machine are that a node asks: as an operator writes it, checked."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from meshfleet.errors import ConfigError

OFF = "off"
"""Instead of an address: ask none."""


def local_url(text: str, port: int) -> str:
    """`http://127.0.0.1:4096`, or `127.0.0.1:4096`, or `localhost`, as a URL with a port. ConfigError where it is
    something else, or another machine: what is read there, and a password for it, would cross a network unprotected."""
    split = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, said = split.hostname or "", split.port
    except ValueError:
        host, said = "", None
    if split.scheme != "http" or split.path not in ("", "/") or split.query or split.username or not host:
        raise ConfigError(f"{text[:80]!r} is no address of a server. Write it as http://127.0.0.1:{port}, or {OFF}.")
    if not is_loopback(host):
        raise ConfigError(
            f"{text[:80]!r} is not on this machine. A node asks servers on loopback only; run a node over there."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{said or port}"


def is_loopback(host: str) -> bool:
    """Whether that name or address means this machine itself."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
