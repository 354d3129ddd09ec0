"""What a command that is run finds in its environment: where its node is, who it is, and where its telemetry goes.

Whatever the user has set stays as it is. Who sends telemetry somewhere already, or has switched it off, goes on doing
that: then nothing about telemetry is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"

TAKEN = (
    ENDPOINT,
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_SDK_DISABLED",
)
"""Variables by which a user says where telemetry goes, or that there is none."""

JSON, PROTOBUF = "http/json", "http/protobuf"

SPEAKS_JSON = frozenset({"claude"})
"""Commands that are known to send OTLP as JSON. The SDK for Python ends with an error where it is told to, so all
others are told the default of OpenTelemetry, which is understood everywhere."""


def environment(
    given: Mapping[str, str], command: str, agent: str, *, node: str, host: str, listens: bool, protobuf: bool
) -> dict[str, str]:
    """The environment for `command`, which is run as `agent`.

    `listens`: a node was reached at `node`. An exporter without one would fill the agent's log. `protobuf`: the node
    reads OTLP as protobuf, too.
    """
    added = dict(given)
    added["MESHFLEET_NODE"] = node
    added["MESHFLEET_AGENT"] = agent
    name = command.rpartition("/")[2]
    protocol = JSON if name in SPEAKS_JSON else PROTOBUF
    if listens and is_plain_loopback(node) and (protobuf or protocol == JSON) and not any(map(given.get, TAKEN)):
        _telemetry(added, name, agent, node, host, given.get("OTEL_EXPORTER_OTLP_PROTOCOL") or protocol)
    return added


def is_plain_loopback(node: str) -> bool:
    """Whether telemetry can go there without a key and a certificate."""
    split = urlsplit(node)
    host = (split.hostname or "").lower()
    return split.scheme == "http" and (host in ("localhost", "::1") or host.startswith("127."))


def _telemetry(added: dict[str, str], name: str, agent: str, node: str, host: str, protocol: str) -> None:
    added[ENDPOINT] = f"{node.rstrip('/')}/otlp"
    defaults = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    if name == "claude":
        defaults["CLAUDE_CODE_ENABLE_TELEMETRY"] = "1"
    defaults |= {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}
    for variable, value in defaults.items():
        added[variable] = added.get(variable) or value
    said = added.get(ATTRIBUTES, "")
    keys = {pair.partition("=")[0].strip() for pair in said.split(",")}
    ours = {"host.name": host, "meshfleet.agent": agent}
    pairs = [f"{key}={quote(value, safe='/@:')}" for key, value in ours.items() if key not in keys]
    added[ATTRIBUTES] = ",".join(part for part in (said.strip().strip(","), *pairs) if part)
