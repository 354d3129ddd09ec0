"""From what an operator wrote to sources: what each needs is imported here, when somebody uses it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from meshfleet.discovery.entries import base_url
from meshfleet.errors import ConfigError
from meshfleet.fleet.source import CONSUL_URL, SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshfleet.discovery.source import Source
    from meshfleet.fleet.source import SourceSpec


def open_sources(specs: Sequence[SourceSpec], environment: Mapping[str, str] = os.environ) -> tuple[Source, ...]:
    """The sources that `specs` name. ConfigError where one can't be used at all, or a library for it is missing."""
    return tuple(_open(spec, environment) for spec in specs)


def _open(spec: SourceSpec, environment: Mapping[str, str]) -> Source:
    try:
        match spec.kind:
            case SourceKind.FILE:
                import watchfiles  # noqa: F401 - to know now, not when it is used

                if not spec.path.endswith(".toml"):
                    import yaml  # noqa: F401 - likewise

                from meshfleet.discovery.file import File

                return File(spec)
            case SourceKind.DNS:
                from meshfleet.discovery.dns import Dns

                return Dns(spec)
            case SourceKind.DNS_SD:
                from meshfleet.discovery.dnssd import DnsSd

                return DnsSd(spec)
            case SourceKind.CONSUL:
                return _consul(spec, environment)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--find {spec.text} needs {error.name}, which is not installed: pip install 'meshfleet[discovery]'."
        ) from None


def _consul(spec: SourceSpec, environment: Mapping[str, str]) -> Source:
    """With the variables that Consul's own command reads."""
    from meshfleet.discovery.consul import Consul

    url = spec.url or environment.get("CONSUL_HTTP_ADDR") or CONSUL_URL
    if "://" not in url:
        url = f"{'https' if environment.get('CONSUL_HTTP_SSL') in ('1', 'true') else 'http'}://{url}"
    token = environment.get("CONSUL_HTTP_TOKEN") or None
    try:
        url = base_url(url, secret=token is not None)
    except ConfigError as error:
        raise ConfigError(f"--find {spec.text}: {error}") from None
    authority, trust = environment.get("CONSUL_CACERT"), None
    if authority and url.startswith("https:"):
        try:
            trust = ssl.create_default_context(cafile=authority)
        except OSError as error:  # SSLError is one, too
            raise ConfigError(f"CONSUL_CACERT {authority} can't be used: {error.strerror or error}.") from None
    return Consul(spec, url, token, trust)
