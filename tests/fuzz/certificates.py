"""Certificates, what stands in them, and requests for them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import strategies as st

from meshfleet.fleet.names import NodeName
from meshfleet.wire import identity
from meshfleet.wire.identity import CREDENTIAL, Authority, Fleet, NodeKey, read_credential, read_request

NOW = 1_763_923_200.0
AUTHORITY = Authority.begin(NodeKey.of(b"\x02" * 32), NOW)
KEY = NodeKey.of(b"\x01" * 32)
CERTIFICATE = AUTHORITY.issue(NodeName("n1"), "agent", KEY.public, NOW)
REQUEST = KEY.request(NodeName("n1"))
_ALTERNATIVE = x509.ObjectIdentifier("2.5.29.17")


def read(der: bytes) -> None:
    """A certificate that a peer shows; most are not of the authority."""
    AUTHORITY.fleet.verify(der, NOW)


def fleet_of(der: bytes) -> None:
    """The certificate of an authority that a newcomer is welcomed with."""
    Fleet(der)


def request(der: bytes) -> None:
    """A newcomer's signing request."""
    read_request(der)


def credential(data: bytes) -> None:
    """A credential, as each Alive carries one. Refuses nothing: it says None."""
    read_credential(AUTHORITY.fleet, "n1", data)


_signer = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
_public = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32).public_key()
_subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "n1")])


def signed_over(names: bytes) -> bytes:
    """A certificate of the authority whose subject alternative names are these bytes, DER or not."""
    begins, ends = identity._date(NOW - 1), identity._date(NOW + 1_000)
    builder = x509.CertificateBuilder(_subject, _subject, _public, 1, begins, ends)
    builder = builder.add_extension(x509.UnrecognizedExtension(_ALTERNATIVE, names), critical=False)
    builder = builder.add_extension(x509.UnrecognizedExtension(CREDENTIAL, names), critical=False)
    return builder.sign(_signer, None).public_bytes(Encoding.DER)


_CACHE: dict[bytes, bytes] = {}


def read_named(names: bytes) -> None:
    """A certificate that the authority signed, whatever it names. Making it is no part of the cost."""
    if names not in _CACHE:
        _CACHE.clear()
        _CACHE[names] = signed_over(names)
    AUTHORITY.fleet.verify(_CACHE[names], NOW)


def _uri(text: str) -> bytes:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)])
    return names.public_bytes()


_fleet = AUTHORITY.fleet.fleet_id.hex()
names: st.SearchStrategy[bytes] = st.one_of(
    st.just(f"meshfleet:{_fleet}/agent/n1"),
    st.text(st.characters(max_codepoint=126), max_size=80).map(lambda name: f"meshfleet:{_fleet}/observer/{name}"),
    st.text(st.characters(max_codepoint=126), max_size=80),
).map(_uri)
drawn: st.SearchStrategy[bytes] = st.one_of(st.just(CERTIFICATE.der), names.map(signed_over))
authorities: st.SearchStrategy[bytes] = st.sampled_from((AUTHORITY.fleet.der, CERTIFICATE.der))
requests: st.SearchStrategy[bytes] = st.just(REQUEST)
credentials: st.SearchStrategy[bytes] = st.just(CERTIFICATE.credential)
