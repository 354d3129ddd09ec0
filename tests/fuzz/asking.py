"""What readers ask for and go on from, and what they are told on a stream."""

from __future__ import annotations

from contextlib import suppress
from http.client import HTTPConnection
from io import BytesIO
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

import msgspec
from hypothesis import strategies as st
from starlette.requests import Request

from meshfleet.client import Reader
from meshfleet.client.change import Change
from meshfleet.client.reader import _events
from meshfleet.errors import ConfigError
from meshfleet.fleet.happening import Happened
from meshfleet.fleet.names import AGENT_ID_LIMIT, NodeName
from meshfleet.serve.answers import Refusal
from meshfleet.serve.encoded import Encoding
from meshfleet.serve.history import Nothing, Telling
from meshfleet.serve.limits import HEAD_LIMIT, Counts
from meshfleet.serve.matching import is_wanted, selectors
from meshfleet.serve.stream import KEEP_ALIVE, RETRY, Broadcast, Told, frame
from tests.fuzz.frames import finish
from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from http.client import HTTPResponse

_broadcast = Broadcast(SampleFeed(), Encoding(SampleFeed()), Counts())


def asked(data: bytes) -> None:
    """What readers ask on from, and for: Last-Event-ID, `after`, `limit`, `kind`, `subject`, a billing period; one a
    line."""
    last, after, limit, kind, subject, period = [*data.decode("latin-1").split("\n", 5), *[""] * 5][:6]
    for of_this_life in (last, f"{_broadcast._life}-{last}"):
        number = _broadcast.number_of(of_this_life)
        if number is not None:
            _broadcast.since(number)
    query = urlencode({"after": after, "limit": limit, "kind": kind, "subject": subject})
    if len(query) > HEAD_LIMIT:
        return  # the guard's: it goes no further
    scope = {"type": "http", "method": "GET", "headers": [], "path": "/", "query_string": query.encode()}
    with suppress(Refusal):
        finish(Telling(Nothing()).events(Request(scope)))
    with suppress(ConfigError):
        finish(SampleFeed().cost(period))


asks: st.SearchStrategy[bytes] = st.builds(
    lambda last, after, limit, kind, period: f"{last}\n{after}\n{limit}\n{kind}\nbox-1\n{period}".encode(),
    st.integers(0, 3),
    st.integers(0, 2**54),
    st.integers(0, 2_000),
    st.sampled_from(list(Happened)),
    st.dates().map(str) | st.dates().map(lambda date: str(date)[:7]),
)

_SERIES = {"agent": "a" * AGENT_ID_LIMIT, "node": "n1", "model": "claude-sonnet-4-5", "tool": 'a"b\\c'}


def selected(data: bytes) -> None:
    """`match[]`, one a line, and what it selects."""
    is_wanted("meshfleet_agent_cost_usd_total", _SERIES, selectors(data.decode("utf-8", "replace").split("\n")))


_patterns = st.lists(st.sampled_from(["a", "n1", ".", ".*", ".+", "|", r"\\."]), max_size=12).map("".join)
_matchers = st.builds(
    lambda label, operator, value: f'{label}{operator}"{value}"',
    st.sampled_from([*_SERIES, "__name__"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    _patterns,
)
wanted: st.SearchStrategy[bytes] = st.lists(
    st.lists(_matchers, min_size=1, max_size=4).map(lambda those: "up{" + ",".join(those) + "}"), min_size=1, max_size=4
).map(lambda those: "\n".join(those).encode())
dear_wanted: st.SearchStrategy[bytes] = st.sampled_from(
    [f'{{agent=~"{(unit * 500)[:490]}b"}}' for unit in (".*", ".*a", ".+a", "a.*|", ".*aa.*|.", "." * 60 + ".*")]
).map(lambda text: "\n".join([text] * 4).encode())


def followed(data: bytes) -> None:
    """A stream of events, by a node or whatever else listens there, up to the views that it comes to."""
    reader = Reader("http://127.0.0.1:1")
    for event in _events(cast("HTTPResponse", BytesIO(data))):
        reader._take(event)
        putting = HTTPConnection("127.0.0.1")
        putting.putrequest("GET", "/")
        putting.putheader("Last-Event-ID", reader._last_id)


def _told(change: Change) -> Told:
    return Told("update", "b1c9d2e3-2", msgspec.json.encode(change))


_whole = frame(Told("snapshot", "b1c9d2e3-1", msgspec.json.encode(SampleFeed().fleet())))
_view = SampleFeed().fleet()
_times = st.sampled_from([_view.now, "2026-11-23T20:15:06Z", "0001-01-01T00:00:00", "soon", ""])
_changes = st.builds(
    lambda now, seen, nodes, gone: Change(
        version="b1c9-2", now=now, served_by=_view.served_by, nodes=nodes, gone_agents=gone, seen={NodeName("n2"): seen}
    ),
    _times,
    _times,
    st.sampled_from([(), _view.nodes, _view.nodes[:1]]),
    st.sampled_from([(), tuple(agent.agent_id for agent in _view.agents)]),
)
streams: st.SearchStrategy[bytes] = st.lists(_changes.map(_told).map(frame) | st.just(KEEP_ALIVE), max_size=3).map(
    lambda frames: RETRY + _whole + b"".join(frames)
)
