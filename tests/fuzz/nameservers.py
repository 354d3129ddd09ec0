"""What name servers answer, and who announces what on the LAN: whole messages of DNS, as dnspython and zeroconf read
them, up to the addresses that come of it."""

from __future__ import annotations

import socket
from typing import Any, Self, cast

import dns.exception
import trio
import zeroconf
from hypothesis import strategies as st

from meshfleet.discovery.dns import Dns
from meshfleet.discovery.dnssd import ADDRESSES, SERVICE, _Heard
from meshfleet.discovery.source import Unfound, reachable
from meshfleet.fleet.names import Address
from meshfleet.fleet.source import read_source

REFUSES = Unfound
MINE = Address("10.0.0.1", 7878)

ID_BYTES = 2
HEAD_BYTES = 12


class _Server:
    """A backend of dnspython's whose every socket answers the same, under the number of the question."""

    family = socket.AF_INET

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._asked = b""

    def name(self) -> str:
        return "trio"

    def datagram_connection_required(self) -> bool:
        return False

    async def make_socket(self, *_: object, **__: object) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def sendto(self, what: bytes, *_: object) -> int:
        self._asked = what
        return len(what)

    async def recvfrom(self, *_: object) -> tuple[bytes, tuple[str, int]]:
        """Number and question are the asked one's: else the answer would be nobody's. After one that is of no use
        dnspython listens for another."""
        if not self._asked:
            raise dns.exception.Timeout
        asked, self._asked = self._asked, b""
        head = self._says[: HEAD_BYTES - ID_BYTES].ljust(HEAD_BYTES - ID_BYTES, b"\0")
        counts, rest = head[4:], self._says[HEAD_BYTES - ID_BYTES :]
        answer = asked[:ID_BYTES] + head[:2] + b"\0\1" + counts + asked[HEAD_BYTES:] + rest
        return answer, ("127.0.0.1", 53)

    async def sendall(self, what: bytes, *_: object) -> None:
        raise dns.exception.Timeout  # what is too long is asked for by TCP

    async def sleep(self, _seconds: float) -> None:
        raise dns.exception.Timeout  # before it would be asked again


def answered(data: bytes) -> tuple[Address, ...]:
    """The answer to every question: of SRV records first where the first byte is odd."""
    services = data[:1] != b"" and data[0] % 2 == 1
    source = Dns(read_source(f"dns:{'_meshfleet._udp.' if services else ''}box.example@127.0.0.1"))
    source._backend = cast("Any", _Server(data[1:]))
    ask = source._services if services else source._addresses

    async def look() -> tuple[Address, ...]:
        addresses, ttl = await ask(source._resolver())
        assert ttl >= 0
        return reachable(addresses, MINE)

    return trio.run(look)


class _Lan:
    """All that was said on the LAN, as zeroconf keeps it."""

    def __init__(self, says: bytes) -> None:
        self.cache = cast("Any", zeroconf).DNSCache()
        self.cache.async_add_records(cast("Any", zeroconf).DNSIncoming(says).answers())

    def get_service_info(self, kind: str, name: str, timeout: int) -> zeroconf.ServiceInfo | None:
        info = zeroconf.ServiceInfo(kind, name)
        found = info.load_from_cache(cast("Any", self), zeroconf.current_time_millis())
        return info if found else None


def announced(data: bytes) -> tuple[Address, ...]:
    """One message of mDNS, and what it says of a service."""
    heard: list[Address] = []
    listener = _Heard("3f9a12cd0b7e4410", lambda _what, where: heard.extend(where))
    listener.add_service(cast("Any", _Lan(data)), SERVICE, NAME)
    assert len(heard) <= ADDRESSES
    return reachable(heard, MINE)


NAME = f"n2.{SERVICE}"

_words = st.sampled_from((b"n2", b"_meshfleet", b"_udp", b"local", b"box", b"\xff\x00.", b"x" * 63))
_names = st.lists(_words, max_size=3).map(lambda labels: b"".join(bytes((len(w),)) + w for w in labels) + b"\0")


def _record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    return owner + kind.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big") + len(data).to_bytes(2, "big") + data


_A, _TXT, _AAAA, _SRV = 1, 16, 28, 33
_QUESTION = b"\xc0\x0c"
"""The name that was asked for, as a pointer (RFC 1035, section 4.1.4)."""

_ttls = st.sampled_from((0, 5, 3_600, 2**31 - 1, 2**32 - 1))
_ports = st.binary(min_size=6, max_size=6)
_v4, _v6 = st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)
_texts = st.sampled_from((b"\x16fleet=3f9a12cd0b7e4410", b"\x05fleet", b"\xff", b""))


def _records(owners: st.SearchStrategy[bytes], targets: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    kinds = (
        st.builds(_record, owners, st.just(_A), _ttls, _v4),
        st.builds(_record, owners, st.just(_AAAA), _ttls, _v6),
        st.builds(_record, owners, st.just(_SRV), _ttls, st.builds(lambda port, to: port + to, _ports, targets)),
        st.builds(_record, owners, st.just(_TXT), _ttls, _texts),
    )
    return st.lists(st.one_of(*kinds), max_size=5)


answers: st.SearchStrategy[bytes] = st.builds(
    lambda kind, told: bytes((kind,)) + b"\x81\x80\0\1" + len(told).to_bytes(2, "big") + bytes(4) + b"".join(told),
    st.integers(0, 1),
    _records(st.just(_QUESTION), _names),
)

_SERVICE_NAME = b"\x02n2\x0a_meshfleet\x04_udp\x05local\0"
_HOST = b"\x03box\x05local\0"


def _message(told: list[bytes]) -> bytes:
    return bytes(2) + b"\x84\0" + bytes(2) + len(told).to_bytes(2, "big") + bytes(4) + b"".join(told)


_WHOLE = [
    _record(_SERVICE_NAME, _SRV, 120, bytes(4) + b"\x1e\xc6" + _HOST),
    _record(_SERVICE_NAME, _TXT, 4_500, b"\x16fleet=3f9a12cd0b7e4410"),
    _record(_HOST, _A, 120, b"\x0a\0\0\7"),
]
announcements: st.SearchStrategy[bytes] = st.builds(
    lambda more, whole: _message([*whole, *more]),
    _records(st.sampled_from((_SERVICE_NAME, _HOST)), st.just(_HOST) | _names),
    st.sampled_from((_WHOLE, _WHOLE[::2], [])),
)
