"""A second implementation of the wire, small and by docs/protocol.md alone: nothing of ours is imported, so what it can
do the page is enough for.

It enters by an invitation, dials the mesh, says who it is, raises heartbeats, answers pings and carries one agent; and
it checks what it hears: seals, signatures, credentials, proofs.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from base64 import urlsafe_b64decode
from collections import Counter
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import cbor2
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

CREDENTIAL = x509.ObjectIdentifier("2.25.238427961629094665702405589230124479674")
KINDS = {1: ("alive", 7, 0), 2: ("suspect", 4, 3), 3: ("left", 4, 2), 4: ("obituary", 5, 3), 6: ("row", 4, 0)}
"""Of each signed message: the word, how many fields are signed, and which of them names who signs."""

Message = list[Any]


def dump(value: object) -> bytes:
    """The shortest form."""
    encoded: bytes = cbor2.dumps(value, canonical=True)
    return encoded


def tag_of(name: str, epoch: int) -> int:
    """What stands for one life of a name in tables of heartbeats."""
    value = 0xCBF29CE484222325
    for byte in name.encode() + b"\0" + str(epoch).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return (value >> 40) ^ value % 2**40


class Chain:
    """Proofs of one chain of heartbeats of one life, hashed back from a later one."""

    def __init__(self, fleet: bytes, name: str, epoch: int, beat: int) -> None:
        tag = tag_of(name, epoch)
        self.end = (beat - 1 + tag) // 4096 * 4096 + 4096 - tag
        life = fleet + epoch.to_bytes(8, "big") + self.end.to_bytes(8, "big") + name.encode()
        self._salt = blake2b(life, digest_size=16, person=b"mf1 beat life").digest()

    def back(self, proof: bytes, beat: int, to: int) -> bytes:
        """The proof of `to`, where `proof` is that of `beat`."""
        for each in range(beat, to, -1):
            place = (self.end - each).to_bytes(2, "big")
            proof = blake2b(proof + place, digest_size=8, person=b"mf1 beat", salt=self._salt).digest()
        return proof


class Frames:
    """Frames on a TLS stream: four bytes of length, and so many."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._buffer = b""

    async def send(self, content: bytes) -> None:
        """One frame."""
        await self._stream.send_all(len(content).to_bytes(4, "big") + content)

    async def receive(self) -> bytes:
        """The next one; EOFError where the stream ends."""
        while len(self._buffer) < 4 or len(self._buffer) < 4 + int.from_bytes(self._buffer[:4], "big"):
            piece = await self._stream.receive_some()
            if not piece:
                raise EOFError
            self._buffer += piece
        length = int.from_bytes(self._buffer[:4], "big")
        frame, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
        return frame


class Second:
    """See the module."""

    def __init__(self, line: str, name: str) -> None:
        data = urlsafe_b64decode(line.removeprefix("mfi1_") + "=" * (-len(line.removeprefix("mfi1_")) % 4))
        assert sha256(data[:-4]).digest()[:4] == data[-4:]
        self._fingerprint, self._inviter, addresses, self._invite, self._secret, _ = cbor2.loads(data[:-4])
        host, _, port = addresses[0].rpartition(":")
        self.there = (host, int(port))
        self.fleet: bytes = self._fingerprint[:16]
        self.name, self.epoch, self.beat, self._raised = name, int(time.time() * 1000), 0, time.time()
        self._key = Ed25519PrivateKey.generate()
        self._counter, self._salt = 0, os.urandom(12)
        self._last_proof = os.urandom(8)
        self.udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self._keys: dict[str, bytes] = {}
        self._known: dict[tuple[int, int], tuple[str, int, int, bytes]] = {}
        """By tag and end of chain: name, epoch, and the newest heartbeat that was believed, with its proof."""
        self.checked: Counter[str] = Counter()
        """What was found genuine, by kind. What is not raises."""
        self.days: dict[str, list[int]] = {}
        """By node, the newest day of its account: day, cost, tokens in, tokens out."""

    async def enter(self) -> None:
        """Become a member: from here on there are a certificate and a ring."""
        async with await self._dial("meshfleet-join/1", None) as stream:
            frames = Frames(stream)
            number, der = cbor2.loads(await frames.receive())[:2]
            authority = x509.load_der_x509_certificate(der)
            public = authority.public_key()
            assert isinstance(public, Ed25519PublicKey)
            self._authority = public
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            assert (number, sha256(spki).digest()) == (1, self._fingerprint)
            shown = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
            self._authority.verify(shown.signature, shown.tbs_certificate_bytes)
            names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            [uri] = names.get_values_for_type(x509.UniformResourceIdentifier)
            assert uri in [f"meshfleet:{self.fleet.hex()}/{role}/{self._inviter}" for role in ("agent", "observer")]
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
            request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._key, None)
            await frames.send(dump([2, self._invite, self._secret, request.public_bytes(Encoding.DER)]))
            word = cbor2.loads(await frames.receive())
            assert word[0] == 5, word
            await trio.aclose_forcefully(stream)
        self._certificate = x509.load_der_x509_certificate(word[1])
        found = self._certificate.extensions.get_extension_for_oid(CREDENTIAL).value
        assert isinstance(found, x509.UnrecognizedExtension)
        self._credential = found.value
        self._version, current, keys, signature = cbor2.loads(word[2])[:4]
        self._authority.verify(signature, self._over("ring", dump([self._version, current, keys])))
        [self._ring_key] = [secret for secret, _ in keys]
        assert blake2b(b"", digest_size=2, key=self._ring_key, person=b"mf1 key id").digest() == current
        self._head = b"\x01" + current
        await self.udp.bind(("127.0.0.1", 0))

    async def speak(self) -> None:
        """Be a member, until cancelled: one stream that it dials, datagrams, a heartbeat for each ping."""
        stream = await self._dial("meshfleet-mesh/1", self._pem())
        with self.udp:
            async with stream, trio.open_nursery() as nursery:
                await self._speak(Frames(stream), nursery)

    async def _speak(self, frames: Frames, nursery: trio.Nursery) -> None:
        await frames.send(self._packet())
        await frames.send(self._packet([30, [self._alive()], [5, b""], [21, [self._have()]], True, [], []]))
        nursery.start_soon(self._hear_stream, frames)
        nursery.start_soon(self._hear_datagrams)

    async def _dial(self, protocol: str, pem: bytes | None) -> trio.SSLStream[trio.SocketStream]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        if pem is not None:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "pem").write_bytes(pem)
                context.load_cert_chain(Path(folder) / "pem")
        stream = trio.SSLStream(await trio.open_tcp_stream(*self.there), context, https_compatible=True)
        await stream.do_handshake()
        return stream

    def _pem(self) -> bytes:
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self._certificate.public_bytes(Encoding.PEM)

    # What it says

    def _packet(self, *messages: Message) -> bytes:
        age = int((time.time() - self._raised) * 100)
        proof = self._proof(self.beat) if self.beat else b""
        return dump([self.name, self.epoch, self.beat, age, int(time.time() * 1000), list(messages), proof])

    async def _send(self, to: Any, *messages: Message) -> None:
        header = self._head + self._salt + self._counter.to_bytes(5, "big")
        self._counter += 1
        key = self._datagram_key(self._salt)
        nonce = bytes(7) + header[15:]
        sealed = ChaCha20Poly1305(key).encrypt(nonce, self._packet(*messages), self.fleet + header)
        await self.udp.sendto(header + sealed, to)

    def _datagram_key(self, salt: bytes) -> bytes:
        return blake2b(self.fleet + salt, digest_size=32, key=self._ring_key, person=b"mf1 datagram").digest()

    def _proof(self, beat: int) -> bytes:
        """It does not live long enough for a second chain."""
        chain = Chain(self.fleet, self.name, self.epoch, 1)
        return chain.back(self._last_proof, chain.end, beat)

    def _alive(self) -> Message:
        host, port = self.udp.getsockname()
        info = ["second", host, port, None, "agent", None, "2", None, self._version, False, []]
        return [1, *self._signed("alive", [self.name, self.epoch, 0, info, 0, self._proof(0), self._credential])]

    def _snapshot(self) -> Message:
        agent = f"{self.name}/a1"
        body = dump({1: agent, 2: "2026-11-26T00:00:00Z", 3: "working", 4: "second"})
        return self._signed("snapshot", [self.name, self.epoch, 1, 0, 0, agent, body])

    def _have(self) -> Message:
        return [self.name, self.epoch, 1]

    def _signed(self, kind: str, fields: Message) -> Message:
        return [*fields, self._key.sign(self._over(kind, dump(fields)))]

    def _over(self, kind: str, what: bytes) -> bytes:
        return b"meshfleet 1 " + kind.encode() + b"\0" + self.fleet + what

    # What it hears

    async def _hear_stream(self, frames: Frames) -> None:
        while True:
            await self._hear(await frames.receive(), None)

    async def _hear_datagrams(self) -> None:
        while True:
            data, source = await self.udp.recvfrom(2000)
            assert data[:3] == self._head
            key = self._datagram_key(data[3:15])
            packet = ChaCha20Poly1305(key).decrypt(bytes(7) + data[15:20], data[20:], self.fleet + data[:20])
            await self._hear(packet, source)

    async def _hear(self, packet: bytes, source: Any) -> None:
        name, epoch, beat, _, _, messages, proof = cbor2.loads(packet)[:7]
        for message in messages:
            self._check(message)
        self._believe(tag_of(name, epoch), beat, proof)
        for message in messages:
            if message[0] == 10 and message[2] == self.name and source is not None:
                await self._send(source, [12, message[1], self.name, self.epoch], self._roll_call())
                self.beat, self._raised = self.beat + 1, time.time()  # whoever is there is pinged each second or so
                await self._send(self.there, [20, self._snapshot(), None, self.beat, 0, self._proof(self.beat)])

            if message[0] == 20 and message[6:] and message[6] and source is not None:
                await self._send(source, [24, [message[6]]])

    def _lives(self) -> list[int]:
        """Tags of all members in order: what a roll call's bits mean."""
        return sorted({tag for tag, _ in self._known} | {tag_of(self.name, self.epoch)})

    def _order(self) -> bytes:
        return crc32(b"".join([tag.to_bytes(5, "big") for tag in self._lives()])).to_bytes(4, "big")

    def _roll_call(self) -> Message:
        """It lacks everybody's but its own, for it keeps no ages."""
        lives = self._lives()
        mine = 1 << lives.index(tag_of(self.name, self.epoch))
        return [8, self._order(), mine.to_bytes((len(lives) + 7) // 8, "little"), False]

    def _roll_answer(self, order: bytes, first: int, told: bytes, table: bytes) -> None:
        if order != self._order() or not table:
            return
        bits = int.from_bytes(told, "little") << first
        named = [tag for place, tag in enumerate(self._lives()) if bits >> place & 1]
        counters, width = table[0] >> 4, (table[0] >> 4) + (table[0] & 7) + 8
        assert len(table) == 1 + width * len(named)
        for at, tag in zip(range(1, len(table), width), named, strict=True):
            self._believe(tag, int.from_bytes(table[at : at + counters], "big"), table[at + width - 8 : at + width])
            self.checked["roll"] += 1

    def _check(self, message: Message) -> None:
        number = message[0]
        if number == 1:
            self._meet(message)
        if number in KINDS:
            kind, signed, by = KINDS[number]
            self._verify(kind, message[1 : 1 + signed], message[1 + by], message[-1])
        elif number == 5:
            self._table(message[1])
        elif number == 9:
            self._roll_answer(*message[1:5])
        elif number == 20:
            self._verify("snapshot", message[1][:7], message[1][0], message[1][7])
            if message[1][5].startswith("meshfleet:account") and message[1][6]:
                self._accounts(message[1][6])
        elif number == 30:
            for each in (*message[1], message[2], *message[5]):
                self._check(each)

    def _meet(self, alive: Message) -> None:
        name, epoch, beat, anchor, credential = (alive[i] for i in (1, 2, 5, 6, 7))
        self._authority.verify(credential[37:], self._over("key", credential[:37] + name.encode()))
        assert int.from_bytes(credential[:5], "big") > time.time()
        self._keys[name] = credential[5:37]
        end = Chain(self.fleet, name, epoch, beat + 1).end
        self._known.setdefault((tag_of(name, epoch), end), (name, epoch, beat, anchor))

    def _verify(self, kind: str, fields: Message, by: str, signature: bytes) -> None:
        if by in self._keys:
            Ed25519PublicKey.from_public_bytes(self._keys[by]).verify(signature, self._over(kind, dump(fields)))
            self.checked[kind] += 1

    def _accounts(self, body: bytes) -> None:
        """What ledgers say: each statement brings the key that it is signed by."""
        version, statements = cbor2.loads(body)[:2]
        assert version == 1
        for statement in statements:
            fields = cbor2.loads(statement)
            node, credential, signature = fields[2], fields[7], fields[8]
            self._authority.verify(credential[37:], self._over("key", credential[:37] + node.encode()))
            key = Ed25519PublicKey.from_public_bytes(credential[5:37])
            key.verify(signature, self._over("account", dump(fields[:7])))
            self.checked["account" if fields[1] == 1 else "marks"] += 1
            if fields[1] == 1 and len(fields) > 9 and fields[9] is not None:
                *day, of_day = fields[9][:5]
                key.verify(of_day, self._over("day", dump([*fields[:7], *day])))
                self.days[node] = day
                self.checked["day"] += 1

    def _table(self, table: bytes) -> None:
        if not table:
            return
        counters, asks, ages = table[0] >> 4, bool(table[0] & 8), table[0] & 7
        width = 5 + counters + ages + (0 if asks else 8)
        assert (len(table) - 1) % width == 0
        for at in range(1, len(table), width):
            record = table[at : at + width]
            if not asks:
                tag, beat = int.from_bytes(record[:5], "big"), int.from_bytes(record[5 : 5 + counters], "big")
                self._believe(tag, beat, record[-8:])

    def _believe(self, tag: int, beat: int, proof: bytes) -> None:
        """A newer heartbeat, if its proof hashes back to what is known."""
        end = (beat - 1 + tag) // 4096 * 4096 + 4096 - tag
        if beat and (tag, end) in self._known:
            name, epoch, known, known_proof = self._known[tag, end]
            if beat > known:
                assert Chain(self.fleet, name, epoch, beat).back(proof, beat, known) == known_proof
                self._known[tag, end] = (name, epoch, beat, proof)
                self.checked["heartbeat"] += 1
