"""API keys: long-lived secrets that are exchanged for session tokens, better without crossing the wire.

    mf_read_3f9a12cd0b7e4410_0123…cdef     scope, id (16 hex digits), secret (64 hex digits: 256 random bits)

What a node keeps of a key is its *verifier*: the secret, hashed (keyed BLAKE2b), is the seed of an Ed25519 key pair
(RFC 8032), and the verifier is the public half. Two one-way steps lie between it and the secret. A slow hash (scrypt)
is for secrets that people make up; nobody guesses 256 random bits, however fast each guess is.

Why not just the hash? With a hash as the shared secret of a proof, whoever reads the hash can make the proof: the file
would be as good as the keys. A public key is not: the file can be copied to other nodes, and one day be gossiped, in
the open.

The proof is a signature over the challenge, the key's id, the length asked for, and the name under which the reader
knows the node. So it is good once, at one node, for one session.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from meshfleet.errors import ConfigError
from meshfleet.fleet.access import Scope

SECRET_BYTES = 32
ID_BYTES = 8
VERIFIER_BYTES = 32
PROOF_BYTES = 64

PART_LIMIT = 300
"""Characters of each part of what is signed that are looked at. The longest is the host, of which DNS allows 253."""

_KEY = re.compile(rf"mf_({'|'.join(Scope)})_([0-9a-f]{{{2 * ID_BYTES}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")


class ApiKey(msgspec.Struct, frozen=True, eq=False):
    """A key as its holder has it."""

    scope: Scope
    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"ApiKey({self.scope}, {self.key_id})"

    def text(self) -> str:
        """The key as it is kept and pasted. For its holder alone."""
        return f"mf_{self.scope}_{self.key_id}_{self.secret.hex()}"

    def verifier(self) -> bytes:
        """What a node keeps of it."""
        return self._pair().public_key().public_bytes_raw()

    def prove(self, nonce: str, host: str, seconds: int) -> bytes:
        """That whoever asks `host` for a session of that length holds this key; for one challenge."""
        return self._pair().sign(_said(self.key_id, nonce, host, seconds))

    def _pair(self) -> Ed25519PrivateKey:
        # Scope and id are part of the seed: a key whose words were altered is another key.
        words = f"{self.scope} {self.key_id}".encode()
        seed = blake2b(words, digest_size=32, key=self.secret, person=b"mf1 api key").digest()
        return Ed25519PrivateKey.from_private_bytes(seed)


def make(scope: Scope, random_bytes: bytes) -> ApiKey:
    """A new key from 40 random bytes."""
    assert len(random_bytes) == ID_BYTES + SECRET_BYTES
    return ApiKey(scope, random_bytes[:ID_BYTES].hex(), random_bytes[ID_BYTES:])


def parse(text: str) -> ApiKey | None:
    """`text` as a key; None where it is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else ApiKey(Scope(found[1]), found[2], bytes.fromhex(found[3]))


def read(text: str, where: str) -> ApiKey:
    """The same for what an operator gave in `where`. ConfigError says what a key looks like, and never shows `text`."""
    key = parse(text.strip())
    if key is None:
        raise ConfigError(
            f"{where} has no API key. One looks like mf_read_3f9a12cd0b7e4410_… and is printed once, by "
            "`meshfleet keys api create`."
        )
    return key


def proves(verifier: bytes, proof: bytes, key_id: str, nonce: str, host: str, seconds: int) -> bool:
    """Whether `proof` was made with the key of that verifier, for exactly this."""
    if max(len(key_id), len(nonce), len(host)) > PART_LIMIT:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(verifier).verify(proof, _said(key_id, nonce, host, seconds))
    except (InvalidSignature, ValueError):
        return False
    return True


def _said(key_id: str, nonce: str, host: str, seconds: int) -> bytes:
    """What is signed: five lines. ValueError where a part could pass for two of them."""
    parts = ("meshfleet session proof 1", key_id, nonce, host.lower(), str(seconds))
    if not all(part.isascii() and part.isprintable() for part in parts):
        raise ValueError("a part of a proof is not plain text")
    return "\n".join(parts).encode()
