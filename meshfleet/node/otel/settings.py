"""The table `[otel]`: where measures go, how often and how; and OpenTelemetry's own variables, where it says nothing.

Those variables never switch exporting on by themselves: people set them for their agents, and some of them point at
this very node.
"""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec

from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = float | bool | str | tuple[str, ...]

METRICS_PATH = "v1/metrics"
FROM_ENVIRONMENT = "env"
"""As an endpoint: the one that OpenTelemetry's variables name."""
DEFAULT_ENDPOINT = "http://localhost:4318"
"""OTLP/HTTP's own port, as every exporter has it (specification/protocol/exporter.md)."""
PREFIX = "OTEL_EXPORTER_OTLP_"
INTERVALS = (1.0, 86_400.0)
"""Seconds between two exports, least and most."""

_E = TypeVar("_E", bound=Enum)


class Mode(str, Enum):
    """What a node tells, and whether others tell the same."""

    FLEET = "fleet"
    """The whole fleet, from one of the nodes that are set up so."""
    OWN = "own"
    """The node's own agents, and the node itself."""


class Protocol(str, Enum):
    """How OTLP travels; in OpenTelemetry's own words."""

    JSON = "http/json"
    PROTOBUF = "http/protobuf"


class Compression(str, Enum):
    """Of bodies."""

    GZIP = "gzip"
    NONE = "none"


class Otel(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is set: this node exports nothing."""

    endpoint: str | None = None
    """Where measures are sent by POST: a whole URL of http or https."""
    mode: Mode = Mode.FLEET
    interval_s: float = 60.0
    """Seconds between two exports. OpenTelemetry's default; what Prometheus keeps as current for five minutes."""
    timeout_s: float = 10.0
    """Seconds that one request may take, from connecting to the end of the answer. OpenTelemetry's default."""
    protocol: Protocol | None = None
    """None: protobuf where `meshfleet[otlp]` is installed, else JSON."""
    compression: Compression = Compression.GZIP
    """Every receiver must take gzip (OTLP 1.10), and it makes a tenth of it."""
    headers_file: str | None = None
    """A file with a `Name: value` on each line, such as an Authorization. It is read anew for each export."""
    certificate: str | None = None
    """PEM file with the authorities that the collector's certificate may be of; None: the system's."""
    client_certificate: str | None = None
    """PEM file with the certificate that this node shows the collector; with `client_key`."""
    client_key: str | None = None

    @property
    def encoding(self) -> Protocol:
        """How it is told."""
        return self.protocol or (Protocol.PROTOBUF if has_protobuf() else Protocol.JSON)

    @property
    def told(self) -> str:
        """The collector, as a person is told of it."""
        return self.endpoint or "nowhere"


def has_protobuf() -> bool:
    """Whether the extra is installed."""
    try:
        return find_spec("opentelemetry.proto.metrics.v1") is not None
    except ModuleNotFoundError:
        return False


def read_field(key: str, value: Value) -> object:
    """One field of the table. ConfigError says what is wrong with it."""
    match key:
        case "endpoint":
            return endpoint_of(_text(value)) if value else None
        case "mode":
            return _word(Mode, value)
        case "protocol":
            return _word(Protocol, value)
        case "compression":
            return _word(Compression, value)
        case "interval_s":
            return _seconds(value, *INTERVALS)
        case "timeout_s":
            return _seconds(value, 0.1, 600.0)
        case _:
            return _text(value) or None


def endpoint_of(text: str) -> str:
    """The URL to send to. `v1/metrics` is added to a base, as OpenTelemetry's exporters do. The error does not show the
    text: it may hold a secret."""
    if text == FROM_ENVIRONMENT:
        return text
    checked(text)
    return text if text.endswith(f"/{METRICS_PATH}") else f"{text.rstrip('/')}/{METRICS_PATH}"


def checked(url: str) -> str:
    """`url`, where something can be sent there."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not url.isascii():
        raise ConfigError(
            "an endpoint is a URL of http or https, such as http://127.0.0.1:4318; or `env`, for what the "
            "OTEL_EXPORTER_OTLP_ variables say. This is none."
        )
    if parts.username or parts.password or parts.query or parts.fragment or any(c.isspace() for c in url):
        raise ConfigError(
            "an endpoint has no user, no password and nothing after ? or #. What lets you in goes into "
            "otel.headers_file or OTEL_EXPORTER_OTLP_HEADERS."
        )
    return url


def completed(otel: Otel, given: Mapping[str, Value], environment: Mapping[str, str]) -> Otel:
    """With OpenTelemetry's variables where the table says nothing. `given` is the table. ConfigError names a variable
    that can't be."""
    if otel.endpoint is None:
        return otel
    fields: dict[str, object] = {}
    for key, variable, value in _standard(environment):
        if key not in given:
            try:
                fields[key] = read_field(key, value)
            except ConfigError as error:
                raise ConfigError(f"{variable}: {error}") from error
    if otel.endpoint == FROM_ENVIRONMENT:
        fields["endpoint"] = _from_environment(environment)
    return msgspec.structs.replace(otel, **fields)


def _standard(environment: Mapping[str, str]) -> list[tuple[str, str, Value]]:
    """Fields that the variables set: the field, the variable, its value."""
    found: list[tuple[str, str, Value]] = []
    for key, name in (
        ("protocol", "PROTOCOL"),
        ("compression", "COMPRESSION"),
        ("timeout_s", "TIMEOUT"),
        ("certificate", "CERTIFICATE"),
        ("client_certificate", "CLIENT_CERTIFICATE"),
        ("client_key", "CLIENT_KEY"),
    ):
        for variable in (f"{PREFIX}METRICS_{name}", f"{PREFIX}{name}"):
            if text := environment.get(variable, "").strip():
                found.append((key, variable, _milliseconds(text) if key == "timeout_s" else text))
                break
    if text := environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip():
        found.append(("interval_s", "OTEL_METRIC_EXPORT_INTERVAL", _milliseconds(text)))
    return found


def _milliseconds(text: str) -> Value:
    try:
        return float(text) / 1000
    except ValueError:
        return text


def _from_environment(environment: Mapping[str, str]) -> str:
    whole, base = f"{PREFIX}METRICS_ENDPOINT", f"{PREFIX}ENDPOINT"
    variable, url = next(
        ((name, text) for name in (whole, base) if (text := environment.get(name, "").strip())),
        ("", DEFAULT_ENDPOINT),
    )
    try:
        # By the specification the first is used as it is, the second is a base.
        return checked(url) if variable == whole else endpoint_of(url)
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}") from error


def check_otel(otel: Otel) -> None:
    """ConfigError where something of it can't work on this machine."""
    if otel.endpoint is None:
        return
    if find_spec("h11") is None:
        raise ConfigError("exporting to OpenTelemetry needs h11: pip install 'meshfleet[serve]'.")
    if otel.encoding is Protocol.PROTOBUF and not has_protobuf():
        raise ConfigError(
            "otel.protocol: http/protobuf needs opentelemetry-proto: pip install 'meshfleet[otlp]'. http/json does not."
        )
    if (otel.client_certificate is None) is not (otel.client_key is None):
        raise ConfigError("otel.client_certificate and otel.client_key go together: set both, or neither.")
    for field in ("headers_file", "certificate", "client_certificate", "client_key"):
        path: str | None = getattr(otel, field)
        if path is not None and not Path(path).expanduser().is_file():
            raise ConfigError(f"otel.{field}: there is no file {path}.")


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{value!r} is not text.")
    return value


def _word(kind: type[_E], value: Value) -> _E:
    for each in kind:
        if each.value == value:
            return each
    hint = " OTLP over gRPC is not spoken." if value == "grpc" else ""
    raise ConfigError(f"{value!r} is none of {', '.join(each.value for each in kind)}.{hint}")


def _seconds(value: Value, least: float, most: float) -> float:
    try:
        number = msgspec.convert(value, float, strict=False) if not isinstance(value, bool) else -1.0
    except msgspec.ValidationError:
        number = -1.0
    if not (isfinite(number) and least <= number <= most):
        raise ConfigError(f"{value!r} is not a number of seconds from {least:g} to {most:g}.")
    return number
