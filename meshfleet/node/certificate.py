"""TLS for HTTP: the operator's certificate, or one of the node's own, kept in its state dir.

    http.crt   the certificate that is served, PEM; to be copied to who reads from elsewhere
    http.key   private key of the own one, PEM, 0600

The own one is self-signed, for the names under which the node is asked, and made anew when these change or it ends
soon. It is ECDSA on P-256 and not Ed25519 as the rest: browsers take no Ed25519 certificates. For the same reason the
fleet's authority does not sign it; and who trusts one node's page need not trust all of its fleet.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshfleet.errors import ConfigError
from meshfleet.logs import get_logger
from meshfleet.node.settings import CERTIFICATE, OWN
from meshfleet.node.store import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "http.key"

VALID = timedelta(days=365)
"""How long an own certificate is good. Apple's clients take none above 825 days."""

RENEW = timedelta(days=60)
"""An own certificate that ends sooner is made anew when the node starts."""

_log = get_logger(__name__)


def for_http(setting: str, state_dir: Path, names: Sequence[str], now: datetime) -> ssl.SSLContext:
    """What `--tls` asks for: `own`, with a certificate for `names`, or `CERT,KEY`. ConfigError where that can't be
    used.

    TLS 1.3 alone: what reads a fleet is not older than that, and there is nothing to choose wrongly in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    certificate, key = own(state_dir, names, now) if setting == OWN else _given(setting)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        if setting != OWN:
            _show(certificate, state_dir)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"--tls {setting}: can't be used: {why}. Give a certificate and its private key as PEM files, the key "
            "without a password: --tls CERT,KEY; or --tls own."
        ) from error
    return context


def own(state_dir: Path, names: Sequence[str], now: datetime) -> tuple[Path, Path]:
    """Files of the node's own certificate and its key, made where they are missing, too old, or for other names."""
    certificate, key = state_dir / CERTIFICATE, state_dir / KEY
    if not (key.exists() and _is_good(certificate, names, now)):
        replace_file(key, b"")  # so that a crash in between leaves no pair that doesn't match
        private = ec.generate_private_key(ec.SECP256R1())
        replace_file(certificate, _signed(private, names, now).public_bytes(Encoding.PEM))
        replace_file(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _log.info("made a certificate for HTTP", path=str(certificate), names=", ".join(names))
    return certificate, key


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate as browsers show it."""
    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def _show(certificate: Path, state_dir: Path) -> None:
    """Leave the operator's certificate where commands and agents of this machine look for it, without its issuers: who
    trusts this node's need not trust all that these issued. An own one that was there before goes, with its key."""
    leaf, *_ = x509.load_pem_x509_certificates(certificate.read_bytes())
    (state_dir / KEY).unlink(missing_ok=True)
    replace_file(state_dir / CERTIFICATE, leaf.public_bytes(Encoding.PEM))


def _given(setting: str) -> tuple[Path, Path]:
    certificate, comma, key = setting.partition(",")
    if not comma or not certificate or not key:
        raise ConfigError(f"--tls {setting!r} is neither `own` nor two files: --tls CERT,KEY.")
    return Path(certificate).expanduser(), Path(key).expanduser()


def _is_good(path: Path, names: Sequence[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key_there = path.with_name(KEY).stat().st_size > 0
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return key_there and begins <= now < ends - RENEW and list(alternatives) == _alternatives(names)


def _signed(private: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meshfleet")])
    public = private.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # for readers whose clocks are behind
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        # No authority: whoever trusts it trusts this node, and no further certificate that its key could sign.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(private, hashes.SHA256())


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    return alternatives


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal, and the node would stand."""
    return ""
