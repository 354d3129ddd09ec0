"""Who somebody is: a fleet's certificate authority, a node's key, and the certificate that binds key, name and role.

All keys are Ed25519. A certificate is X.509, signed by the fleet's authority and by nobody between. What it says stands
in one URI of its subject alternative names, `meshfleet:FLEET/ROLE/NAME`; the common name is there for people.

Nothing here reads a clock: `now` is passed in, Unix time in seconds. TLS libraries judge expiry by the clock of the
machine they run on, which virtual time does not have, so they are told not to, and `Fleet.verify` does.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from meshfleet.errors import ConfigError, Untrusted
from meshfleet.fleet.names import NodeName, node_name

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PUBLIC_BYTES: Final = 32
FLEET_ID_BYTES: Final = 16
AGENT: Final = "agent"
OBSERVER: Final = "observer"
ROLES: Final = (AGENT, OBSERVER)

LIFETIME: Final = 30 * 86_400.0
"""Seconds for which a certificate is good. Renewed from a third on, so the authority may be away for twenty days."""

BACKDATED: Final = 86_400.0
"""Seconds by which a certificate begins before it was made: no node whose clock is late must wait for it."""

FOREVER: Final = 253_402_300_799.0
"""The last second of the year 9999: RFC 5280's word for a certificate without an end."""

CERTIFICATE_LIMIT: Final = 4_096
"""Bytes of a certificate that is looked at. Ours have some 500."""

CREDENTIAL: Final = x509.ObjectIdentifier("2.25.238427961629094665702405589230124479674")
"""The extension of a certificate that holds the credential. Of the arc of UUIDs: random, and given out by nobody."""

_KEY_PURPOSES: Final = {AGENT: b"key", OBSERVER: b"observer"}
_ENDS_BYTES: Final = 5
_SAID_BYTES: Final = _ENDS_BYTES + 32

_SCHEME: Final = "meshfleet:"
_BAD = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.ExtensionNotFound, x509.UnsupportedGeneralNameType, x509.AttributeNotFound, Warning,
)  # fmt: skip
"""What reading garbage as a certificate may raise. A warning, of a serial number below one for instance, where Python
was told to take warnings for errors."""


class NodeKey:
    """A private key, with which a node shows that it is who its certificate says, and signs what it says."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: bytes = key.public_key().public_bytes_raw()
        """32 bytes."""

    @classmethod
    def new(cls) -> NodeKey:
        """A new one, at random."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, seed: bytes) -> NodeKey:
        """The key of 32 secret bytes: the same bytes, the same key. For simulations and for keys that are kept."""
        if len(seed) != SEED_BYTES:
            raise ConfigError(f"a key is made of {SEED_BYTES} bytes; here are {len(seed)}.")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def read(cls, pem: bytes) -> NodeKey:
        """The key of a PEM file. ConfigError where it is none."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except _BAD as error:
            raise ConfigError("not a private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError("not an Ed25519 key")
        return cls(key)

    def pem(self, password: bytes | None = None) -> bytes:
        """PKCS #8, encrypted where there is a password."""
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    def sign(self, data: bytes) -> bytes:
        """64 bytes. Callers begin `data` with what it is, so that no signature can be taken for one of another kind."""
        return self._key.sign(data)

    def secret(self, purpose: bytes, data: bytes, length: int) -> bytes:
        """So many bytes that this key's holder alone can make of `data`, and always the same. BLAKE2b, keyed with the
        private key: it says nothing of the key, nor of what is made for another purpose (at most 16 bytes)."""
        return blake2b(data, digest_size=length, key=self._key.private_bytes_raw(), person=purpose).digest()

    def request(self, name: NodeName) -> bytes:
        """A signing request (PKCS #10, DER): proof that whoever asks for a certificate has the key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._key, None)
        return request.public_bytes(serialization.Encoding.DER)

    def __repr__(self) -> str:
        return f"NodeKey({self.public.hex()[:8]})"


class Certificate(msgspec.Struct, frozen=True):
    """A certificate of this fleet, read and found to be signed by its authority."""

    der: bytes
    name: NodeName
    role: str
    public: bytes
    """The node's public key, 32 bytes: what its signatures are checked with."""
    serial: int
    not_before: float
    not_after: float
    credential: bytes
    """What of all this others need to check the node's signatures, signed by the authority: 101 bytes."""

    def is_good(self, now: float) -> bool:
        """Whether it has begun and has not ended."""
        return self.not_before <= now < self.not_after

    def is_due(self, now: float) -> bool:
        """Whether a new one is wanted: after a third of its time, or where it was made by a clock that was ahead."""
        return not self.not_before <= now < self.not_before + (self.not_after - self.not_before) / 3

    def checks(self, signature: bytes, data: bytes) -> bool:
        """Whether this node signed `data`."""
        return is_signed(self.public, signature, data)


class Fleet:
    """A fleet as everybody may know it: its authority's certificate, and what can be checked with that."""

    def __init__(self, der: bytes) -> None:
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
        except _BAD as error:
            raise Untrusted("not a certificate of an authority") from error
        if len(der) > CERTIFICATE_LIMIT or not isinstance(key, Ed25519PublicKey):
            raise Untrusted("not a certificate of an authority of ours: its key is not Ed25519")
        self.der = der
        self.public = key.public_bytes_raw()
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.fingerprint = sha256(spki).digest()
        """SHA-256 of the authority's public key (SubjectPublicKeyInfo, DER): 32 bytes."""
        self.fleet_id = self.fingerprint[:FLEET_ID_BYTES]

    @classmethod
    def read(cls, pem: bytes) -> Fleet:
        """From a PEM file. ConfigError where it is none."""
        try:
            return cls(x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER))
        except (*_BAD, Untrusted) as error:
            raise ConfigError("not the certificate of an authority in PEM") from error

    def pem(self) -> bytes:
        """The authority's certificate, as a file."""
        return pem_of(self.der)

    def verify(self, der: bytes, now: float) -> Certificate:
        """The certificate that `der` is; Untrusted where it is not of this fleet, or not good at `now`."""
        certificate = self.read_certificate(der)
        if not certificate.not_before <= now:
            raise Untrusted(
                f"the certificate of {certificate.name} is not good before {_day(certificate.not_before)}; by the "
                f"clock here, which may be wrong, it is {_day(now)}"
            )
        if not now < certificate.not_after:
            raise Untrusted(
                f"the certificate of {certificate.name} expired on {_day(certificate.not_after)}; by the clock here it "
                f"is {_day(now)}"
            )
        return certificate

    def read_certificate(self, der: bytes) -> Certificate:
        """The same, whether expired or not. The signature is checked before anything in it is believed."""
        if len(der) > CERTIFICATE_LIMIT:
            raise Untrusted(f"a certificate of {len(der)} bytes; ours have at most {CERTIFICATE_LIMIT}")
        try:
            certificate = x509.load_der_x509_certificate(der)
            signed = certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519 and is_signed(
                self.public, certificate.signature, certificate.tbs_certificate_bytes
            )
            if not signed:
                raise Untrusted("its certificate is not of this fleet")
            return self._read(certificate, der)
        except _BAD as error:
            raise Untrusted("its certificate can't be read") from error
        except ConfigError as error:
            raise Untrusted(f"its certificate names nobody: {error}") from error

    def _read(self, certificate: x509.Certificate, der: bytes) -> Certificate:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        fleet, _, rest = (uris[0] if len(uris) == 1 else "").removeprefix(_SCHEME).partition("/")
        role, _, name = rest.partition("/")
        key = certificate.public_key()
        if fleet != self.fleet_id.hex() or role not in ROLES or not isinstance(key, Ed25519PublicKey):
            raise Untrusted("its certificate is not one of a node")
        return Certificate(
            der,
            node_name(name),
            role,
            key.public_bytes_raw(),
            certificate.serial_number,
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
            _credential_in(certificate),
        )

    def checks(self, purpose: bytes, signature: bytes, data: bytes) -> bool:
        """Whether the authority signed `data` for that purpose."""
        return is_signed(self.public, signature, stated(purpose, self.fleet_id, data))

    def __repr__(self) -> str:
        return f"Fleet({self.fleet_id.hex()})"


class Authority:
    """A fleet's certificate authority: its private key, and the certificate that goes with it."""

    def __init__(self, key: NodeKey, fleet: Fleet) -> None:
        if key.public != fleet.public:
            raise ConfigError("the authority's key and certificate are not of the same fleet")
        self.key = key
        self.fleet = fleet

    @classmethod
    def begin(cls, key: NodeKey, now: float) -> Authority:
        """A new fleet, whose authority has `key`."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meshfleet authority")])
        public = Ed25519PublicKey.from_public_bytes(key.public)
        builder = (
            x509.CertificateBuilder(subject, subject, public, _serial(), _date(now - BACKDATED), _date(FOREVER))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        return cls(key, Fleet(builder.sign(key._key, None).public_bytes(serialization.Encoding.DER)))

    def issue(self, name: NodeName, role: str, public: bytes, now: float, lifetime: float = LIFETIME) -> Certificate:
        """A certificate for the node that has the private key of `public`."""
        if role not in ROLES:
            raise ConfigError(f"{role!r} is not a role. There are: {', '.join(ROLES)}.")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_name(name))])
        issuer = x509.load_der_x509_certificate(self.fleet.der).subject
        uri = x509.UniformResourceIdentifier(f"{_SCHEME}{self.fleet.fleet_id.hex()}/{role}/{name}")
        both_ways = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        key, mine = Ed25519PublicKey.from_public_bytes(public), Ed25519PublicKey.from_public_bytes(self.fleet.public)
        begins, ends = _date(max(0.0, now - BACKDATED)), _date(min(FOREVER, now + lifetime))
        credential = _credential(self.key, self.fleet, name, role, ends, public)
        builder = (
            x509.CertificateBuilder(issuer, subject, key, _serial(), begins, ends)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(x509.UnrecognizedExtension(CREDENTIAL, credential), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(mine), critical=False)
        )
        der = builder.sign(self.key._key, None).public_bytes(serialization.Encoding.DER)
        return self.fleet.read_certificate(der)

    def sign(self, purpose: bytes, data: bytes) -> bytes:
        """The owner's word: 64 bytes that everybody in the fleet can check, and nobody else make."""
        return self.key.sign(stated(purpose, self.fleet.fleet_id, data))


class Requested(msgspec.Struct, frozen=True):
    """Who asks for a certificate, as far as the asking proves it."""

    name: NodeName
    public: bytes


def read_request(der: bytes) -> Requested:
    """What a signing request asks for, its signature checked; Untrusted where it makes no sense."""
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(der) > CERTIFICATE_LIMIT or not isinstance(key, Ed25519PublicKey) or len(names) != 1:
            raise Untrusted("a signing request that is not one of ours")
        if not is_signed(key.public_bytes_raw(), request.signature, request.tbs_certrequest_bytes):
            raise Untrusted("a signing request for a key that the asker does not have")
        return Requested(node_name(str(names[0].value)), key.public_bytes_raw())
    except _BAD as error:
        raise Untrusted("a signing request that can't be read") from error
    except ConfigError as error:
        raise Untrusted(str(error)) from error


def is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is one of `data` by the key that `public` belongs to. Never raises, whatever it is given.

    By libsodium, which takes 53 us for what takes OpenSSL 108: each node looks at each snapshot of its fleet, and that
    is most of what trust costs.
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != PUBLIC_BYTES:
        # libsodium is given signature and data as one: nothing of the one may count as the other. Of the key it reads
        # 32 bytes, whether there are as many or not.
        return False
    try:
        crypto_sign_open(signature + data, public)
    except (CryptoError, ValueError):
        return False
    return True


def pem_of(der: bytes) -> bytes:
    """A certificate as a file."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def der_of(pem: bytes) -> bytes:
    """The certificate of a PEM file. ConfigError where it is none."""
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    except _BAD as error:
        raise ConfigError("not a certificate in PEM") from error


def _credential(authority: NodeKey, fleet: Fleet, name: str, role: str, not_after: datetime, public: bytes) -> bytes:
    """The authority's word for a node's key, in as few bytes as can be."""
    said = int(not_after.timestamp()).to_bytes(_ENDS_BYTES, "big") + public
    return said + authority.sign(stated(_KEY_PURPOSES[role], fleet.fleet_id, said + name.encode()))


def read_credential(fleet: Fleet, name: str, credential: bytes, role: str = AGENT) -> tuple[bytes, float] | None:
    """The public key of the node called `name`, and until when (Unix time) it is that; None where the authority did
    not say so of a node with that role. Never raises."""
    said, signature = credential[:_SAID_BYTES], credential[_SAID_BYTES:]
    if not fleet.checks(_KEY_PURPOSES[role], signature, said + name.encode()):
        return None
    return said[_ENDS_BYTES:], float(int.from_bytes(said[:_ENDS_BYTES], "big"))


def stated(purpose: bytes, fleet_id: bytes, data: bytes) -> bytes:
    """What is signed besides certificates: it begins unlike any ASN.1, and ends a purpose where its data begins."""
    return b"meshfleet 1 " + purpose + b"\0" + fleet_id + data


def _credential_in(certificate: x509.Certificate) -> bytes:
    extension = certificate.extensions.get_extension_for_oid(CREDENTIAL).value
    return extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""


def _serial() -> int:
    """126 random bits between two fixed ones, so that all take the same bytes: lengths must not vary by chance."""
    return int.from_bytes(os.urandom(16), "big") & (1 << 126) - 1 | 1 << 126


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
