"""What servers and commands of this machine tell: opencode's events, lines of MESHFLEET_FD. Neither ever raises."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import strategies as st

from meshfleet.cli.run.lines import Lines
from meshfleet.runtimes.loopback import Events
from meshfleet.runtimes.opencode.server import Server
from meshfleet.runtimes.opencode.telling import LOOKED_AT

LONGEST = 65_536
"""Bytes fed at once, as they come from a socket or a pipe."""


def stream(data: bytes) -> object:
    """A piece of an event stream, up to the records that it comes to."""
    counts: Counter[str] = Counter()
    server = Server(counts)
    for event in Events(counts).feed(data):
        server.event(event, 1_795_650_700.0)
    return server.take_changed()


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
_events = st.builds(
    lambda kind, said: b"data: " + json.dumps({"type": kind, "properties": said}).encode() + b"\n\n",
    st.sampled_from(sorted(LOOKED_AT)),
    st.dictionaries(_names, _values, max_size=6).map(lambda said: {"sessionID": "ses_1", **said}),
)
streams = st.lists(_events, max_size=6).map(b"".join)

_fields = st.sampled_from(["status", "tokens_in", "active_tool", "cost_usd", "rate_limits", "note"])
_line = st.dictionaries(_fields, _values, max_size=4).map(lambda said: json.dumps(said).encode() + b"\n")
written = st.lists(_line, max_size=6).map(b"".join)
