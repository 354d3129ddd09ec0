"""docs/protocol.md is true: its tables are the code's, and its examples are what the code sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from meshfleet.fleet.names import NodeName
from meshfleet.gossip.messages import Alive, Beat, Message, NodeInfo, Packet, Ping
from meshfleet.wire.beattable import pack
from meshfleet.wire.codec import encode_packet
from meshfleet.wire.identity import CREDENTIAL, Authority, NodeKey
from meshfleet.wire.keyring import Keyring
from meshfleet.wire.notary import Notary
from meshfleet.wire.seal import Sealer
from meshfleet.wire.states import FIELD_NUMBERS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
RING = Keyring(bytes(range(32)), bytes(range(16)))
PACKET = encode_packet(Packet("n1", 1_763_923_200_123, 88, 0.3, 1_763_923_200_128, (Ping(7, "n2"),)))


def counting_from(first: int, count: int) -> bytes:
    return bytes(range(first, first + count))


def test_every_message_is_in_the_table_with_its_number_and_fields() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z]\w+) \| ?(.*?) ?\|$", PAGE, re.MULTILINE)
    documented = {(int(number), name, fields) for number, name, fields in rows}
    sent = {kind: [field for field in kind.__struct_fields__ if field != "at"] for kind in get_args(Message)}
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
    assert f"`{pack((Beat(0xABCDEF012345, 1000, -0.3), Beat(1, 2, -4.999)), 0.0).hex()}`" in PAGE


def test_the_example_of_a_signature_is_right() -> None:
    authority = Authority.begin(NodeKey.of(b"\x02" * 32), 1_990_000_000.0)
    key = NodeKey.of(b"\x01" * 32)
    certificate = authority.issue(NodeName("n1"), "agent", key.public, 1_990_000_000.0, 10_000_000.0)
    notary = Notary(authority.fleet, key, certificate, lambda: 1_990_000_000.0)
    info = NodeInfo("box", "::1", 7878, None, "agent", None, "9.9", None, 1, False)
    alive = notary.sign(Alive("n1", 1, 0, info))
    assert f"    {alive.credential.hex()}\n    {alive.signature.hex()}\n" in PAGE
    assert f"`{CREDENTIAL.dotted_string}`" in PAGE
