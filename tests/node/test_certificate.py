"""The certificate for HTTPS: made once, for the node's names, and anew in time."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from meshfleet.errors import ConfigError
from meshfleet.node.certificate import KEY, RENEW, VALID, fingerprint, for_http, own
from meshfleet.node.settings import CERTIFICATE

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1", "::1", "box.example.org")
NOW = datetime.now(UTC).replace(microsecond=0)


def test_it_is_made_for_all_names_and_its_key_is_closed_to_others(tmp_path: Path) -> None:
    certificate, key = own(tmp_path, NAMES, NOW)
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    told = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in told} == set(NAMES)
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert found.not_valid_after_utc == NOW + VALID
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_it_stays_until_it_ends_soon_or_the_names_change(tmp_path: Path) -> None:
    own(tmp_path, NAMES, NOW)
    first = fingerprint(tmp_path / CERTIFICATE)
    own(tmp_path, NAMES, NOW + VALID - RENEW - timedelta(seconds=1))
    assert fingerprint(tmp_path / CERTIFICATE) == first
    own(tmp_path, NAMES, NOW + VALID - RENEW)
    second = fingerprint(tmp_path / CERTIFICATE)
    own(tmp_path, (*NAMES, "another.example.org"), NOW + VALID - RENEW)
    assert len({first, second, fingerprint(tmp_path / CERTIFICATE)}) == 3


@pytest.mark.parametrize(("lost", "left"), [(CERTIFICATE, None), (KEY, None), (CERTIFICATE, b"x"), (KEY, b"")])
def test_half_a_pair_is_replaced_by_a_whole_one(tmp_path: Path, lost: str, left: bytes | None) -> None:
    own(tmp_path, NAMES, NOW)
    (tmp_path / lost).unlink() if left is None else (tmp_path / lost).write_bytes(left)
    assert for_http("own", tmp_path, NAMES, NOW).minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_operators_own_files_are_taken(tmp_path: Path) -> None:
    certificate, key = own(tmp_path, NAMES, NOW)
    (tmp_path / "node").mkdir()
    assert for_http(f"{certificate},{key}", tmp_path / "node", NAMES, NOW) is not None
    assert (tmp_path / "node" / CERTIFICATE).read_bytes() == certificate.read_bytes()
    assert not (tmp_path / "node" / KEY).exists()
    for_http("own", tmp_path / "node", NAMES, NOW)
    assert fingerprint(tmp_path / "node" / CERTIFICATE) != fingerprint(certificate)


@pytest.mark.parametrize("setting", ["", "mine", "a,", ",b", "{0}/none.crt,{0}/none.key", "{0}/http.key,{0}/http.crt"])
def test_what_can_not_be_used_is_told_with_both_ways(tmp_path: Path, setting: str) -> None:
    own(tmp_path, NAMES, NOW)
    with pytest.raises(ConfigError, match=r"--tls CERT,KEY"):
        for_http(setting.format(tmp_path), tmp_path, NAMES, NOW)
