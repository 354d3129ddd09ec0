"""The places where a node looks for the rest of its fleet: as an operator writes them, and what is said of each.

file:fleet.yaml                      nodes and agents, listed in a file
dns:fleet.example.com                its A and AAAA records, with port 7878
dns:fleet.example.com:7900           another port
dns:_gossip._udp.fleet.example.com   its SRV records, which have ports
dns:NAME@10.0.0.2:5353               asked at that server
dns-sd   dns-sd:10.0.0.7             whoever announces itself on the LAN; on the interface with that address
consul   consul:http://HOST:8500/SERVICE
"""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, is_ip, parse_address

SPEC_LIMIT = 1_000
"""Characters of one, path and all."""

SOURCES_LIMIT = 16
"""Sources of one node."""

GOSSIP_PORT = 7878
"""Of a node of which a source gives no port."""

DNS_PORT = 53
CONSUL_URL = "http://127.0.0.1:8500"
"""Where a Consul agent listens on its own machine."""
CONSUL_SERVICE = "meshfleet"
FORMS = "file:PATH, dns:NAME, dns-sd, consul:URL"


class SourceKind(str, Enum):
    """What is looked into."""

    FILE = "file"
    DNS = "dns"
    DNS_SD = "dns-sd"
    CONSUL = "consul"


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One place to look, as the operator named it."""

    text: str
    kind: SourceKind
    path: str = ""
    """Of a file."""
    where: Address = Address("", GOSSIP_PORT)
    """The name that DNS is asked for, and the port of nodes where DNS gives none."""
    server: Address | None = None
    """Which DNS server is asked; None for the system's."""
    interface: str = ""
    """The address of this machine on whose interface DNS-SD is spoken; empty for all."""
    url: str = ""
    """Of Consul's HTTP API; empty for what CONSUL_HTTP_ADDR says."""
    service: str = CONSUL_SERVICE


class SourceTold(msgspec.Struct, frozen=True, kw_only=True):
    """One source, as it is now."""

    name: str
    """As the operator wrote it."""
    nodes: int
    """Addresses of nodes that it gave last."""
    agents: int
    """Agents without a node that it gave last."""
    offered: bool | None
    """Whether this node can be found there through its own doing; None where the source takes no offers."""
    problem: str | None
    """What is wrong with it now, as a sentence. What it gave before stays in use."""
    since: str
    """Since when that is so, RFC 3339 UTC."""


def read_source(text: str) -> SourceSpec:
    """`text` as a place to look. ConfigError where it is none."""
    if len(text) > SPEC_LIMIT or not text.isprintable():
        raise ConfigError(f"{text[:80]!r} is no place to look for nodes. There are: {FORMS}.")
    word, colon, rest = text.partition(":")
    match word:
        case "file" if rest:
            return SourceSpec(text=text, kind=SourceKind.FILE, path=rest)
        case "dns" if rest:
            return _dns(text, rest)
        case "dns-sd" if bool(rest) == bool(colon):
            return _dns_sd(text, rest)
        case "consul" if bool(rest) == bool(colon):
            return _consul(text, rest)
        case _:
            raise ConfigError(f"{text[:80]!r} is no place to look for nodes. There are: {FORMS}.")


def _dns(text: str, rest: str) -> SourceSpec:
    name, at, server = rest.partition("@")
    where = parse_address(name, GOSSIP_PORT)
    if where.host.startswith("_") and where != Address(name, GOSSIP_PORT):
        raise ConfigError(f"{text!r}: SRV records have ports of their own; leave {where.port} out.")
    if not at:
        return SourceSpec(text=text, kind=SourceKind.DNS, where=where)
    asked = parse_address(server, DNS_PORT)
    if not is_ip(asked.host):
        raise ConfigError(f"{text!r}: a DNS server is named by its IP address, not as {asked.host!r}.")
    return SourceSpec(text=text, kind=SourceKind.DNS, where=where, server=asked)


def _dns_sd(text: str, rest: str) -> SourceSpec:
    if rest and not is_ip(rest):
        raise ConfigError(f"{text!r}: an interface is named by an IP address of this machine, not as {rest!r}.")
    return SourceSpec(text=text, kind=SourceKind.DNS_SD, interface=rest)


def _consul(text: str, rest: str) -> SourceSpec:
    try:
        split = urlsplit(rest)
        good = not rest or (split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0)
    except ValueError:
        split, good = urlsplit(""), False
    service = split.path.strip("/") or CONSUL_SERVICE
    if not good or split.query or split.username or "/" in service:
        raise ConfigError(f"{text[:80]!r} does not name Consul's HTTP API. Write it as consul:{CONSUL_URL}/SERVICE.")
    url = f"{split.scheme}://{split.netloc}" if rest else ""
    return SourceSpec(text=text, kind=SourceKind.CONSUL, url=url, service=service)
