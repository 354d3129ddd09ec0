"""Every decoder that sees bytes from a network, as one table: what it is fed with, and what that may cost.

A decoder answers with a value, or with the errors that are named here. Anything else that it raises is a crash.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from meshfleet.errors import NoAnswer, WireError
from meshfleet.fleet.state import SNAPSHOT_LIMIT
from meshfleet.gossip.limits import DATAGRAM_BYTES
from meshfleet.node import delivering
from meshfleet.node.entrance import QUESTION_LIMIT
from meshfleet.node.invites import LINE_LIMIT
from meshfleet.node.otel.answers import ANSWER_LIMIT
from meshfleet.node.otel.turn import read_exporting
from meshfleet.runtimes.endpoints.reading import SESSION_LIMIT, STATE_LIMIT
from meshfleet.runtimes.otlp.plain import Signal
from meshfleet.serve.answers import Refusal
from meshfleet.serve.limits import BODY_LIMIT, EXCHANGE_LIMIT, HEAD_LIMIT, INFLATED_LIMIT
from meshfleet.wire import entrance, ring
from meshfleet.wire.beattable import pack, unpack
from meshfleet.wire.codec import decode_packet, decode_state, encode_packet, encode_state
from meshfleet.wire.identity import CERTIFICATE_LIMIT
from meshfleet.wire.seal import FRAME_LIMIT
from tests.fuzz import (
    asking,
    books,
    certificates,
    datagrams,
    driven,
    endpoints,
    frames,
    heads,
    hooking,
    members,
    nameservers,
    providers,
    readers,
    telemetry,
    telling,
    told,
    words,
    zones,
)
from tests.fuzz.altering import altered
from tests.fuzz.bounds import DRIVEN, HEARD, INFLATING, LOCAL, MEMBERS, RUN, STRANGERS, VIEWED, VOUCHED, Cost
from tests.fuzz.dear import cbor_of, state_of
from tests.wire.strategies import packets, states, tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(frozen=True)
class Target:
    """One decoder."""

    name: str
    decode: Callable[[bytes], object]
    refuses: type[Exception] | tuple[type[Exception], ...]
    drawn: st.SearchStrategy[bytes]
    """Inputs that make sense: engines begin with some, and change them."""
    longest: int
    """Bytes that reach the decoder; whatever stands before it refuses more unread."""
    cost: Cost = STRANGERS
    dear: st.SearchStrategy[bytes] | None = None
    """Inputs made to cost much."""
    alter: Callable[[bytes, Random], bytes] | None = None
    """Alters one thing in an input as what it is, where bytes altered at random would seldom be one."""

    def run(self, data: bytes) -> bool:
        """Feed it; whether it took `data`. Raises only where the decoder crashes."""
        try:
            self.decode(data)
        except self.refuses:
            return False
        return True


TELEMETRY_BYTES = 64 * 1024
"""Of telemetry much more may come; what it costs is in proportion, up to limits that have tests of their own."""

DNS_BYTES = 1_232
"""What resolvers let a server send by UDP, since the flag day of 2020. dnspython asks for no more."""

MDNS_BYTES = 9_000
"""One message of mDNS (RFC 6762, section 17)."""

large, wide = cbor_of(FRAME_LIMIT), state_of(SNAPSHOT_LIMIT)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("datagram", datagrams.receive, WireError, datagrams.drawn, DATAGRAM_BYTES + 1),
        Target("packet", decode_packet, WireError, packets.map(encode_packet), FRAME_LIMIT, MEMBERS, large),
        Target("member", members.hear, WireError, members.drawn, members.LONGEST, HEARD, alter=altered),
        Target("sworn", members.hear_sworn, WireError, members.drawn, members.LONGEST, HEARD, alter=altered),
        Target("driven", driven.drive, WireError, members.drawn, members.LONGEST, DRIVEN, alter=altered),
        Target("beats", unpack, WireError, tables.map(lambda told: pack(told.entries, 0.0)), FRAME_LIMIT, MEMBERS),
        Target("state", decode_state, WireError, states.map(encode_state), SNAPSHOT_LIMIT, MEMBERS, wide),
        Target("exporting", read_exporting, (), telling.bodies, SNAPSHOT_LIMIT, MEMBERS),
        Target("collector", telling.answer, (), telling.answers, ANSWER_LIMIT, STRANGERS),
        Target("accounts", books.read, WireError, books.bodies, SNAPSHOT_LIMIT, VOUCHED),
        Target("notices", delivering.read, (), books.notices, SNAPSHOT_LIMIT, MEMBERS),
        Target("frames", frames.receive, frames.REFUSES, frames.drawn, FRAME_LIMIT + 4, MEMBERS),
        Target("word", entrance.load, WireError, words.questions, QUESTION_LIMIT, STRANGERS, cbor_of(QUESTION_LIMIT)),
        Target("answer", entrance.load, WireError, words.answers, FRAME_LIMIT, MEMBERS, large),
        Target("ring", words.ring_of, WireError, words.rings, ring.RING_LIMIT),
        Target("invitation", words.invitation, words.REFUSES, words.invitations, LINE_LIMIT),
        Target("address", words.address, words.REFUSES, words.addresses, LINE_LIMIT),
        Target("certificate", certificates.read, WireError, certificates.drawn, CERTIFICATE_LIMIT),
        Target("authority", certificates.fleet_of, WireError, certificates.authorities, CERTIFICATE_LIMIT),
        Target("names", certificates.read_named, WireError, certificates.names, 1_000),
        Target("request", certificates.request, WireError, certificates.requests, CERTIFICATE_LIMIT),
        Target("credential", certificates.credential, (), certificates.credentials, 256),
        Target("token", readers.token, readers.REFUSES, readers.tokens_drawn, HEAD_LIMIT),
        Target("key", readers.key, readers.REFUSES, readers.keys, HEAD_LIMIT),
        Target("proof", readers.proof, (), readers.proofs, BODY_LIMIT),
        Target("session", readers.session, readers.REFUSES, readers.sessions, EXCHANGE_LIMIT + 1),
        Target("pushed", readers.pushed, readers.REFUSES, readers.pushes, BODY_LIMIT, MEMBERS),
        Target("answered", readers.answered, readers.REFUSES, readers.answers, FRAME_LIMIT, MEMBERS),
        Target("followed", asking.followed, NoAnswer, asking.streams, FRAME_LIMIT, MEMBERS),
        Target("asked", asking.asked, (), asking.asks, HEAD_LIMIT, MEMBERS),
        Target("selectors", asking.selected, Refusal, asking.wanted, HEAD_LIMIT, LOCAL, asking.dear_wanted),
        Target("hooks", hooking.hook, (), hooking.hooks, TELEMETRY_BYTES, MEMBERS),
        Target("statusline", hooking.statusline, (), hooking.statuslines, TELEMETRY_BYTES, MEMBERS),
        Target("opencode", told.opencode, told.UNREADABLE, told.opencodes, told.LONGEST, MEMBERS),
        Target("ollama", told.ollama, told.UNREADABLE, told.ollamas, told.LONGEST, MEMBERS),
        Target("stream", told.stream, (), told.streams, told.LONGEST, MEMBERS),
        Target("lines", told.lines, (), told.written, told.LONGEST, MEMBERS),
        *(
            Target(
                f"otlp-{signal.value}",
                telemetry.take(signal, protobuf=False),
                telemetry.REFUSES,
                telemetry.JSON[signal],
                TELEMETRY_BYTES,
                LOCAL,
                telemetry.dear_json(TELEMETRY_BYTES),
            )
            for signal in Signal
        ),
        *(
            Target(
                f"otlp-{signal.value}-protobuf",
                telemetry.take(signal, protobuf=True),
                telemetry.REFUSES,
                telemetry.as_protobuf(signal),
                TELEMETRY_BYTES,
                LOCAL,
                telemetry.dear_protobuf(TELEMETRY_BYTES),
            )
            for signal in Signal
        ),
        Target(
            "gzip",
            telemetry.gunzip,
            telemetry.REFUSES,
            st.binary(max_size=300).map(gzip.compress),
            TELEMETRY_BYTES,
            INFLATING,
            st.just(gzip.compress(bytes(INFLATED_LIMIT + 1))),
        ),
        Target("headers", readers.headers, readers.REFUSES, readers.heads, HEAD_LIMIT),
        Target("limits", providers.limits, (), providers.heads, HEAD_LIMIT, MEMBERS),
        Target(
            "endpoint",
            endpoints.state,
            endpoints.REFUSES,
            endpoints.states,
            STATE_LIMIT,
            MEMBERS,
            endpoints.dear_states,
        ),
        Target("exchanged", endpoints.session, endpoints.REFUSES, endpoints.sessions, SESSION_LIMIT, MEMBERS),
        Target("catalog", endpoints.catalog, endpoints.REFUSES_CATALOG, endpoints.catalogs, FRAME_LIMIT, MEMBERS),
        Target("asked-http", heads.asked, heads.REFUSES_ASKED, heads.in_pieces, told.LONGEST, RUN),
        Target("posted", heads.posted, heads.REFUSES_POSTED, heads.in_pieces, told.LONGEST, RUN),
        Target("read-http", heads.read, heads.REFUSES_READ, heads.said, told.LONGEST, MEMBERS),
        Target("dns", nameservers.answered, nameservers.REFUSES, nameservers.answers, DNS_BYTES, RUN),
        Target("mdns", nameservers.announced, (), nameservers.announcements, MDNS_BYTES, LOCAL),
        Target("contacts", endpoints.contacts, WireError, endpoints.said, SNAPSHOT_LIMIT, MEMBERS),
        Target("zone-sums", zones.sums, WireError, zones.of_sums, SNAPSHOT_LIMIT, MEMBERS),
        Target("zone-word", zones.word, WireError, zones.of_words, SNAPSHOT_LIMIT, MEMBERS),
        Target("zone-upper", zones.upper, WireError, zones.of_uppers, SNAPSHOT_LIMIT, MEMBERS),
        Target("zone-view", zones.view, WireError, zones.of_views, FRAME_LIMIT, VIEWED, zones.bomb),
        Target("counts", providers.counts, (), providers.answers, FRAME_LIMIT, MEMBERS),
    )
}
