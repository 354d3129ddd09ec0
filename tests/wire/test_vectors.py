"""docs/protocol-vectors.json is what the code makes, and holds by docs/protocol.md, read by nothing of ours."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from hashlib import blake2b, sha256
from typing import Any, get_args

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshfleet.gossip.messages import Message, Statement
from meshfleet.wire.entrance import Word
from tests.wire.vectors import FILE, written

TEXT = FILE.read_text(encoding="utf-8")
VECTORS: dict[str, Any] = json.loads(TEXT)


def unhexed(group: dict[str, Any], *fields: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(group[field]) for field in fields)


def derived(key: bytes, purpose: bytes, context: bytes) -> bytes:
    return blake2b(context, digest_size=32, key=key, person=purpose).digest()


FLEET_ID = bytes.fromhex(VECTORS["authority"]["fleet_id"])
AUTHORITY = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["authority"]["public_key"]))
N1 = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["node"]["public_key"]))


def test_the_vectors_are_what_the_code_makes() -> None:
    assert written() == TEXT, "the wire changed: python -m tests.wire.vectors writes the vectors anew"


def test_there_is_a_vector_of_each_message_and_each_statement() -> None:
    assert {vector["kind"] for vector in VECTORS["messages"]} == {kind.__name__ for kind in get_args(Message)}
    assert [vector["kind"] for vector in VECTORS["statements"]] == [kind.__name__ for kind in get_args(Statement)]


@pytest.mark.parametrize("group", ["authority", "node"])
def test_public_keys_are_those_of_the_private_ones(group: str) -> None:
    private, public = unhexed(VECTORS[group], "private_key", "public_key")
    assert Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() == public


def test_a_fleet_is_the_digest_of_its_authoritys_public_key() -> None:
    spki = AUTHORITY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = x509.load_der_x509_certificate(bytes.fromhex(VECTORS["authority"]["certificate"]))
    assert certificate.public_key() == AUTHORITY
    assert sha256(spki).hexdigest() == VECTORS["authority"]["fingerprint"]
    assert sha256(spki).digest()[:16] == FLEET_ID


def test_a_certificate_says_who_and_is_signed_by_the_authority() -> None:
    node = VECTORS["node"]
    certificate = x509.load_der_x509_certificate(bytes.fromhex(node["certificate"]))
    AUTHORITY.verify(certificate.signature, certificate.tbs_certificate_bytes)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"meshfleet:{FLEET_ID.hex()}/agent/n1"]
    assert certificate.public_key() == N1
    assert certificate.not_valid_before_utc.timestamp() == node["not_before"]
    assert certificate.not_valid_after_utc.timestamp() == node["not_after"]
    credential = certificate.extensions.get_extension_for_oid(
        x509.ObjectIdentifier("2.25.238427961629094665702405589230124479674")
    ).value
    assert isinstance(credential, x509.UnrecognizedExtension)
    assert credential.value.hex() == node["credential"]


def test_a_credential_is_the_authoritys_word_for_a_key() -> None:
    credential = bytes.fromhex(VECTORS["node"]["credential"])
    assert credential[:5] == VECTORS["node"]["not_after"].to_bytes(5, "big")
    assert credential[5:37] == N1.public_bytes_raw()
    AUTHORITY.verify(credential[37:], b"meshfleet 1 key\0" + FLEET_ID + credential[:37] + b"n1")


def test_there_is_a_vector_of_each_word_and_its_frame_is_as_long_as_it_says() -> None:
    assert {vector["kind"] for vector in VECTORS["words"]} == {kind.__name__ for kind in get_args(Word)}
    for vector in VECTORS["words"]:
        frame = bytes.fromhex(vector["frame"])
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        word = cbor2.loads(frame[4:])
        if vector["kind"] == "Welcome":
            assert word == [1, bytes.fromhex(VECTORS["authority"]["certificate"])]
        elif vector["kind"] == "Admitted":
            assert word[1].hex() == VECTORS["node"]["certificate"]
            assert word[2].hex() == VECTORS["ring"]["ring"]


def tag_of(name: str, epoch: int) -> int:
    """As the page tells it: FNV-1a of 64 bits, folded to 40."""
    value = 0xCBF29CE484222325
    for byte in name.encode() + b"\0" + str(epoch).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return (value >> 40) ^ value % 2**40


def test_a_tag_stands_for_a_name_and_an_epoch() -> None:
    vector = VECTORS["beat_tag"]
    assert tag_of(vector["name"], vector["epoch"]) == vector["tag"]


def test_each_proof_is_the_hash_of_the_next() -> None:
    vector = VECTORS["proofs"]
    name, epoch, end = vector["name"], vector["epoch"], vector["end"]
    tag = tag_of(name, epoch)
    assert end == (1 - 1 + tag) // 4096 * 4096 + 4096 - tag
    life = epoch.to_bytes(8, "big") + end.to_bytes(8, "big")
    salt = blake2b(FLEET_ID + life + name.encode(), digest_size=16, person=b"mf1 beat life").digest()
    proof = bytes.fromhex(vector["proofs"][str(end)])
    found = {str(end): proof.hex()}
    for beat in range(end, 0, -1):
        place = (end - beat).to_bytes(2, "big")
        proof = blake2b(proof + place, digest_size=8, person=b"mf1 beat", salt=salt).digest()
        if str(beat - 1) in vector["proofs"]:
            found[str(beat - 1)] = proof.hex()
    assert found == vector["proofs"]


def test_keys_of_each_use_are_derived() -> None:
    key, salt = unhexed(VECTORS["keys"], "ring_key", "salt")
    assert blake2b(b"", digest_size=2, key=key, person=b"mf1 key id").hexdigest() == VECTORS["keys"]["key_id"]
    assert derived(key, b"mf1 datagram", FLEET_ID + salt).hex() == VECTORS["keys"]["datagram_key"]
    assert derived(key, b"mf1 session", FLEET_ID).hex() == VECTORS["keys"]["session_key"]


@pytest.mark.parametrize("vector", VECTORS["seals"], ids=lambda vector: vector["counter"])
def test_a_datagram_opens(vector: dict[str, Any]) -> None:
    key, key_id = unhexed(VECTORS["keys"], "datagram_key", "key_id")
    salt, packet, datagram = unhexed(vector, "salt", "packet", "datagram")
    counter = vector["counter"].to_bytes(5, "big")
    assert datagram[:20] == b"\x01" + key_id + salt + counter
    assert ChaCha20Poly1305(key).decrypt(bytes(7) + counter, datagram[20:], FLEET_ID + datagram[:20]) == packet


@pytest.mark.parametrize("vector", VECTORS["statements"], ids=lambda vector: vector["kind"])
def test_a_statement_is_signed_by_its_origin(vector: dict[str, Any]) -> None:
    over, signature = unhexed(vector, "signed_bytes", "signature")
    N1.verify(signature, over)
    head = b"meshfleet 1 " + vector["kind"].lower().encode() + b"\0" + FLEET_ID
    assert over.startswith(head)
    fields = cbor2.loads(over[len(head) :])
    assert isinstance(fields, list)
    assert cbor2.dumps(fields, canonical=True) == over[len(head) :], "the shortest form"


@pytest.mark.parametrize("vector", VECTORS["accounts"], ids=lambda v: v["kind"])
def test_an_account_is_signed_by_the_key_that_its_credential_names(vector: dict[str, Any]) -> None:
    signed, statement = unhexed(vector, "signed_bytes", "statement")
    fields = cbor2.loads(statement)
    assert signed == b"meshfleet 1 account\0" + FLEET_ID + cbor2.dumps(fields[:7])
    AUTHORITY.verify(fields[7][37:], b"meshfleet 1 key\0" + FLEET_ID + fields[7][:37] + fields[2].encode())
    Ed25519PublicKey.from_public_bytes(fields[7][5:37]).verify(fields[8], signed)
    assert cbor2.loads(bytes.fromhex(vector["body"])) == [1, [statement]]
    if vector["kind"] == "account":
        (over,) = unhexed(vector, "day_signed_bytes")
        *day, signature = fields[9]
        assert day == [20251123, 500_000, 604_120, 9_034]
        assert over == b"meshfleet 1 day\0" + FLEET_ID + cbor2.dumps([*fields[:7], *day])
        Ed25519PublicKey.from_public_bytes(fields[7][5:37]).verify(signature, over)


def test_a_revocation_and_a_ring_are_signed_by_the_authority() -> None:
    for what in ("revoked", "ring"):
        over, signature = unhexed(VECTORS[what], "signed_bytes", "signature")
        AUTHORITY.verify(signature, over)
        assert over.startswith(b"meshfleet 1 " + what.encode() + b"\0" + FLEET_ID)
    version, current, keys, signature = cbor2.loads(bytes.fromhex(VECTORS["ring"]["ring"]))
    head = b"meshfleet 1 ring\0" + FLEET_ID
    assert head + cbor2.dumps([version, current, keys]) == bytes.fromhex(VECTORS["ring"]["signed_bytes"])
    assert signature.hex() == VECTORS["ring"]["signature"]


def test_a_session_token_is_of_the_fleet() -> None:
    vector = VECTORS["session_token"]
    token = vector["token"].removeprefix("mfs_")
    data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    key = bytes.fromhex(VECTORS["keys"]["session_key"])
    assert blake2b(data[:-32], digest_size=32, key=key, person=b"mf1 session mac").digest() == data[-32:]
    moments = b"".join(vector[field].to_bytes(4, "big") for field in ("issued", "expires", "renewable_until"))
    key_id, random_id = bytes.fromhex(VECTORS["keys"]["key_id"]), bytes.fromhex(vector["random_id"])
    assert data[:-32] == b"\x01" + key_id + b"\x01" + moments + random_id + bytes.fromhex(vector["holder"]) + b"grafana"


def test_an_api_key_proves_itself_without_being_shown() -> None:
    vector = VECTORS["api_key"]
    _, scope, key_id, secret = vector["key"].split("_")
    seed = blake2b(f"{scope} {key_id}".encode(), digest_size=32, key=bytes.fromhex(secret), person=b"mf1 api key")
    pair = Ed25519PrivateKey.from_private_bytes(seed.digest())
    said = f"meshfleet session proof 1\n{key_id}\n{vector['nonce']}\n{vector['host'].lower()}\n{vector['seconds']}"
    assert said.encode().hex() == vector["signed_bytes"]
    assert pair.public_key().public_bytes_raw().hex() == vector["verifier"]
    assert pair.sign(said.encode()).hex() == vector["proof"]


def test_an_invitation_is_read_and_found_whole() -> None:
    vector = VECTORS["invitation"]
    line = vector["line"].removeprefix("mfi1_")
    checked = urlsafe_b64decode(line + "=" * (-len(line) % 4))
    assert sha256(checked[:-4]).digest()[:4] == checked[-4:]
    fingerprint, node, addresses, invite, secret, expires = cbor2.loads(checked[:-4])
    assert (fingerprint.hex(), node, addresses) == (vector["fingerprint"], vector["node"], vector["addresses"])
    assert (invite.hex(), secret.hex(), expires) == (vector["invite"], vector["secret"], vector["expires"])
