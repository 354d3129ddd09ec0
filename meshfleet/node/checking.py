"""Whether what one source of settings says can be used. The first thing that can't be is told, with its place."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import NAME_LIMIT, is_ip, node_name, parse_address
from meshfleet.fleet.source import SOURCES_LIMIT, read_source
from meshfleet.fleet.timing import PRESETS, Preset, Timing
from meshfleet.node.billing import Billing, check_billing
from meshfleet.node.nearby import OFF, local_url
from meshfleet.node.saying import place_of
from meshfleet.node.tables import TABLES, wrong_in
from meshfleet.node.windows import check_window

if TYPE_CHECKING:
    from meshfleet.node.settings import Given

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
OPENCODE_PORT = 4096
OLLAMA_PORT = 11434


def preset_named(value: float | str) -> Preset:
    """The preset of that name. ConfigError where there is none."""
    for preset in PRESETS:
        if value == preset:
            return preset
    raise ConfigError(f"{value!r} is not a preset. There are: {', '.join(PRESETS)}.")


def nearby(text: str, port: int) -> str:
    """The URL of a server of this machine; empty for none."""
    return "" if text == OFF else local_url(text, port)


def check(given: Given, named: str) -> None:
    """Whether each of what one source says can be used. ConfigError names the place."""
    for key, text in (("name", given.name), ("gossip", given.gossip), ("http", given.http), *_each_join(given)):
        if text is not None:
            try:
                node_name(text) if key == "name" else parse_address(text, 0)
            except ConfigError as error:
                raise ConfigError(f"{place_of(named, key)}: {error}") from error
    for key, text in (("zone", given.zone), ("host", given.host)):
        if text is not None and not (0 < len(text) <= NAME_LIMIT and text.isprintable()):
            raise ConfigError(f"{place_of(named, key)}: {text[:80]!r} is not 1 to {NAME_LIMIT} printable characters.")
    if given.invite is not None:
        from meshfleet.node.invites import read_invite  # half of what a command that only reads would load

        try:
            read_invite(given.invite)
        except ConfigError as error:
            raise ConfigError(f"{place_of(named, 'invite')}: {error}") from error
    _check_find(given, named)
    for text in given.http_name or ():
        if not HOST_NAME.fullmatch(text) and not is_ip(text):
            raise ConfigError(
                f"{place_of(named, 'http_name')}: {text[:80]!r} is no host name or IP address; no port here."
            )
    servers = [("opencode", text, OPENCODE_PORT) for text in given.opencode or ()]
    servers += [("ollama", given.ollama, OLLAMA_PORT)] if given.ollama is not None else []
    for key, text, port in servers:
        try:
            nearby(text, port)
        except ConfigError as error:
            raise ConfigError(f"{place_of(named, key)}: {error}") from error
    if given.exited_shown is not None and not 0 <= given.exited_shown < float("inf"):
        raise ConfigError(f"{place_of(named, 'exited_shown')}: {given.exited_shown} is not 0 or more seconds.")
    _check_billing(given, named)
    for name in TABLES:
        found = wrong_in(name, getattr(given, name) or {})
        if found is not None:
            place = place_of(named, f"{name}.{found[0]}")
            raise ConfigError(f"{place}{' ' if found[1].startswith('is ') else ': '}{found[1]}")
    for model, tokens in (given.windows or {}).items():
        check_window(place_of(named, "windows"), model, tokens)
    for key, value in (given.timing or {}).items():
        check_known(f"timing.{key}", key, ("preset", *Timing.__struct_fields__), named)
        _check_timing(key, value, named)


def _check_find(given: Given, named: str) -> None:
    for text in given.find or ():
        try:
            read_source(text)
        except ConfigError as error:
            raise ConfigError(f"{place_of(named, 'find')}: {error}") from error
    if len(given.find or ()) > SOURCES_LIMIT:
        raise ConfigError(f"{place_of(named, 'find')}: {len(given.find or ())} places; at most {SOURCES_LIMIT}.")


def _check_billing(given: Given, named: str) -> None:
    plain = Billing()
    for key, billing in (
        ("billing_day", Billing(day=plain.day if given.billing_day is None else given.billing_day)),
        ("billing_zone", Billing(zone=given.billing_zone or plain.zone)),
    ):
        try:
            check_billing(billing)
        except ConfigError as error:
            raise ConfigError(f"{place_of(named, key)}: {error}") from error


def _check_timing(key: str, value: float | str, named: str) -> None:
    where = place_of(named, f"timing.{key}")
    if key == "preset":
        try:
            preset_named(value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        return
    kind = type(getattr(PRESETS["lan"], key))
    try:
        number = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        number = None
    if number is None or not 0 < number < float("inf"):
        a_number = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{where}: {value!r} is not {a_number} greater than 0.")


def _each_join(given: Given) -> list[tuple[str, str]]:
    return [("join", text) for text in given.join or ()]


def check_known(path: str, key: str, known: tuple[str, ...], named: str) -> None:
    """ConfigError where `key` is none of the `known`, with the one that was meant."""
    if key in known:
        return
    near = get_close_matches(key, known, 1, 0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
    raise ConfigError(f"{place_of(named, path)} is not a setting. {hint}")
