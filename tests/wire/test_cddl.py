"""docs/protocol.cddl is true: what is written is valid by it, and what it refuses is refused, in either direction.

`cddl-verifier` judges; `pycddl`, another implementation, reads the same rules.
"""

from __future__ import annotations

import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import cbor2
import msgspec
import pycddl
import pytest
from cddl_verifier import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.errors import ConfigError, WireError
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import (
    Alive,
    Have,
    Left,
    Message,
    NodeInfo,
    Obituary,
    Packet,
    Row,
    Statement,
    Suspect,
)
from meshfleet.node.invites import Invite, read_invite
from meshfleet.wire import cbor, entrance
from meshfleet.wire.codec import decode_packet, encode_packet
from meshfleet.wire.identity import Authority, NodeKey
from meshfleet.wire.notary import signed_bytes
from meshfleet.wire.ring import RING_ITEMS, Ring, RingKey
from meshfleet.wire.states import FIELD_NUMBERS, decode_state, encode_state
from tests.wire.strategies import (
    alives,
    lefts,
    names,
    obituaries,
    packets,
    revocations,
    rows,
    snapshots,
    states,
    suspects,
)
from tests.wire.test_vectors import VECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshfleet.fleet.state import AgentState

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.cddl").read_text(encoding="utf-8")
RULES = Validator(TEXT)
logging.getLogger("cddl_verifier").setLevel(logging.CRITICAL)  # it tells of each thing that is not valid
RULES_ALONE = re.sub(r" *;.*", "", TEXT)
ARRAYS: tuple[type[msgspec.Struct], ...] = (
    *get_args(Message), NodeInfo, Snapshot, Have, *get_args(entrance.Word), Ring, RingKey, Invite,
)  # fmt: skip

SAID_BEYOND = ("heartbeat", "nesting depth", "address ", "an invitation begins with")
"""Of the codec's errors, those about what CDDL can't say."""


def agree(read: Callable[[bytes], object], item: object, rule: str) -> bool:
    """Whether reader and rules take `item` both, or refuse it both; or it is refused for what CDDL can't say."""
    data = cbor.dump(item)
    try:
        read(data)
        taken = True
    except (WireError, ConfigError) as error:
        if any(word in f"{error} {error.__cause__}" for word in SAID_BEYOND):
            return True
        taken = False
    return taken == bool(RULES.validate(data, rule))


_ODD: tuple[object, ...] = (
    None, True, False, 0, 1, 3, -1, 65_535, 65_536, 10**9, 10**9 + 1, 10**10, 10**10 + 1, 2**53 - 1, 2**53,
    -(2**53), 1 - 2**53, 2**64 - 1, -(2**64), 0.0, 1.0, 1.5, float("nan"), float("inf"), cbor2.undefined,
    cbor2.CBORSimpleValue(99), "", "n1", "n 1", "-n", "n\n", "n:1", "é", "a" * 64, "a" * 65, "a" * 128, "a" * 129,
    "é" * 200, "\n" * 200, "😀" * 201, "silent", "idle", "z" * 500, "z" * 501, b"", b"2c", bytes(3), bytes(8),
    bytes(16), bytes(32), bytes(63), bytes(64), bytes(65), bytes(256), bytes(257), bytes(4_096), bytes(4_097), [],
    [0], ["n1"], [8, None], [31], [5, b""], [21, []], [7, "n1", 1, bytes(64)], [2, "n1", 1, 1], ["n1", 1, 1], {},
    {"a": [b"", {b"": 1.5}]}, {1: 1}, cbor2.CBORTag(300, 0), [[[[[[[[0]]]]]]]],
)  # fmt: skip
ODD: st.SearchStrategy[object] = st.sampled_from([cbor2.dumps(item) for item in _ODD]).map(cbor2.loads)


@st.composite
def altered(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> object:
    """What CBOR holds, at one or two places not as it was written: something else, cut off, put in, or appended."""
    item: object = cbor2.loads(draw(whole))
    for _ in range(draw(st.integers(1, 2))):
        parent = item
        while isinstance(parent, list | dict) and parent:
            place = draw(st.sampled_from(range(len(parent)) if isinstance(parent, list) else list(parent)))
            inner = parent[place]
            if isinstance(inner, list | dict) and draw(st.integers(0, 4)):
                parent = inner
                continue
            match draw(st.integers(0, 3)):
                case 0 if isinstance(parent, list):
                    del parent[place:]
                case 1 if isinstance(parent, list):
                    parent.append(draw(ODD))
                case 2 if isinstance(parent, dict):
                    del parent[place]
                case _:
                    parent[place] = draw(ODD)
            break
    return item


@given(packets)
def test_every_packet_that_is_written_is_valid(packet: Packet) -> None:
    assert RULES.validate(encode_packet(packet), "packet").errors == ()


@settings(max_examples=300)
@given(altered(packets.map(encode_packet)))
def test_of_altered_packets_codec_and_rules_take_the_same(item: object) -> None:
    assert agree(decode_packet, item, "packet")


def everywhere(item: list[object]) -> Iterator[None]:
    """Alters `item` at each place in turn, and puts it back: cut off, appended to, another value of the same type."""
    for place in range(len(item) - 1, -1, -1):
        kept, rest = item[place], item[place:]
        del item[place:]
        yield
        item.extend(rest)
        if isinstance(kept, list):
            yield from everywhere(kept)
        for other in [odd for odd in _ODD if odd is None or type(odd) is type(kept)]:
            item[place] = other
            yield
        item[place] = kept
    item.append(0)
    yield
    item.pop()


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["kind"])
def test_of_each_message_altered_anywhere_codec_and_rules_take_the_same(vector: dict[str, Any]) -> None:
    packet = cbor2.loads(bytes.fromhex(vector["packet"]))
    assert agree(decode_packet, packet, "packet")
    for _ in everywhere(packet[5][0]):
        assert agree(decode_packet, packet, "packet")


@given(states)
def test_every_state_that_is_written_is_valid(state: AgentState) -> None:
    assert RULES.validate(encode_state(state), "state").errors == ()


@settings(max_examples=200)
@given(altered(states.map(encode_state)))
def test_of_altered_states_codec_and_rules_take_the_same(item: object) -> None:
    assert agree(decode_state, item, "state")


ders = st.binary(max_size=300)
places = st.builds(entrance.Where, st.text(max_size=20), st.integers(1, 65_535))
words: st.SearchStrategy[entrance.Word] = st.one_of(
    st.builds(entrance.Welcome, ders),
    st.builds(entrance.Enter, st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16), ders),
    st.builds(entrance.Renew),
    st.builds(entrance.FetchRing),
    st.builds(entrance.Admitted, ders, ders, st.lists(revocations, max_size=3).map(tuple)),
    st.builds(entrance.RingIs, ders, st.lists(revocations, max_size=3).map(tuple)),
    st.builds(entrance.Refused, st.text(max_size=500)),
    st.builds(entrance.FindDelegates),
    st.builds(entrance.FindZone, st.text(max_size=200)),
    st.builds(entrance.At, st.lists(places, max_size=3).map(tuple)),
    st.builds(entrance.FetchFleet),
    st.builds(entrance.FleetPart, st.binary(max_size=300), st.booleans()),
)


@given(words)
def test_everything_that_is_said_at_an_entrance_is_valid(word: entrance.Word) -> None:
    assert RULES.validate(entrance.dump(word), "word").errors == ()


@settings(max_examples=300)
@given(altered(words.map(entrance.dump)))
def test_of_altered_words_entrance_and_rules_take_the_same(item: object) -> None:
    assert agree(entrance.load, item, "word")


AUTHORITY = Authority.begin(NodeKey.of(b"\x02" * 32), 1_990_000_000.0)
secrets = st.binary(min_size=32, max_size=32)
moments = st.integers(0, 2**53 - 1)
rings = st.builds(
    lambda version, keys, signature: Ring(version, keys[-1].key_id, keys, signature),
    moments,
    st.lists(st.builds(RingKey, secrets, moments), min_size=1, max_size=4).map(tuple),
    st.binary(min_size=64, max_size=64),
)


@given(rings)
def test_every_ring_that_is_written_is_valid(ring: Ring) -> None:
    assert RULES.validate(ring.dump(), "ring").errors == ()


def as_a_ring(data: bytes) -> object:
    """What of reading a ring CDDL can speak of: its form, and not whether its keys fit and who signed it."""
    try:
        return msgspec.convert(cbor.load_strange(data, max_depth=4, most=RING_ITEMS), Ring, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise WireError(str(error)) from error


@settings(max_examples=200)
@given(altered(rings.map(Ring.dump)))
def test_of_altered_rings_reader_and_rules_take_the_same(item: object) -> None:
    assert agree(as_a_ring, item, "ring")


invitations = st.builds(
    Invite,
    secrets,
    names,
    st.lists(st.sampled_from(("127.0.0.1:7878", "[::1]:7878", "box.example:1")), min_size=1, max_size=4).map(tuple),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=16, max_size=16),
    moments,
)


@given(invitations)
def test_every_invitation_that_is_written_is_valid(invitation: Invite) -> None:
    checked = urlsafe_b64decode(invitation.line().removeprefix("mfi1_") + "==")
    assert RULES.validate(checked[:-4], "invitation").errors == ()


def as_an_invitation(data: bytes) -> Invite:
    return read_invite("mfi1_" + urlsafe_b64encode(data + sha256(data).digest()[:4]).decode())


@settings(max_examples=200)
@given(altered(invitations.map(lambda invitation: cbor.dump(msgspec.to_builtins(invitation, builtin_types=(bytes,))))))
def test_of_altered_invitations_reader_and_rules_take_the_same(item: object) -> None:
    assert agree(as_an_invitation, item, "invitation")


STATEMENTS: dict[type[Statement], st.SearchStrategy[Statement]] = {
    Alive: alives, Suspect: suspects, Left: lefts, Obituary: obituaries, Row: rows, Snapshot: snapshots
}  # fmt: skip


@pytest.mark.parametrize("kind", STATEMENTS, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(st.data())
def test_what_signatures_are_made_over_is_valid(kind: type[Statement], data: st.DataObject) -> None:
    over = signed_bytes(AUTHORITY.fleet, data.draw(STATEMENTS[kind]))
    head, _, rest = over.partition(b"\0")
    assert head == b"meshfleet 1 " + kind.__name__.lower().encode()
    assert rest.startswith(AUTHORITY.fleet.fleet_id)
    assert RULES.validate(rest[16:], f"signed-{kind.__name__.lower()}").errors == ()


@pytest.mark.parametrize("kind", ARRAYS, ids=lambda kind: kind.__name__)
def test_every_array_has_a_rule_with_its_number_and_its_fields(kind: type[msgspec.Struct]) -> None:
    rule = {"Have": "have", "NodeInfo": "info", "Invite": "invitation"}.get(
        kind.__name__, re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()
    )
    body = re.search(rf"^{rule} = \[(?s:(.*?))\]+(?:\s*;.*)?$(?=\n\n|\Z)", RULES_ALONE, re.MULTILINE)
    assert body is not None, f"no rule {rule}"
    tag = kind.__struct_config__.tag
    assert tag is None or body[1].startswith(str(tag))
    assert re.findall(r"(\w+): ", body[1]) == [field for field in kind.__struct_fields__ if field not in ("at", "asks")]


def test_every_field_of_a_state_has_its_line() -> None:
    lines = re.findall(r"^  (?:\? )?(\d+): .*;\s+(\w+)$", TEXT, re.MULTILINE)
    named = {name: int(number) for number, name in lines} | {"agent_id": 1, "status": 3}
    assert named == FIELD_NUMBERS


def test_another_reader_of_cddl_understands_the_rules_too() -> None:
    pycddl.Schema(TEXT)
