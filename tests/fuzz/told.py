"""What servers and commands of this machine tell: opencode's events and answers, Ollama's answers, lines of
MESHFLEET_FD. None of it ever raises, but for the answers' readers, whose errors are caught where they are asked for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from hypothesis import strategies as st

from meshfleet.asking import Events, Place
from meshfleet.cli.run.lines import Lines
from meshfleet.runtimes.ollama import MODELS_LIMIT, _Models, _ps, own_figures
from meshfleet.runtimes.opencode import telling
from meshfleet.runtimes.opencode.server import Listed, Server
from meshfleet.runtimes.opencode.telling import LOOKED_AT
from meshfleet.runtimes.record import name
from meshfleet.runtimes.windows import Windows
from meshfleet.wire.codec import encode_state

if TYPE_CHECKING:
    from meshfleet.fleet.names import AgentId
    from meshfleet.fleet.state import AgentState

LONGEST = 65_536
"""Bytes fed at once, as they come from a socket or a pipe."""


def stream(data: bytes) -> object:
    """A piece of an event stream, up to the records that it comes to."""
    counts: Counter[str] = Counter()
    server = Server(counts)
    for event in Events(counts).feed(data):
        server.event(event, NOW)
    return server.take_changed()


ANSWERS = ("/session", "/session/status", "/session/ID/message", "/permission", "/config/providers")
"""opencode's, as the first byte of an input chooses among them."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
NOW = 1_795_650_700.0


def opencode(data: bytes) -> object:
    """One answer of opencode's, up to the records that it comes to."""
    server, body = Server(Counter()), data[1:]
    match ANSWERS[data[0] % len(ANSWERS) if data else 0]:
        case "/session":
            server.listed(Listed(telling.sessions(body), {}, []), NOW, NOW, 0.0)
        case "/session/status":
            server.listed(Listed(_LISTED, telling.doing(body), []), NOW, NOW, 0.0)
        case "/session/ID/message":
            server.read("ses_1", telling.messages(body), NOW)
        case "/permission":
            server.listed(Listed(_LISTED, {}, telling.requests(body)), NOW, NOW, 0.0)
        case _:
            server.event(_SPOKE, NOW)
            server.windows_are(telling.windows(body))
    return server.take_changed()


class _Nowhere:
    """Where agents are shown: nowhere."""

    def publish(self, state: AgentState) -> None:
        encode_state(state)

    def withdraw(self, agent_id: AgentId) -> None:
        pass


def ollama(data: bytes) -> object:
    """The list of what is loaded, shown; and the same bytes as a model's own figures."""
    counts: Counter[str] = Counter()
    models = _Models(_Nowhere(), Place("http://127.0.0.1:11434"), "box", Windows(), counts, lambda: NOW)
    own = own_figures(data)
    for one in _ps.decode(data).models[:MODELS_LIMIT]:
        model = name(one.name or one.model)
        if model is not None:
            models._publish(models._state(models._agent_id(model), model, one, own, NOW))
    return counts


def lines(data: bytes) -> object:
    """A piece of what a command wrote."""
    return Lines().feed(data)


_names = st.sampled_from(["id", "sessionID", "info", "part", "status", "error", "tool", "state", "time", "tokens"])
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["ses_1", "busy", "tool", "running"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=12,
)
_LISTED = telling.sessions(b'[{"id":"ses_1","time":{"updated":1795650700000}}]')
_SPOKE = b'{"type":"session.status","properties":{"sessionID":"ses_1","status":{"type":"busy"}}}'
_RECORDED = Path(__file__).parents[1] / "runtimes" / "data" / "opencode"
_answers = st.sampled_from(
    [
        *(bytes((0,)) + place.read_bytes() for place in sorted(_RECORDED.glob("sessions-*.json"))),
        b'\x01{"ses_1":{"type":"busy"}}',
        *(b"\x02" + place.read_bytes() for place in sorted(_RECORDED.glob("messages-*.json"))),
        b'\x03[{"id":"per_1","sessionID":"ses_1"}]',
        b'\x04{"providers":[{"id":"a","models":{"m":{"limit":{"context":200000,"output":8192}}}}]}',
    ]
)
opencodes = _answers | st.builds(
    lambda which, said: bytes((which,)) + json.dumps(said).encode(),
    st.integers(0, 4),
    st.lists(st.dictionaries(_names, _values, max_size=6), max_size=4) | st.dictionaries(_names, _values, max_size=6),
)
_loaded = st.dictionaries(
    st.sampled_from(["name", "model", "size", "size_vram", "digest", "details", "expires_at", "context_length"]),
    _values | st.just("2026-11-25T12:00:00.123456789+01:00"),
    max_size=8,
).map(lambda one: {"name": "qwen3-coder:30b", "digest": "sha256:1", **one})
ollamas = st.lists(_loaded, max_size=3).map(
    lambda models: json.dumps(
        {
            "models": models,
            "parameters": "num_ctx 8192",
            "model_info": {"general.architecture": "q", "q.context_length": 9},
        }
    ).encode()
)

_events = st.builds(
    lambda kind, said: b"data: " + json.dumps({"type": kind, "properties": said}).encode() + b"\n\n",
    st.sampled_from(sorted(LOOKED_AT)),
    st.dictionaries(_names, _values, max_size=6).map(lambda said: {"sessionID": "ses_1", **said}),
)
streams = st.lists(_events, max_size=6).map(b"".join)

_fields = st.sampled_from(["status", "tokens_in", "active_tool", "cost_usd", "rate_limits", "note"])
_line = st.dictionaries(_fields, _values, max_size=4).map(lambda said: json.dumps(said).encode() + b"\n")
written = st.lists(_line, max_size=6).map(b"".join)
