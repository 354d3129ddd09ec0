"""Test vectors for other implementations, from fixed keys and times: `python -m tests.wire.vectors` writes them.

They are docs/protocol-vectors.json; a test recomputes each. Bytes are in hexadecimal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import msgspec

from meshfleet.fleet.access import Grant, Scope
from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import AgentState, RateLimit, Snapshot, Status
from meshfleet.fleet.usage import Account, Daily, Usage
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beat,
    Beats,
    Delta,
    Digest,
    Goodbye,
    Got,
    Have,
    Left,
    Nack,
    NodeInfo,
    Obituary,
    Packet,
    PathProbe,
    PathReport,
    PathTest,
    Ping,
    PingReq,
    Relay,
    RollAnswer,
    RollCall,
    Row,
    SnapshotMessage,
    Sum,
    Suspect,
    Sync,
    Trouble,
    Want,
)
from meshfleet.gossip.tags import beat_tag, chain_end
from meshfleet.node.invites import Invite
from meshfleet.wire import accounts, apikeys, cbor, entrance, identity, revocation, ring, tokens
from meshfleet.wire.codec import encode_packet, encode_state
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.notary import Notary, signed_bytes
from meshfleet.wire.seal import Sealer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshfleet.gossip.messages import Message, Statement

FILE = Path(__file__).parents[2] / "docs" / "protocol-vectors.json"

NOW = 1_763_923_200.0
EPOCH = Epoch(1_763_923_200_123)
AUTHORITY_SEED, NODE_SEED, RING_KEY, SALT = b"\x02" * 32, b"\x01" * 32, bytes(range(32)), bytes(range(0xA0, 0xAC))
SERIALS = (1 << 126 | 1, 1 << 126 | 2)

Vector = dict[str, object]


def all_of_them() -> dict[str, object]:
    """The whole file."""
    with patch.object(identity, "_serial", side_effect=SERIALS):
        authority = identity.Authority.begin(identity.NodeKey.of(AUTHORITY_SEED), NOW)
        key = identity.NodeKey.of(NODE_SEED)
        certificate = authority.issue(NodeName("n1"), "agent", key.public, NOW)
    notary = Notary(authority.fleet, key, certificate, lambda: NOW)
    keyring = Keyring(RING_KEY, authority.fleet.fleet_id)
    statements = list(_statements(notary))
    return {
        "authority": _authority(authority),
        "node": _node(key, certificate),
        "keys": _keys(keyring),
        "seals": list(_seals(keyring)),
        "statements": [_signed(authority.fleet, statement) for statement in statements],
        "revoked": _revoked(authority),
        "ring": _ring(authority),
        "messages": [_message(message) for message in _messages(statements, authority)],
        "words": [
            {"kind": type(word).__name__, "frame": _framed(entrance.dump(word))}
            for word in _words(authority, certificate, key)
        ],
        "beat_tag": {"name": "n1", "epoch": EPOCH, "tag": beat_tag("n1", EPOCH)},
        "proofs": _proofs(notary),
        "state": _state(),
        "accounts": list(_accounts(authority.fleet, key, certificate)),
        "session_token": _token(keyring),
        "api_key": _api_key(),
        "invitation": _invitation(authority),
    }


def _authority(authority: identity.Authority) -> Vector:
    return {
        "private_key": AUTHORITY_SEED.hex(),
        "public_key": authority.fleet.public.hex(),
        "certificate": authority.fleet.der.hex(),
        "fingerprint": authority.fleet.fingerprint.hex(),
        "fleet_id": authority.fleet.fleet_id.hex(),
    }


def _node(key: identity.NodeKey, certificate: identity.Certificate) -> Vector:
    return {
        "private_key": NODE_SEED.hex(),
        "public_key": key.public.hex(),
        "name": certificate.name,
        "role": certificate.role,
        "not_before": int(certificate.not_before),
        "not_after": int(certificate.not_after),
        "certificate": certificate.der.hex(),
        "credential": certificate.credential.hex(),
        "request": key.request(certificate.name).hex(),
    }


def _keys(keyring: Keyring) -> Vector:
    key = keyring.current
    return {
        "ring_key": RING_KEY.hex(),
        "key_id": key.key_id.hex(),
        "fleet_id": keyring.fleet_id.hex(),
        "salt": SALT.hex(),
        "datagram_key": key.derive(b"mf1 datagram", keyring.fleet_id + SALT).hex(),
        "session_key": key.derive(b"mf1 session", keyring.fleet_id).hex(),
    }


def _seals(keyring: Keyring) -> Iterator[Vector]:
    for counter in (0, 1, 2**40 - 1):
        sealer = Sealer(keyring, lambda count: SALT[:count])
        sealer._counter = counter
        packet = encode_packet(Packet("n1", EPOCH, 88, 0.3, EPOCH + 5, (Ping(7, "n2"),)))
        yield {"salt": SALT.hex(), "counter": counter, "packet": packet.hex(), "datagram": sealer.seal(packet).hex()}


INFO = NodeInfo("box", "::1", 7878, None, "agent", None, "9.9", None, 1, False, ("n2", "n3"))


def _statements(notary: Notary) -> Iterator[Statement]:
    body = encode_state(STATE)
    yield notary.sign(Alive("n1", EPOCH, 0, INFO))
    yield notary.sign(Suspect("n2", EPOCH, 3, "n1"))
    yield notary.sign(Left("n1", EPOCH, "n1"))
    yield notary.sign(Obituary("n2", EPOCH, 3, "n1", "its process ended"))
    yield notary.sign(Row("n1", EPOCH, 4, ("n2", "n3"), "n9"))
    yield notary.sign(Snapshot(NodeName("n1"), EPOCH, 5, 4, 2, AgentId("box/codex-1"), body))


def _signed(fleet: identity.Fleet, statement: Statement) -> Vector:
    return {
        "kind": type(statement).__name__,
        "signed_bytes": signed_bytes(fleet, statement).hex(),
        "signature": statement.signature.hex(),
    }


def _revoked(authority: identity.Authority) -> Vector:
    revoked = revocation.revoke(authority, NodeName("n2"), EPOCH)
    over = identity.stated(b"revoked", authority.fleet.fleet_id, EPOCH.to_bytes(8, "big") + b"n2")
    return {"name": "n2", "at_ms": EPOCH, "signed_bytes": over.hex(), "signature": revoked.signature.hex()}


def _ring(authority: identity.Authority) -> Vector:
    made = ring.first_ring(authority, EPOCH, RING_KEY)
    over = identity.stated(b"ring", authority.fleet.fleet_id, ring._said(made.version, made.current, made.keys))
    return {
        "version": made.version,
        "signed_bytes": over.hex(),
        "signature": made.signature.hex(),
        "ring": made.dump().hex(),
    }


def _messages(statements: list[Statement], authority: identity.Authority) -> Iterator[Message]:
    told = Beats((Beat(0xABCDEF0123, 1000, -0.3, b"proven 1"), Beat(1, 2, -4.999, b"proven 2")))
    held = (Have("n1", EPOCH, 5), Have("n2", EPOCH, 9))
    for statement in statements:
        if isinstance(statement, Snapshot):
            yield SnapshotMessage(statement, "n9", 88, 0.3)
            yield Delta("n1", EPOCH, 4, 5, (statement,))
        else:
            yield statement
    alive, row = statements[0], statements[4]
    assert isinstance(alive, Alive)
    assert isinstance(row, Row)
    yield told
    yield revocation.revoke(authority, NodeName("n2"), EPOCH)
    yield RollCall(bytes.fromhex("01020304"), b"\xfd\x07")
    yield RollAnswer(bytes.fromhex("01020304"), 0, b"\x02", (Beat(0, 1000, -0.3, b"proven 1"),))
    yield Ping(7, "n2")
    yield PingReq(8, "n3", 0.48)
    yield Ack(7, "n2", EPOCH)
    yield Nack(8, "n3", EPOCH, Trouble.ACCEPTED_MUTE)
    yield Relay("n3", bytes(range(40)))
    yield Digest(held)
    yield Digest((), bytes(range(8)))
    yield Got((7, 9))
    yield Want(held)
    yield Sync((alive,), told, Digest(held), True, (row,))
    yield Goodbye()
    yield Sum(bytes(range(8)), bytes(range(8, 16)))
    yield PathProbe(9, 200, bytes(range(30)))
    yield PathTest(9)
    yield PathReport(9, (3, 3, 0), "10.0.0.7:7878", "accepted")


def _message(message: Message) -> Vector:
    packet = encode_packet(Packet("n1", EPOCH, 88, 0.3, EPOCH + 5, (message,)))
    return {"kind": type(message).__name__, "packet": packet.hex()}


def _words(
    authority: identity.Authority, certificate: identity.Certificate, key: identity.NodeKey
) -> Iterator[entrance.Word]:
    held = ring.first_ring(authority, EPOCH, RING_KEY).dump()
    out = (revocation.revoke(authority, NodeName("n2"), EPOCH),)
    yield entrance.Welcome(authority.fleet.der)
    yield entrance.Admitted(certificate.der, held, out)
    yield entrance.RingIs(held, out)
    yield entrance.Enter(bytes(range(8)), bytes(range(16)), key.request(NodeName("n1")))
    yield entrance.Renew()
    yield entrance.FetchRing()
    yield entrance.Refused("this invitation has expired. Ask for a new one.")
    yield entrance.FindDelegates()
    yield entrance.FindZone("eu")
    yield entrance.At((entrance.Where("10.0.0.7", 7879), entrance.Where("fd00::8", 7879)))
    yield entrance.FetchFleet()
    yield entrance.FleetPart(b"x\x9c\xab\xae\x05\x00\x01u\x00\xf9", False)


def _framed(word: bytes) -> str:
    return (len(word).to_bytes(4, "big") + word).hex()


STATE = AgentState(
    agent_id="box/codex-1",
    timestamp="2026-11-23T22:00:00Z",
    status=Status.TOOL,
    runtime="codex",
    context_tokens=122_400,
    cost_usd=1.5,
    rate_limits=(RateLimit(key="openai:9f2e", window="5h", used_pct=38.0),),
    sources={"cost_usd": "priced"},
)


def _proofs(notary: Notary) -> Vector:
    """The last heartbeats of a chain, back to the anchor of the Alive that told the first of it."""
    end = chain_end(beat_tag("n1", EPOCH), 0)
    proofs = {str(beat): notary.prove(EPOCH, end, beat).hex() for beat in (end, end - 1, end - 2, 1, 0)}
    return {"name": "n1", "epoch": EPOCH, "end": end, "proofs": proofs}


def _state() -> Vector:
    given = {name: value for name, value in msgspec.to_builtins(STATE).items() if value not in (None, {}, [])}
    return {"state": given, "body": encode_state(STATE).hex()}


def _accounts(fleet: identity.Fleet, key: identity.NodeKey, certificate: identity.Certificate) -> Iterator[Vector]:
    signer, at = accounts.Signer(fleet, key, certificate), int(NOW) + 60
    used = Usage(1_500_000, 1_893_321, 40_112)
    periods = {"2025-10-01": Usage(1, 2, 3), "2025-11-01": used}
    newest = Daily("2025-11-23", Usage(500_000, 604_120, 9_034))
    account = signer.account(Account("n1", b"ledger-1", 7, at, periods, newest))
    marks = signer.marks(accounts.Marks("n1", b"ledger-1", 3, at, {bytes(range(8)): used}))
    for kind, statement in (("account", account), ("marks", marks)):
        fields = cbor.load(statement, max_depth=4, text_keys=True)
        assert isinstance(fields, list)
        over = identity.stated(b"account", fleet.fleet_id, cbor.dump(fields[:7]))
        body = accounts.pack([statement])
        told = {"kind": kind, "signed_bytes": over.hex(), "statement": statement.hex(), "body": body.hex()}
        if len(fields) > 9:
            assert isinstance(fields[9], list)
            over = identity.stated(b"day", fleet.fleet_id, cbor.dump([*fields[:7], *fields[9][:4]]))
            told["day_signed_bytes"] = over.hex()
        yield dict(told)


def _token(keyring: Keyring) -> Vector:
    now = int(NOW)
    grant = Grant(
        scope=Scope.READ,
        name="grafana",
        holder="3f9a12cd0b7e4410",
        issued=now,
        expires=now + 900,
        renewable_until=now + 43_200,
    )
    return {
        "ring_key": RING_KEY.hex(),
        "fleet_id": keyring.fleet_id.hex(),
        "random_id": bytes(range(8)).hex(),
        **msgspec.to_builtins(grant),
        "token": tokens.issue(keyring, grant, bytes(range(8))),
    }


def _api_key() -> Vector:
    key = apikeys.make(Scope.READ, bytes(range(40)))
    nonce, host, seconds = "00" * 12, "N1.example:7879", 900
    return {
        "key": key.text(),
        "verifier": key.verifier().hex(),
        "nonce": nonce,
        "host": host,
        "seconds": seconds,
        "signed_bytes": apikeys._said(key.key_id, nonce, host, seconds).hex(),
        "proof": key.prove(nonce, host, seconds).hex(),
    }


def _invitation(authority: identity.Authority) -> Vector:
    addresses = ("192.0.2.7:7878", "[2001:db8::7]:7878")
    line = Invite(
        authority.fleet.fingerprint, "n1", addresses, bytes(range(8)), bytes(range(16)), int(NOW) + 3_600
    ).line()
    return {
        "fingerprint": authority.fleet.fingerprint.hex(),
        "node": "n1",
        "addresses": addresses,
        "invite": bytes(range(8)).hex(),
        "secret": bytes(range(16)).hex(),
        "expires": int(NOW) + 3_600,
        "line": line,
    }


def written() -> str:
    """The file's text."""
    return json.dumps(all_of_them(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
