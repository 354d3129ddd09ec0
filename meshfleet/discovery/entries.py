"""A file of endpoints, TOML or YAML, as nodes to join and agents to ask.

    [[endpoints]]
    name = "box-2"
    gossip = "10.0.0.7:7878"

    [[endpoints]]
    name = "lab/summariser"
    base_url = "https://10.0.0.9:8443"
    token = "..."          # or token_file = "summariser.token"

One wrong entry makes the file wrong: half a list that was meant whole is worse than the last good one.
"""

from __future__ import annotations

import os
import stat
import tomllib
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from meshfleet.discovery.source import Found, Unfound
from meshfleet.errors import ConfigError
from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import agent_id, parse_address
from meshfleet.fleet.source import GOSSIP_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.names import Address

TOKEN_LIMIT = 4_096
"""Characters of a token."""

URL_LIMIT = 500


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    gossip: str | None = None
    """Of a node."""
    base_url: str | None = None
    """Of an agent."""
    token: str | None = None
    token_file: str | None = None
    ca: str | None = None
    events: str = "/events"


def read_entries(content: bytes, path: Path) -> Found:
    """What the file has. Unfound says which entry can't be used, and why; no token is in what it says."""
    items = _items(content, path)
    nodes: list[Address] = []
    agents: list[Endpoint] = []
    names: set[str] = set()
    for number, item in enumerate(items, 1):
        place = f"{path.name}: entry {number}"
        entry = _entry(item, place)
        place = f"{place} ({entry.name[:64]})"
        if entry.name in names:
            raise Unfound(f"{place}: the name is there twice.")
        names.add(entry.name)
        try:
            if entry.base_url is None:
                nodes.append(_node(entry))
            else:
                agents.append(_agent(entry, path))
        except ConfigError as error:
            raise Unfound(f"{place}: {error}") from None
    return Found(nodes=tuple(nodes), agents=tuple(agents))


def has_tokens(found: Found) -> bool:
    """Whether what the file has is secret."""
    return any(agent.token is not None for agent in found.agents)


def _items(content: bytes, path: Path) -> list[object]:
    try:
        text = content.decode()
        if path.suffix == ".toml":
            whole: object = tomllib.loads(text)
        else:
            from meshfleet.discovery.yaml import load

            whole = load(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfound(f"{path.name} is not valid {'TOML' if path.suffix == '.toml' else 'YAML'}: {error}.") from None
    if isinstance(whole, dict):
        others = sorted(str(key)[:40] for key in whole if key != "endpoints")
        if others:
            raise Unfound(f"{path.name}: {others[0]!r} is not known there. It has a list `endpoints`, nothing else.")
        whole = whole.get("endpoints", [])
    if whole is None:
        whole = []
    if not isinstance(whole, list):
        raise Unfound(f"{path.name}: `endpoints` is not a list. An entry has a name, and gossip or base_url.")
    return whole


def _entry(item: object, place: str) -> _Entry:
    if isinstance(item, dict):
        for key in item:
            if key not in _Entry.__struct_fields__:
                near = get_close_matches(str(key), _Entry.__struct_fields__, 1, 0.5)
                hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_Entry.__struct_fields__)}."
                raise Unfound(f"{place}: {str(key)[:40]!r} is not known. {hint}")
    try:
        return msgspec.convert(item, _Entry)
    except msgspec.ValidationError as error:
        raise Unfound(f"{place}: {error}.") from None


def _node(entry: _Entry) -> Address:
    if entry.gossip is None:
        raise ConfigError("give `gossip`, the HOST:PORT of a node, or `base_url`, the URL of an agent.")
    if entry.token is not None or entry.token_file is not None:
        raise ConfigError("a node shows certificates and needs no token.")
    return parse_address(entry.gossip, GOSSIP_PORT)


def _agent(entry: _Entry, path: Path) -> Endpoint:
    assert entry.base_url is not None
    if entry.gossip is not None:
        raise ConfigError("it has both gossip and base_url: a node carries its agents itself.")
    if entry.token is not None and entry.token_file is not None:
        raise ConfigError("it has both token and token_file.")
    token = entry.token if entry.token_file is None else _token_in(path.parent / entry.token_file)
    if token is not None and not (0 < len(token) <= TOKEN_LIMIT and token.isascii() and token.isprintable()):
        raise ConfigError("its token is not plain ASCII on one line, or too long.")
    if entry.events and not (entry.events.startswith("/") and entry.events.isascii() and entry.events.isprintable()):
        raise ConfigError(f"events: {entry.events[:40]!r} is no path. Write it as /events, or leave it empty for none.")
    return Endpoint(
        name=agent_id(entry.name),
        base_url=base_url(entry.base_url, secret=token is not None),
        token=token,
        ca=None if entry.ca is None else str(path.parent / entry.ca),
        events=entry.events,
    )


def base_url(text: str, *, secret: bool) -> str:
    """`text` as the URL of a server, without a slash at its end. ConfigError where it is none, or where a secret that
    goes with it would cross a network that anybody may listen on."""
    try:
        split = urlsplit(text)
        host, _ = split.hostname or "", split.port
    except ValueError:
        host = ""
    plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= URL_LIMIT
    if not host or not plain or split.scheme not in ("http", "https") or split.query or split.fragment:
        raise ConfigError(f"{text[:80]!r} is no URL of a server. Write it as https://HOST:PORT.")
    if split.username is not None or split.password is not None:
        raise ConfigError("a URL with a password in it would be shown: give it as `token`.")
    if secret and split.scheme == "http" and not _is_loopback(host):
        raise ConfigError(
            f"{text[:80]!r} has a token, which would cross the network in the clear. Use https, or a tunnel that ends "
            "on this machine."
        )
    return text.rstrip("/")


def _token_in(path: Path) -> str:
    try:
        return read_whole(path, TOKEN_LIMIT)[0].decode().strip()
    except (Unfound, UnicodeDecodeError) as error:
        why = "is not text." if isinstance(error, UnicodeDecodeError) else error
        raise ConfigError(f"its token_file: {why}") from None


def read_whole(path: Path, limit: int) -> tuple[bytes, int]:
    """What a file has, and its mode. Unfound where it can't be read, or is too long."""
    try:
        # Opened without waiting: a pipe would hold up the thread, and with it the end of the node.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise Unfound(f"{path} is no file.")
            content = file.read(limit + 1)
    except OSError as error:
        raise Unfound(f"{path} can't be read: {(error.strerror or str(error)).lower()}.") from None
    if len(content) > limit:
        raise Unfound(f"{path} has more than {limit} bytes, which nothing of its kind has. Name another.")
    return content, mode


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
