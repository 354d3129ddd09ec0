"""TLS contexts of one node: version 1.3 alone, its own certificate, and its fleet's authority for the only one.

One listener speaks two protocols, told apart by ALPN: the mesh, for which both sides show a certificate, and the
entrance, where a newcomer has none yet. That certificates are within their time is not OpenSSL's to say, for it reads
the machine's clock, which virtual time does not have: `Trust.admit` judges it by the node's own clock, and checks the
rest once more. Session tickets are off, so that no ticket outlives a revocation.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshfleet.errors import StateDirError
from meshfleet.wire.identity import pem_of

if TYPE_CHECKING:
    from meshfleet.wire.identity import Certificate, Fleet, NodeKey

MESH: Final = "meshfleet-mesh/1"
ABOVE: Final = "meshfleet-above/1"
"""The mesh of the delegates, where a fleet is on two levels."""
ENTRANCE: Final = "meshfleet-join/1"

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), for which Python has no name."""


def accepting(fleet: Fleet, key: NodeKey, certificate: Certificate, mesh: str = MESH) -> ssl.SSLContext:
    """For whoever is dialled. A caller's certificate is checked if there is one; whether there must be depends on what
    it wants, and is looked at afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols([mesh, ENTRANCE])
    return _of(context, fleet, key, certificate)


def dialling(fleet: Fleet, key: NodeKey, certificate: Certificate, protocol: str) -> ssl.SSLContext:
    """For whoever dials a member of its own fleet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # members are known by their certificates' names, not by where they are
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([protocol])
    return _of(context, fleet, key, certificate)


def newcomers() -> ssl.SSLContext:
    """For whoever has no certificate yet and knows an authority's fingerprint alone. TLS proves that the other side has
    the key of the certificate that it shows; whose that is, the newcomer checks before it says anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ENTRANCE])
    return context


def _of(context: ssl.SSLContext, fleet: Fleet, key: NodeKey, certificate: Certificate) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=fleet.der)
    _load(context, key, certificate)
    return context


def _load(context: ssl.SSLContext, key: NodeKey, certificate: Certificate) -> None:
    """Python's ssl takes a key from files alone. This one is there for milliseconds, for this user, and encrypted with
    a password that only this function ever has."""
    password = os.urandom(16).hex()
    try:
        with tempfile.TemporaryDirectory(prefix="mf-") as folder:
            file = Path(folder) / "key.pem"
            file.write_bytes(key.pem(password.encode()) + pem_of(certificate.der))
            context.load_cert_chain(file, password=password)
    except OSError as error:
        raise StateDirError(f"the folder for temporary files can't be used: {error.strerror or error}.") from error
