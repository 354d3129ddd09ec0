"""docs/protocol.md is true: its tables are the code's, and its examples are what the code sends."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import get_args

from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Alive, Beat, Message, NodeInfo, Packet, Ping
from meshfleet.gossip.tags import beat_tag, chain_end
from meshfleet.wire.beattable import pack
from meshfleet.wire.codec import encode_packet
from meshfleet.wire.identity import CREDENTIAL, Authority, NodeKey
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.notary import Notary
from meshfleet.wire.seal import Sealer
from meshfleet.wire.states import FIELD_NUMBERS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
RING = Keyring(bytes(range(32)), bytes(range(16)))
PACKET = encode_packet(
    Packet("n1", 1_763_923_200_123, 88, 0.3, 1_763_923_200_128, (Ping(7, "n2"),), bytes(range(1, 9)))
)


def counting_from(first: int, count: int) -> bytes:
    return bytes(range(first, first + count))


def test_every_message_is_in_the_table_with_its_number_and_fields() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z]\w+) \| ?(.*?) ?\|$", PAGE, re.MULTILINE)
    documented = {(int(number), name, fields) for number, name, fields in rows}
    sent = {
        kind: [field for field in kind.__struct_fields__ if field not in ("at", "asks")] for kind in get_args(Message)
    }
    assert documented == {
        (kind.__struct_config__.tag, kind.__name__, ", ".join(fields)) for kind, fields in sent.items()
    }


def test_every_field_of_a_state_is_in_the_table_with_its_number() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z_]+) \|$", PAGE, re.MULTILINE)
    assert {name: int(number) for number, name in rows} == FIELD_NUMBERS


def test_the_example_of_keys_is_right() -> None:
    assert f"key id `{RING.current.key_id.hex()}`." in PAGE


def test_the_examples_of_a_packet_and_its_datagram_are_right() -> None:
    datagram = Sealer(RING, lambda count: counting_from(0xA0, count)).seal(PACKET)
    assert f"    {PACKET.hex()}\n" in PAGE
    assert datagram.hex() in PAGE.replace("\n    ", "")


def test_the_example_of_a_heartbeat_table_is_right() -> None:
    table = pack((Beat(0xABCDEF0123, 1000, -0.3, b"proven 1"), Beat(1, 2, -4.999, b"proven 2")), 0.0)
    assert f"`{table.hex()}`" in PAGE


def test_the_example_of_a_signature_is_right() -> None:
    authority = Authority.begin(NodeKey.of(b"\x02" * 32), 1_990_000_000.0)
    key = NodeKey.of(b"\x01" * 32)
    certificate = authority.issue(NodeName("n1"), "agent", key.public, 1_990_000_000.0, 10_000_000.0)
    notary = Notary(authority.fleet, key, certificate, lambda: 1_990_000_000.0)
    info = NodeInfo("box", "::1", 7878, None, "agent", None, "9.9", None, 1, False)
    tag = beat_tag("n1", 1)
    alive = notary.sign(Alive("n1", 1, 0, info, 0, notary.prove(1, chain_end(tag, 0), 0)))
    assert f"    {alive.credential.hex()}\n    {alive.signature.hex()}\n" in PAGE
    assert f"`{CREDENTIAL.dotted_string}`" in PAGE


def test_the_example_of_proofs_is_right_and_what_the_page_says_of_them_gives_it() -> None:
    authority, key = Authority.begin(NodeKey.of(b"\x02" * 32), 1_990_000_000.0), NodeKey.of(b"\x01" * 32)
    certificate = authority.issue(NodeName("n1"), "agent", key.public, 1_990_000_000.0)
    notary, fleet_id, tag = (
        Notary(authority.fleet, key, certificate, lambda: 0.0),
        authority.fleet.fleet_id,
        0xBB79034CA6,
    )
    assert beat_tag("n1", 1) == tag
    end = (1 - 1 + tag) // 4096 * 4096 + 4096 - tag
    assert end == chain_end(tag, 0) == 858
    life = (1).to_bytes(8, "big") + end.to_bytes(8, "big")
    salt = blake2b(fleet_id + life + b"n1", digest_size=16, person=b"mf1 beat life").digest()
    proof = blake2b(fleet_id + life, digest_size=8, key=b"\x01" * 32, person=b"mf1 beat chain").digest()
    proofs = {end: proof}
    for beat in range(end, 0, -1):
        place = (end - beat).to_bytes(2, "big")
        proof = blake2b(proof + place, digest_size=8, salt=salt, person=b"mf1 beat").digest()
        proofs[beat - 1] = proof
    assert [notary.prove(1, end, beat) for beat in range(end + 1)] == [proofs[beat] for beat in range(end + 1)]
    anchor = notary.prove(1, chain_end(tag, end), end)
    assert (
        f"    {proofs[858].hex()} {proofs[857].hex()} {proofs[1].hex()}\n    {proofs[0].hex()} {anchor.hex()}\n" in PAGE
    )
