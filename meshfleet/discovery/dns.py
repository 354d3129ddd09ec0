"""Nodes that DNS names: A and AAAA records, or SRV records where the name begins with `_`.

A headless Service of Kubernetes is one: its name has an address for each pod that is ready. DNS is asked again when its
answer has lived its time, and sooner when members were lost: who came in their place has another address.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import trio

from meshfleet.discovery.source import Found, Unfound, reachable
from meshfleet.fleet.names import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from dns.rdtypes.IN.A import A
    from dns.rdtypes.IN.AAAA import AAAA
    from dns.rdtypes.IN.SRV import SRV

    from meshfleet.discovery.source import Here, Hurry
    from meshfleet.fleet.source import SourceSpec

LEAST, MOST = 5.0, 300.0
"""Seconds between two questions, whatever the TTL. CoreDNS gives 5 s in Kubernetes; some give 0, some a day."""

PATIENCE = 10.0
"""Seconds for all servers that the system names, together."""

TARGETS = 64
"""Names in SRV records that are resolved, the most wanted first."""

AT_ONCE = 8
"""Of which so many at a time."""


class Dns:
    """See the module."""

    def __init__(self, spec: SourceSpec) -> None:
        self.name = spec.text
        self._where = spec.where
        self._server = spec.server
        self._backend = dns.asyncbackend.get_backend("trio")

    async def watch(self, here: Here, tell: Callable[[Found], None], hurry: Hurry) -> None:
        """Until cancelled. Unfound where DNS does not answer, or knows no such name."""
        resolver = self._resolver()
        ask = self._services if self._where.host.startswith("_") else self._addresses
        while True:
            addresses, ttl = await ask(resolver)
            tell(Found(nodes=reachable(addresses, here.gossip)))
            await hurry.wait(min(max(ttl, LEAST), MOST), at_least=LEAST)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._server is None)
        except dns.exception.DNSException as error:
            raise Unfound(f"the system names no DNS server: {error}.") from None
        if self._server is not None:
            resolver.nameservers = [self._server.host]
            resolver.port = self._server.port
        resolver.lifetime = PATIENCE
        return resolver

    async def _addresses(self, resolver: dns.asyncresolver.Resolver) -> tuple[list[Address], float]:
        found, ttl = await self._of_host(resolver, self._where.host)
        return [Address(host, self._where.port) for host in found], ttl

    async def _services(self, resolver: dns.asyncresolver.Resolver) -> tuple[list[Address], float]:
        answer = await self._ask(resolver, self._where.host, dns.rdatatype.SRV)
        records: list[SRV] = sorted(answer, key=lambda record: (record.priority, -record.weight, record.target))
        records = [record for record in records if record.target != dns.name.root][:TARGETS]  # RFC 2782: none here
        found: dict[str, tuple[list[str], float]] = {}
        limit = trio.CapacityLimiter(AT_ONCE)

        async def resolve(target: str) -> None:
            async with limit:
                try:
                    found[target] = await self._of_host(resolver, target)
                except Unfound:
                    return  # the others may have some

        async with trio.open_nursery() as nursery:
            for target in dict.fromkeys(record.target.to_text() for record in records):
                nursery.start_soon(resolve, target)
        if records and not found:
            raise Unfound(f"{self._where.host} names hosts, and none of them has an address.")
        ttl = min([float(answer.rrset.ttl if answer.rrset else LEAST), *(ttl for _, ttl in found.values())])
        nodes = [
            Address(host, record.port)
            for record in records
            for host in found.get(record.target.to_text(), ([], 0.0))[0]
        ]
        return nodes, ttl

    async def _of_host(self, resolver: dns.asyncresolver.Resolver, host: str) -> tuple[list[str], float]:
        """Its IP addresses, and for how long they are good. Unfound where there is none of either kind."""
        found: list[str] = []
        ttls: list[float] = []
        failures: list[Unfound] = []

        async def ask(kind: dns.rdatatype.RdataType) -> None:
            try:
                answer = await self._ask(resolver, host, kind)
            except Unfound as error:
                failures.append(error)
                return
            records: list[A | AAAA] = list(answer)
            found.extend(record.address for record in records)
            ttls.append(float(answer.rrset.ttl if answer.rrset else LEAST))

        async with trio.open_nursery() as nursery:
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                nursery.start_soon(partial(ask, kind))
        if not found:
            raise failures[0]
        return sorted(found), min(ttls)

    async def _ask(
        self, resolver: dns.asyncresolver.Resolver, host: str, kind: dns.rdatatype.RdataType
    ) -> dns.resolver.Answer:
        try:
            return await resolver.resolve(host, kind, backend=self._backend, search=True)
        except dns.resolver.NXDOMAIN:
            raise Unfound(f"DNS knows no name {host}. Is it spelt right?") from None
        except dns.resolver.NoAnswer:
            raise Unfound(f"{host} has no {kind.name} records.") from None
        except (dns.exception.DNSException, OSError) as error:
            said = str(error).partition("\n")[0] or type(error).__name__
            raise Unfound(f"DNS does not answer for {host}: {said.rstrip('.')}.") from None
