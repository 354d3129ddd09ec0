"""What agents that serve their own state, and Consul, answer: strangers, as far as their bytes go."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from meshfleet.discovery.consul import read_catalog
from meshfleet.discovery.source import Unfound
from meshfleet.fleet.endpoint import Endpoint
from meshfleet.fleet.names import AgentId
from meshfleet.fleet.state import AgentState
from meshfleet.runtimes.endpoints.reading import STATE_LIMIT, Nonsense, Session, read_session, read_state
from meshfleet.wire.contacts import decode_contacts, encode_contacts
from tests.wire.test_contacts import told

REFUSES = Nonsense
REFUSES_CATALOG = Unfound

_ENDPOINT = Endpoint(name=AgentId("lab/one"), base_url="http://127.0.0.1:1")


def state(data: bytes) -> AgentState:
    """The answer of `/state`, or one event of a stream. It never speaks for another agent."""
    read = read_state(_ENDPOINT, data, "2026-11-23T20:15:05Z")
    assert read.agent_id == _ENDPOINT.name
    return read


def session(data: bytes) -> Session:
    """The answer of `/auth/session`. What it gives can stand in a header."""
    read = read_session(data)
    assert read.token.isprintable()
    assert "\n" not in read.token
    return read


def catalog(data: bytes) -> object:
    """Consul's catalog."""
    return read_catalog(data, "3f9a12cd0b7e4410")


contacts = decode_contacts
said = told.map(encode_contacts)

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _json(fields: list[str], **fixed: object) -> st.SearchStrategy[bytes]:
    drawn = st.dictionaries(st.sampled_from(fields), _values, max_size=5)
    return drawn.map(lambda told: json.dumps({**fixed, **told}).encode())


states = _json([*AgentState.__struct_fields__, "node", "agents"], status="idle")
dear_states = st.sampled_from(
    [
        b"{" + b",".join(b'"%x":0' % n for n in range(STATE_LIMIT // 9)) + b"}",
        b'{"status":"idle","sources":{' + b",".join(b'"%x":[]' % n for n in range(STATE_LIMIT // 10)) + b"}}",
        b'{"status":"idle","rate_limits":[' + b",".join([b"{}"] * (STATE_LIMIT // 4)) + b"]}",
    ]
)
sessions = _json(["token", "expires_in_s", "scope"], token="mfs_x", expires_in_s=1800)
catalogs = st.lists(
    _json(["ServicePort", "ServiceAddress", "Address", "ServiceMeta"], ServicePort=7878, Address="10.0.0.1"), max_size=4
).map(lambda entries: b"[" + b",".join(entries) + b"]")
