"""What an operator can set: flag over environment over `meshfleet.toml` over default.

Each source is read into one `Given` and checked by itself, so that an error can name the place; `load` lays them over
each other. docs/configuration.md has every setting in words, and a test holds it to that.
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import platformdirs

from meshfleet.errors import ConfigError
from meshfleet.fleet.attention import Rules
from meshfleet.fleet.names import Address, NodeName, node_name, parse_address
from meshfleet.fleet.source import SourceSpec, read_source
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.node.checking import OLLAMA_PORT, OPENCODE_PORT, check, check_known, nearby, preset_named
from meshfleet.node.config import ABOVE_AFTER
from meshfleet.node.delivery import Delivery
from meshfleet.node.otel.settings import Otel, completed
from meshfleet.node.saying import wrong
from meshfleet.node.tables import TABLES, laid_over
from meshfleet.node.windows import windows_of

GOSSIP_PORT = 7878
HTTP_PORT = 7879
FILE_NAME = "meshfleet.toml"
FILE_LIMIT = 1024 * 1024
"""Bytes of a meshfleet.toml. A real one has a few hundred; this keeps a wrong path from filling the memory."""
CERTIFICATE = "http.crt"
"""In the state dir: the certificate that the node serves, for commands and agents of this machine to know it by."""
OWN = "own"
"""What `tls` is where the node makes its certificate itself."""
PREFIX = "MESHFLEET_"
OF_CLIENTS = ("MESHFLEET_API_KEY", "MESHFLEET_CA", "MESHFLEET_CONFIG", "MESHFLEET_NODE", "MESHFLEET_RUN_ALONE")
"""Variables that are no settings of a node: where its file is, which node a command asks, and how."""

Role = Literal["agent", "observer"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one node, complete and checked."""

    name: NodeName
    """The node's name, unique in its fleet. Default: this machine's host name up to its first dot."""

    gossip: Address = Address("127.0.0.1", GOSSIP_PORT)
    """Where gossip listens: one port number for UDP and TCP. The default is reached from this machine only; a fleet
    over several machines needs the address that the others know, such as 10.0.0.7:7878. Port 0 takes a free one."""

    http: Address = Address("127.0.0.1", HTTP_PORT)
    """Where the view is served. An address that others reach needs `tls`. Port 0 takes a free one."""

    tls: str | None = None
    """HTTPS: `own` makes a certificate for the node, kept in its state dir; `CERT,KEY` names two PEM files."""

    http_name: tuple[str, ...] = ()
    """Names under which the view is asked, besides localhost, the bound address and, beyond loopback, the host name:
    that of a proxy before it, or a DNS name. A request for any other is refused."""

    join: tuple[Address, ...] = ()
    """Nodes to join through. One that answers is enough; two or three make the start independent of each. A node that
    was in the fleet before remembers its peers and needs none."""

    find: tuple[SourceSpec, ...] = ()
    """Where nodes to join, and agents without a node, are found besides: a file, DNS, DNS-SD, Consul."""

    zone: str | None = None
    """What the node shares its fate with: a rack, a room, a region. Views name it when a whole zone falls silent."""

    levels: int = 1
    """2 makes each zone a mesh of its own, of which others see sums: for fleets of more than 1,000 nodes. All nodes of
    a fleet must have the same."""

    above: Address | None = None
    """On two levels: where the node listens to delegates of other zones, while it is one. Default: two ports above
    `gossip`, or any where that is taken."""

    host: str
    """What counts as one machine. Nodes with the same value are not taken as independent witnesses. Default: the host
    name. Set it where containers of one machine have host names of their own."""

    role: Role = "agent"
    """`agent` for a node that carries agents, `observer` for one that only looks."""

    state_dir: Path
    """Where the node keeps its keys, its epoch, its peers, its readers' keys and its local socket. One node at a time
    may use it. Default: the platform's folder for state, then `meshfleet`, then the node's name."""

    invite: str | None = None
    """The line that `meshfleet invite` printed. Needed at a node's first start in an existing fleet: without it, the
    node begins a fleet of its own. Later starts ignore it, unless its certificate has ended: then it enters anew."""

    discover: bool = True
    """Whether the agents of this machine are found and carried."""

    opencode: tuple[str, ...] | None = None
    """Where opencode's servers on this machine are looked for; empty for nowhere, None for its default port 4096."""

    ollama: str | None = None
    """Where this machine's Ollama is looked for; empty for nowhere, None for what OLLAMA_HOST says, else 11434."""

    exited_shown: float = 3600.0
    """Seconds that an agent which exited stays in the view. After that it counts in `totals.period` and `totals.today`
    only."""

    billing_day: int = 1
    """Day of the month, 1 to 28, on which a billing period begins. All nodes of a fleet should have the same."""

    billing_zone: str = "UTC"
    """Time zone in which days begin, such as Europe/Berlin. All nodes of a fleet should have the same."""

    attention: Rules = Rules()
    """From when on something needs attention, and which rules are switched off."""

    deliver: Delivery = Delivery()
    """Where that is told, besides in views: a command, a webhook, the desktop."""

    otel: Otel = Otel()
    """Where a collector of OpenTelemetry is told what is measured, and what of it."""

    log_level: LogLevel = "warning"
    """Least severe lines that the log on standard error has: `debug`, `info`, `warning` or `error`."""

    windows: Mapping[str, int] = {}
    """Tokens that the context of a model holds, by the model's name, for models that no list has. What the runtime says
    itself comes first."""

    timing: Timing = PRESETS["lan"]
    """How patient the mesh is. `timing.preset` picks `local`, `lan` or `wan`; any field of it can be set beside that.
    All nodes of a fleet should have the same."""


CHOICES = {"role": get_args(Role), "log_level": get_args(LogLevel)}


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one source says, under the settings' names; None where it says nothing. Paths, addresses are text yet."""

    name: str | None = None
    gossip: str | None = None
    http: str | None = None
    tls: str | None = None
    http_name: tuple[str, ...] | None = None
    join: tuple[str, ...] | None = None
    find: tuple[str, ...] | None = None
    zone: str | None = None
    levels: Annotated[int, msgspec.Meta(ge=1, le=2)] | None = None
    above: str | None = None
    host: str | None = None
    role: Role | None = None
    state_dir: str | None = None
    invite: str | None = None
    discover: bool | None = None
    opencode: tuple[str, ...] | None = None
    ollama: str | None = None
    exited_shown: float | None = None
    billing_day: int | None = None
    billing_zone: str | None = None
    attention: Mapping[str, float | bool | str | tuple[str, ...]] | None = None
    """Fields of Rules."""
    deliver: Mapping[str, float | bool | str | tuple[str, ...]] | None = None
    """Fields of Delivery."""
    otel: Mapping[str, float | bool | str | tuple[str, ...]] | None = None
    """Fields of Otel."""
    log_level: LogLevel | None = None
    windows: Mapping[str, int] | None = None
    """By model."""
    timing: Mapping[str, float | str] | None = None
    """`preset`, and fields of Timing."""


def load(flags: Given, environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """All sources, laid over each other. ConfigError names the first thing that is wrong, and where it stands.

    `config`, or MESHFLEET_CONFIG, names the file; it must exist then. Otherwise the file is `default_file()`, if there.
    """
    named_file = config or (Path(environment["MESHFLEET_CONFIG"]) if environment.get("MESHFLEET_CONFIG") else None)
    from_file = read_file(named_file or default_file(), must_exist=named_file is not None)
    given = _over(flags, _over(read_environment(environment), from_file))
    settings = _settings(given)
    return msgspec.structs.replace(settings, otel=completed(settings.otel, given.otel or {}, environment))


def default_file() -> Path:
    """Where `meshfleet.toml` is looked for: the platform's folder for configuration, then `meshfleet`."""
    return platformdirs.user_config_path("meshfleet", appauthor=False) / FILE_NAME


def default_state_base() -> Path:
    """The folder that has a state dir per node name."""
    return platformdirs.user_state_path("meshfleet", appauthor=False)


def machine_name() -> str:
    """This machine's host name up to its first dot, with what a node's name can't have replaced by `-`."""
    host = platform.node().partition(".")[0]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in host).strip("-_")
    return kept[:64] or "node"


def read_file(path: Path, *, must_exist: bool) -> Given:
    """`meshfleet.toml`. ConfigError names the line or the key that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{path}: there is no such file. Give --config the path of a {FILE_NAME}.") from None
        return Given()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}. Check its permissions, or name another.") from error
    if len(content) > FILE_LIMIT:
        raise ConfigError(f"{path} has more than {FILE_LIMIT} bytes. That is not a {FILE_NAME}; name another.")
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return _convert(table, f"{path.name}: {{path}}", strict=True)


def read_flags(**flags: object) -> Given:
    """The command's flags, by the settings' names; None for those that were not given."""
    return _convert({key: value for key, value in flags.items() if value is not None}, "--{flag}", strict=True)


def read_environment(environment: Mapping[str, str]) -> Given:
    """The MESHFLEET_ variables. One that looks like a misspelt setting is an error; others may be somebody else's."""
    table: dict[str, object] = {}
    timing: dict[str, str] = {}
    tables: dict[str, dict[str, str]] = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable in OF_CLIENTS or not text:
            continue
        key = variable.removeprefix(PREFIX).lower()
        if key == "timing" or key.startswith("timing_"):
            timing[key.removeprefix("timing").removeprefix("_") or "preset"] = text
        elif (name := key.partition("_")[0]) in TABLES and key != name:
            tables.setdefault(name, {})[key.removeprefix(f"{name}_")] = text
        elif key in ("join", "find", "http_name", "opencode"):
            table[key] = [part.strip() for part in text.split(",") if part.strip()]
        elif key == "windows":
            table[key] = windows_of(text, variable)
        elif key in Given.__struct_fields__:
            table[key] = text
        elif near := get_close_matches(key, Given.__struct_fields__, 1, 0.8):
            raise ConfigError(f"{variable} is not a setting. Did you mean {PREFIX}{near[0].upper()}?")
    if timing:
        table["timing"] = timing
    table |= tables
    return _convert(table, f"{PREFIX}{{VARIABLE}}", strict=False)  # everything is text there, numbers too


def _over(best: Given, other: Given) -> Given:
    """`best`, and what `other` says where `best` says nothing. Of timing and windows each field counts by itself."""
    said = {key: value for key in Given.__struct_fields__ if (value := getattr(best, key)) is not None}
    if best.windows is not None and other.windows is not None:
        said["windows"] = {**other.windows, **best.windows}
    if best.timing is not None and other.timing is not None:
        said["timing"] = {**other.timing, **best.timing}
    for name in TABLES:
        if name in said:
            said[name] = {**(getattr(other, name) or {}), **said[name]}
    return msgspec.structs.replace(other, **said)


def _settings(given: Given) -> Settings:
    name = node_name(given.name or machine_name())
    plain = Settings(name=name, host=given.host or machine_name(), state_dir=default_state_base() / name)
    return msgspec.structs.replace(
        plain,
        gossip=parse_address(given.gossip, GOSSIP_PORT) if given.gossip else plain.gossip,
        http=parse_address(given.http, HTTP_PORT) if given.http else plain.http,
        tls=given.tls,
        http_name=given.http_name or (),
        join=tuple(parse_address(text, GOSSIP_PORT) for text in given.join or ()),
        find=tuple(read_source(text) for text in dict.fromkeys(given.find or ())),
        zone=given.zone,
        levels=given.levels or plain.levels,
        above=parse_address(given.above, GOSSIP_PORT + ABOVE_AFTER) if given.above else None,
        role=given.role or plain.role,
        state_dir=Path(given.state_dir).expanduser() if given.state_dir else plain.state_dir,
        invite=given.invite,
        discover=plain.discover if given.discover is None else given.discover,
        opencode=_opencode(given.opencode),
        ollama=None if given.ollama is None else nearby(given.ollama, OLLAMA_PORT),
        exited_shown=plain.exited_shown if given.exited_shown is None else given.exited_shown,
        billing_day=given.billing_day or plain.billing_day,
        billing_zone=given.billing_zone or plain.billing_zone,
        attention=laid_over(Rules, given.attention or {}),
        deliver=laid_over(Delivery, given.deliver or {}),
        otel=laid_over(Otel, given.otel or {}),
        log_level=given.log_level or plain.log_level,
        windows=given.windows or {},
        timing=_timing(given.timing or {}),
    )


def _opencode(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(url for text in given if (url := nearby(text, OPENCODE_PORT)))


def _timing(table: Mapping[str, float | str]) -> Timing:
    """The preset that `table` names, with its other fields over it. The types were checked before."""
    fields = dict(table)
    preset = fields.pop("preset", "lan")
    return msgspec.convert(msgspec.to_builtins(PRESETS[preset_named(preset)]) | fields, Timing, strict=False)


def _convert(table: Mapping[str, object], named: str, *, strict: bool) -> Given:
    """`table` as what a source says. `named` is how that source calls a setting, such as `meshfleet.toml: {path}`."""
    for key in table:
        check_known(key, key, Given.__struct_fields__, named)
    try:
        given = msgspec.convert(table, Given, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(wrong(error, named, CHOICES)) from error
    check(given, named)
    return given
