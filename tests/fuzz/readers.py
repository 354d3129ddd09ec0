"""What readers and agents send over HTTP: tokens, keys, proofs and bodies. The server's own parsing is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request

from meshfleet.client import Reader
from meshfleet.errors import AccessDenied, NoAnswer
from meshfleet.fleet.access import Grant, Scope
from meshfleet.fleet.view import FleetView
from meshfleet.node.readers import Readers
from meshfleet.serve.answers import Refusal
from meshfleet.serve.bodies import require_json
from meshfleet.serve.encoded import names_version
from meshfleet.serve.gate import bearer
from meshfleet.serve.guard import Guard
from meshfleet.serve.limits import Counts
from meshfleet.serve.pushing import _decoded, _unknown_fields
from meshfleet.serve.sessions import _wanted
from meshfleet.wire import apikeys, tokens
from tests.fuzz.datagrams import FLEET, KEY
from tests.fuzz.frames import finish
from tests.serve.conftest import SampleFeed
from tests.wire.strategies import states

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message

from meshfleet.wire.keyring import Keyring

REFUSES = (AccessDenied, NoAnswer, Refusal)

NOW = 1_763_923_200
_ring = Keyring(KEY, FLEET)
_api_key = apikeys.make(Scope.READ, bytes(range(40)))
_readers = Readers(_ring, None, lambda: float(NOW))


def token(data: bytes) -> None:
    """A session token, at any node."""
    tokens.check(_ring, data.decode("latin-1"), float(NOW))


tokens_drawn: st.SearchStrategy[bytes] = st.builds(
    lambda scope, seconds, random: tokens.issue(
        _ring,
        Grant(scope=scope, name="x", holder="00" * 8, issued=NOW, expires=NOW + seconds, renewable_until=0),
        random,
    ).encode(),
    st.sampled_from(Scope),
    st.integers(0, 4_000),
    st.binary(min_size=8, max_size=8),
)


def key(data: bytes) -> None:
    """An API key that is shown."""
    apikeys.parse(data.decode("latin-1"))
    finish(_readers.by_key(data.decode("latin-1"), 900))


keys: st.SearchStrategy[bytes] = st.just(_api_key.text().encode())


def proof(data: bytes) -> None:
    """A proof of possession: signature, and behind it what it is of. Refuses nothing: it says False."""
    nonce, _, host = data[64:].decode("latin-1").partition("\n")
    apikeys.proves(_api_key.verifier(), data[:64], _api_key.key_id, nonce, host, 900)


proofs: st.SearchStrategy[bytes] = st.just(_api_key.prove("00" * 12, "n1:7879", 900) + b"00" * 12 + b"\nn1:7879")

_JSON = [(b"content-type", b"application/json")]


def _posted(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": _JSON, "path": "/"}, receive)


def session(body: bytes) -> None:
    """The body of `POST /auth/session`, and what is in it."""
    wanted = finish(_wanted(_posted(body)))
    finish(_readers.by_proof(wanted.key_id or "", wanted.nonce or "", wanted.proof or "", "n1", wanted.lifetime_s))


_texts = st.none() | st.text(max_size=128)
sessions: st.SearchStrategy[bytes] = st.fixed_dictionaries(
    {}, optional={"key_id": _texts, "nonce": _texts, "proof": _texts, "code": _texts, "lifetime_s": st.integers()}
).map(msgspec.json.encode)


def pushed(body: bytes) -> None:
    """The body of `POST /v1/agents/{id}/state`."""
    _decoded(body)
    _unknown_fields(body)


pushes: st.SearchStrategy[bytes] = states.map(msgspec.json.encode)


_asking = Reader("http://127.0.0.1:1")


def answered(body: bytes) -> None:
    """What a reader is told in answer to `GET /v1/fleet`: by a node, or by whatever else listens there."""
    _asking.understood(body, FleetView)


answers: st.SearchStrategy[bytes] = st.just(msgspec.json.encode(SampleFeed().fleet()))


def headers(data: bytes) -> None:
    """Headers that are looked into, one a line: Host, Authorization, If-None-Match, Content-Type."""
    lines = [*data.split(b"\n", 3), b"", b"", b"", b""]
    named = [b"host", b"authorization", b"if-none-match", b"content-type"]
    raw = list(zip(named, lines, strict=False))
    guard = Guard(_nothing, Counts())
    request = Request({"type": "http", "method": "GET", "headers": raw, "path": "/"})
    names_version(request.headers["if-none-match"], "b1c9-412")
    looks: tuple[Callable[[], object], ...] = (
        lambda: bearer(request),
        lambda: require_json(request),
        lambda: guard._check_host(Headers(raw=raw), request.scope),
    )
    for look in looks:
        try:
            look()
        except Refusal:
            continue


async def _nothing(scope: object, receive: object, send: object) -> None:
    """No application."""


heads: st.SearchStrategy[bytes] = st.sampled_from(
    (b'127.0.0.1:7879\nBearer mfs_AQ\nW/"b1c9-412"\napplication/json', b"[::1]\nBasic x\n*\ntext/plain; x=y", b"\n\n\n")
)
