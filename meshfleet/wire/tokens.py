"""Session tokens: what any node of the fleet believes by itself, without asking the one that issued it.

    "mfs_" + base64url without padding of

    bytes   what
    1       version, 1
    2       id of the fleet key that signs
    1       scope: 1 read, 2 agent, 3 metrics
    4       issued, seconds since 1970
    4       expires
    4       renewable until
    8       random id, so that no two tokens are the same
    8       holder: the API key, or the page
    1..32   name of the API key, ASCII, up to the MAC
    32      MAC over all before it

The MAC is keyed BLAKE2b under a key of its own, derived from the fleet's (RFC 7693; HMAC would hash four times for the
same promise). Nobody outside of the fleet is to check a token, so there is nothing that a signature would add but
bytes. A ring with several keys issues with the current one and believes all. The removal of a key, with which a
rotation ends some seconds after it began, ends all sessions that were signed with it: readers exchange anew.
"""

from __future__ import annotations

import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING

from meshfleet.errors import AccessDenied
from meshfleet.fleet.access import LONGEST_SESSION, REFRESH_AT, SHORTEST_SESSION, Grant, Scope

if TYPE_CHECKING:
    from meshfleet.wire.keyring import FleetKey, Keyring

PREFIX = "mfs_"
"""Lets people and scanners of leaked secrets see what it is."""

VERSION = 1
ID_BYTES = 8
MAC_BYTES = 32
NAME_LIMIT = 32
"""Characters of an API key's name."""

SKEW = round((1 - REFRESH_AT) * SHORTEST_SESSION)
"""Seconds that the issuer's clock may be ahead of the checker's: 180, what a reader's early refresh makes up for in the
other direction, where a checker that is ahead sees tokens expire early. So clocks 3 minutes apart go unnoticed."""

_HEAD = struct.Struct(">B2sBIII8s8s")
_SHORTEST = _HEAD.size + 1 + MAC_BYTES
_LONGEST = _HEAD.size + NAME_LIMIT + MAC_BYTES
_TEXT = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{1,{(_LONGEST * 4 + 2) // 3}}})")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_LIMIT - 1}}}")
_NUMBERS = {Scope.READ: 1, Scope.AGENT: 2, Scope.METRICS: 3}
_SCOPES = {number: scope for scope, number in _NUMBERS.items()}


def issue(ring: Keyring, grant: Grant, random_id: bytes) -> str:
    """`grant` as a token, signed with the ring's current key."""
    assert len(random_id) == ID_BYTES
    assert is_name(grant.name)
    head = _HEAD.pack(
        VERSION,
        ring.current.key_id,
        _NUMBERS[grant.scope],
        grant.issued,
        grant.expires,
        grant.renewable_until,
        random_id,
        bytes.fromhex(grant.holder),
    )
    body = head + grant.name.encode("ascii")
    return PREFIX + urlsafe_b64encode(body + _mac(ring, ring.current, body)).rstrip(b"=").decode()


def check(ring: Keyring, token: str, now: float) -> Grant:
    """What `token` grants at `now` (Unix time). AccessDenied, with the reason, where it grants nothing.

    Whatever is in it is looked at only after its MAC was found right.
    """
    data = _bytes(token)
    key = None if data is None or data[0] != VERSION else ring.find(data[1:3])
    if data is None or key is None:
        raise AccessDenied("it is no session token of this fleet")
    body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(ring, key, body)):
        raise AccessDenied("it is no session token of this fleet, or it was damaged")
    _, _, number, issued, expires, renewable_until, _, holder = _HEAD.unpack_from(body)
    scope, name = _SCOPES.get(number), body[_HEAD.size :].decode("ascii", "replace")
    if scope is None or not is_name(name) or not SHORTEST_SESSION <= expires - issued <= LONGEST_SESSION:
        raise AccessDenied("a newer version of meshfleet made it")  # it is authentic
    if now >= expires:
        raise AccessDenied(f"it expired {now - expires:.0f} s ago by this node's clock")
    if now < issued - SKEW:
        raise AccessDenied(
            f"it was issued {issued - now:.0f} s in the future of this node's clock, and {SKEW} s are allowed; one of "
            "the two clocks is wrong"
        )
    return Grant(
        scope=scope,
        name=name,
        holder=holder.hex(),
        issued=issued,
        expires=expires,
        renewable_until=renewable_until,
    )


def is_name(text: str) -> bool:
    """Whether an API key may be called that: letters, digits, `.`, `_`, `-`, up to 32."""
    return _NAME.fullmatch(text) is not None


def _mac(ring: Keyring, key: FleetKey, body: bytes) -> bytes:
    secret = key.derive(b"mf1 session", ring.fleet_id)
    return blake2b(body, digest_size=MAC_BYTES, key=secret, person=b"mf1 session mac").digest()


def _bytes(token: str) -> bytes | None:
    """The bytes of `token`; None where it is not one as we write it: one text for each token, and no other."""
    found = _TEXT.fullmatch(token)
    if found is None or len(found[1]) % 4 == 1:
        return None
    data = urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
    # The last character has bits that carry nothing: only zeros count, or several texts would be the same token.
    canonical = urlsafe_b64encode(data).rstrip(b"=").decode() == found[1]
    return data if canonical and _SHORTEST <= len(data) <= _LONGEST else None
