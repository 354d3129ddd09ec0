"""How often one address may try to get a session: a token bucket each, in a bounded table."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from meshfleet.serve.limits import ADDRESSES_LIMIT, EXCHANGE_BURST, EXCHANGE_SECONDS

OTHERS = "others"
"""The bucket that all share who come while the table is full of addresses that were just here."""


class Buckets:
    """One bucket an address. Time is passed in: seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._filled: dict[str, float] = {}
        """When each bucket will be full again. One that is full is not kept."""

    def wait(self, address: str, now: float) -> float:
        """Take one try of `address`: 0 where it may, else the seconds until the next is there."""
        whose = network_of(address)
        if whose not in self._filled and len(self._filled) >= ADDRESSES_LIMIT:
            self._filled = {known: filled for known, filled in self._filled.items() if filled > now}
            whose = whose if len(self._filled) < ADDRESSES_LIMIT else OTHERS
        filled = max(now, self._filled.get(whose, now)) + EXCHANGE_SECONDS
        over = filled - now - EXCHANGE_BURST * EXCHANGE_SECONDS
        if over > 1e-9:
            return over
        self._filled[whose] = filled
        return 0.0


def network_of(address: str) -> str:
    """Who counts as one: an IPv4 address, or the 64 bits of an IPv6 one that a subscriber has to himself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return OTHERS
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else parsed.exploded[:19]
    return str(parsed)
