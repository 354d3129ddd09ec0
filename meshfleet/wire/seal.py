"""Datagrams, sealed: what a stranger sends is dropped before anything of it is read.

    version   1 byte, 0x01
    key id    2 bytes: which key of the ring
    salt      12 random bytes, drawn by each process when it starts: which sender
    counter   5 bytes, big-endian, from 0: which datagram of that sender
    sealed    the packet, by ChaCha20-Poly1305
    tag       16 bytes, its last part                                           overhead: 36 bytes

The key is BLAKE2b(fleet key, fleet id + salt), the nonce the counter; fleet id and header are associated data, and in
the upper mesh of a fleet on two levels ` above` behind them.

**Why a nonce never repeats under one key.** Within a process it is a counter, and a new salt is drawn before it runs
out (2^40 datagrams: 348 years at 100 a second), after a fork, when the keyring changes and whenever `renew` is called.
Across processes and restarts the keys differ unless two salts are equal: for a million salts under one fleet key the
chance is 2^40 / 2^97 = 2^-57, for four thousand million 2^-33. No clock, file or epoch takes part, so none can be wound
back. One thing remains: a virtual machine that is cloned or restored with its memory goes on with salt and counter as
they were. Calling `renew` on resuming leaves only the datagrams sent before the resume is noticed.

**What else there is.** Random 96-bit nonces under the fleet key itself cost 31 bytes, and allow 2^32 datagrams for a
chance of 2^-32 that two share a nonce: a fleet of 1,000 nodes at 30 a second is through after 40 hours. AES-GCM-SIV
would forgive that, but takes 1.7 us for 300 bytes and needs OpenSSL 3.2. Random nonces also leave nothing to count
replays by; salt and counter are what a replay window needs. XChaCha20 is not in `cryptography`.

**Why ChaCha20-Poly1305.** 0.9 us for 300 bytes here, AES-GCM 0.5: next to the 15 us of sending a datagram neither
counts. In exchange it takes constant time on machines without AES instructions, where AES-GCM is slow as well.

**What a flood costs.** Length, version and key id are looked at first (0.3 to 0.6 us). Bytes with the right ones and a
made-up salt cost a derivation and a failed opening, 4 us. Only a sender whose seal was good enters the table, so that
strangers can't push others out.

**Replays.** For each sender (key and salt) the highest counter is kept, and which of the 128 up to it were here. What
was here, or is older than that, is `Replayed`; of a known sender before anything is opened. The table outlives changes
of the ring. It does not outlive the process, nor a sender pushed out by 4,096 others: what is replayed then is old
news, which merges to nothing (docs/security.md).

**Who speaks.** The packet inside names its sender, so the seal covers the name; and a salt is held to the first name
that spoke under it. All members share the key, so this stops strangers and mix-ups, never a hostile member: what a
member must not be able to forge is signed by its origin.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from meshfleet.errors import Replayed, TooBig, Unsealed, Untrusted
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.wire.keyring import KEY_ID_BYTES, FleetKey, Keyring

VERSION: Final = 1
SALT_BYTES: Final = 12
COUNTER_BYTES: Final = 5
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 1 + KEY_ID_BYTES + SALT_BYTES + COUNTER_BYTES

OVERHEAD: Final = HEADER_BYTES + TAG_BYTES
"""Bytes that a seal adds to a datagram: 36."""

FRAME_LIMIT: Final = 65_536
"""Bytes of a sealed stream frame. The core fills frames up to 48,000 bytes, and no item in them is larger than a
snapshot of 4 KiB with its head, so there is room to spare; the largest frames of a hundred peers take 6.5 MB."""

SENDERS: Final = 4_096
"""Senders whose derived keys and windows are kept, some 600 bytes each. At it the longest silent goes."""

WINDOW: Final = 128
"""Datagrams by which one may be overtaken and still be taken. Reordering within a second moves a few dozen at most."""

_SENDER = slice(1, 1 + KEY_ID_BYTES + SALT_BYTES)
_PADDING = bytes(12 - COUNTER_BYTES)
_FULL = 2**WINDOW - 1
_LAST = 2 ** (8 * COUNTER_BYTES) - 1

Draw = Callable[[int], bytes]
"""Where random bytes come from: os.urandom, but for simulations."""


class UnknownKey(Unsealed):
    """Sealed with a key that is not in the ring: a stranger's, or one that this node was not told of yet."""


class Sender:
    """One life of a sender, as its receiver remembers it."""

    __slots__ = ("aead", "key", "name", "seen", "top")

    def __init__(self, key: FleetKey, aead: ChaCha20Poly1305) -> None:
        self.key = key
        self.aead = aead
        self.name: str | None = None
        self.top = -1
        """The highest counter that was here."""
        self.seen = 0
        """Bit i: whether the counter `top - i` was here."""

    def was_here(self, counter: int) -> bool:
        """Whether a datagram with that counter was here, or is too old to tell."""
        behind = self.top - counter
        return behind >= 0 and (behind >= WINDOW or bool(self.seen >> behind & 1))

    def mark(self, counter: int) -> None:
        """It is here now."""
        ahead = counter - self.top
        if ahead > 0:
            self.seen = 1 if ahead >= WINDOW else (self.seen << ahead | 1) & _FULL
            self.top = counter
        else:
            self.seen |= 1 << -ahead


class Sealer:
    """Seals what this node sends, and opens what its fleet sends. One for each node, and used by one thread only."""

    def __init__(self, keyring: Keyring, draw: Draw = os.urandom, mesh: bytes = b"") -> None:
        self._mesh = mesh
        """Which of a fleet's meshes: a datagram of one opens in no other."""
        self._keyring = keyring
        self._draw = draw
        self._senders: OrderedDict[bytes, Sender] = OrderedDict()
        self.renew()
        _SEALERS.add(self)

    @property
    def senders(self) -> int:
        """How many senders are remembered: at most SENDERS, whatever arrives."""
        return len(self._senders)

    def renew(self) -> None:
        """Go on as a new sender. Worth calling after a suspend, where the machine may be a restored copy."""
        if self._senders:
            stays = self._keyring.find
            for sender in [s for s, known in self._senders.items() if stays(s[:KEY_ID_BYTES]) is not known.key]:
                del self._senders[sender]
        self._version = self._keyring.version
        key = self._keyring.current
        self._sender = key.key_id + self._draw(SALT_BYTES)
        self._aead = ChaCha20Poly1305(key.derive(_DATAGRAM, self._keyring.fleet_id + self._sender[KEY_ID_BYTES:]))
        self._counter = 0

    def seal(self, plain: bytes, context: bytes = b"", *, most: int = DATAGRAM_BYTES) -> bytes:
        """`plain` as a datagram. `context` is what both sides know and nobody sends; it must be the same on opening.

        Raises TooBig where the datagram would be over `most` bytes: 1,400, but for what a relay passes on by stream.
        """
        if len(plain) > most - OVERHEAD:
            raise TooBig(f"a packet of {len(plain)} bytes; a datagram holds {most - OVERHEAD}.")
        if self._version != self._keyring.version or self._counter > _LAST:
            self.renew()
        counter = self._counter.to_bytes(COUNTER_BYTES, "big")
        self._counter += 1
        header = _VERSION_BYTE + self._sender + counter
        return header + self._aead.encrypt(
            _PADDING + counter, plain, self._keyring.fleet_id + header + self._mesh + context
        )

    def open(self, sealed: bytes, context: bytes = b"", *, most: int = DATAGRAM_BYTES) -> bytes:
        """What a datagram holds; Unsealed or TooBig where it is none of this fleet's, Replayed where it was here."""
        if len(sealed) > most:
            raise TooBig(f"a datagram of {len(sealed)} bytes; at most {most} are sent.")
        if len(sealed) < OVERHEAD or sealed[0] != VERSION:
            raise Unsealed("not a datagram of this protocol.")
        if self._version != self._keyring.version:
            self.renew()
        header = sealed[:HEADER_BYTES]
        counter = int.from_bytes(header[-COUNTER_BYTES:], "big")
        known = self._senders.get(sealed[_SENDER])
        sender = known or self._stranger(sealed[_SENDER])
        if known is not None and known.was_here(counter):
            raise Replayed("a datagram that was here already.")
        nonce = _PADDING + header[-COUNTER_BYTES:]
        try:
            beside = self._keyring.fleet_id + header + self._mesh + context
            plain = sender.aead.decrypt(nonce, sealed[HEADER_BYTES:], beside)
        except InvalidTag:
            raise Unsealed("not sealed by this fleet, or damaged on the way.") from None
        sender.mark(counter)
        if known is not None:
            self._senders.move_to_end(sealed[_SENDER])
        else:
            self._senders[sealed[_SENDER]] = sender
            if len(self._senders) > SENDERS:
                self._senders.popitem(last=False)
        return plain

    def _stranger(self, sender: bytes) -> Sender:
        key = self._keyring.find(sender[:KEY_ID_BYTES])
        if key is None:
            raise UnknownKey("sealed with a key that this fleet does not have.")
        aead = ChaCha20Poly1305(key.derive(_DATAGRAM, self._keyring.fleet_id + sender[KEY_ID_BYTES:]))
        return Sender(key, aead)

    def hold_to(self, sealed: bytes, name: str) -> None:
        """The datagram `sealed` was opened, and `name` speaks in it. Untrusted where its sender spoke as another."""
        sender = self._senders.get(sealed[_SENDER])
        if sender is None or sender.name == name:
            return
        if sender.name is not None:
            raise Untrusted(f"{name} speaks with the salt of {sender.name}.")
        sender.name = name


_DATAGRAM: Final = b"mf1 datagram"
_VERSION_BYTE: Final = bytes((VERSION,))

_SEALERS: WeakSet[Sealer] = WeakSet()


def _renew_all() -> None:
    """A forked child has its parent's salt and counter: it must not seal a single datagram with them."""
    for sealer in list(_SEALERS):
        sealer.renew()


os.register_at_fork(after_in_child=_renew_all)
