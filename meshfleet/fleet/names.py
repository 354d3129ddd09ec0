"""Names and addresses: what they look like, and what is refused."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple, NewType

from meshfleet.errors import ConfigError

NodeName = NewType("NodeName", str)
"""A node's name, unique in its fleet: `box-2`, `n000`."""

AgentId = NewType("AgentId", str)
"""An agent's id, unique in its fleet: `box-2/claude-1f3c`. By custom `HOST/RUNTIME-SESSION`."""

Epoch = NewType("Epoch", int)
"""One life of a node's process, as milliseconds since 1970, raised above every earlier life's."""

ADDRESS_LIMIT = 300
"""Characters of an address: a host name of DNS has at most 253."""

NAME_LIMIT = 64
AGENT_ID_LIMIT = 128

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
AGENT_ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"
_AGENT_ID = re.compile(AGENT_ID_PATTERN)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
"""Of a host name (RFC 1123, section 2.1), and '_', which people use all the same."""
_INTERFACE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_INTERFACE_LIMIT = 15
"""Characters of a network interface's name: IFNAMSIZ (net/if.h) is 16 on Linux and macOS, with the zero at its end."""
_URL = re.compile(rf"https?://({_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?/?")


class Address(NamedTuple):
    """Where a gossip member listens: an IP address or a host name, and one port for UDP and TCP alike."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def node_name(text: str) -> NodeName:
    """`text` as a node's name; ConfigError says what is wrong with it otherwise."""
    if len(text) > NAME_LIMIT:
        raise ConfigError(f"node name {text[:20]!r}… has {len(text)} characters; at most {NAME_LIMIT} are allowed.")
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f"{text!r} is not a valid node name. "
            "Use letters, digits, '.', '_' and '-', beginning with a letter or digit."
        )
    return NodeName(text)


def agent_id(text: str) -> AgentId:
    """`text` as an agent's id; ConfigError says what is wrong with it otherwise."""
    if len(text) > AGENT_ID_LIMIT:
        raise ConfigError(f"agent id {text[:20]!r}… has {len(text)} characters; at most {AGENT_ID_LIMIT} are allowed.")
    if not _AGENT_ID.fullmatch(text):
        raise ConfigError(f"{text!r} is not a valid agent id. Use letters, digits and any of . _ : @ / -")
    return AgentId(text)


def parse_address(text: str, default_port: int | None = None) -> Address:
    """`HOST:PORT`, `[IPv6]:PORT`, or a bare host where `default_port` is given.

    Raises ConfigError, naming the value. Names are not resolved here.
    """
    if len(text) > ADDRESS_LIMIT:
        raise ConfigError(f"address {text[:20]!r}… has {len(text)} characters; at most {ADDRESS_LIMIT} are allowed.")
    host, port = _split(text)
    if port is None:
        if default_port is None:
            raise ConfigError(f"address {text!r} lacks a port. Write HOST:PORT, as in 127.0.0.1:7878.")
        return Address(host, default_port)
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError(f"address {text!r}: {port!r} is not a port. Ports are 0 to 65535.")
    return Address(host, int(port))


def node_url(text: str, where: str, default_port: int) -> str:
    """Where a node is asked, as people write it, as a base URL: `http://127.0.0.1:7879`, `https://box:7879`, or just
    `127.0.0.1:7879`. ConfigError where it is neither; `where` says what is wrong."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in ("http", "https"):
        raise ConfigError(f"{where} {text}: nodes are asked over http or https, not {scheme}. Write http://HOST:PORT.")
    try:
        address = parse_address((rest if separator else text).rstrip("/"), default_port)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return f"{scheme if separator else 'http'}://{address}"


def is_ip(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_listener(host: str) -> bool:
    """Whether something can be sent to `host` as it is: the IP address of one machine, be it with an interface behind
    `%`. A name would have to be looked up first, and takes a server of names to say that there is none."""
    try:
        found = ip_address(host)
    except ValueError:
        return False
    _, behind, interface = host.partition("%")
    if behind and not (len(interface) <= _INTERFACE_LIMIT and _INTERFACE.fullmatch(interface)):
        return False
    return not (found.is_multicast or found.is_unspecified or host == "255.255.255.255")


def is_node_url(text: str) -> bool:
    """Whether `text` is such as a node tells of where it serves: `http://HOST:PORT` or `https://HOST:PORT`."""
    found = _URL.fullmatch(text)
    if found is None or int(found[2] or 1) > 65535:
        return False
    host = found[1]
    try:
        return not host.startswith("[") or ip_address(host[1:-1]).version == 6
    except ValueError:
        return False


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"address {text!r} has an unclosed bracket. IPv6 is written [::1]:7878.")
        return _host(host, text), rest[1:] if rest else None
    if text.count(":") > 1:
        raise ConfigError(f"address {text!r} is ambiguous. Write IPv6 in brackets: [::1]:7878.")
    host, colon, port = text.partition(":")
    return _host(host, text), port if colon else None


def _host(host: str, text: str) -> str:
    if not host or any(c.isspace() for c in host):
        raise ConfigError(f"address {text!r} has no host. Write HOST:PORT, as in 127.0.0.1:7878.")
    return host
