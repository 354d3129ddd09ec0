"""Every bound of the HTTP side, with what happens at it, and the counters of what was turned away."""

from __future__ import annotations

from dataclasses import dataclass

from meshfleet.fleet.state import SNAPSHOT_LIMIT

CONNECTIONS_LIMIT = 640
"""Open connections. Above it a new one is closed unanswered. More than there are streams, so that these leave room."""

STREAMS_PER_CLIENT = 16
"""Of these, one client's: an API key's, whatever the number of its tokens, or one page's. 429 beyond."""

EXCHANGE_BURST = 20
"""Sessions that one address may ask for at once; 429 beyond. An office behind one address gets in of a morning."""

EXCHANGE_SECONDS = 3.0
"""After how long it may ask for one more. Keys of 256 bits can't be guessed at any rate: this bounds what tries
cost."""

ADDRESSES_LIMIT = 4096
"""Addresses whose tries are counted. While so many are busy, all others share one count."""

HEAD_LIMIT = 16 * 1024
"""Bytes of a request's line and headers together; 431 beyond. A token has about 130."""

HANDSHAKE_SECONDS = 10.0
"""How long the start of TLS may take."""

STREAMS_LIMIT = 512
"""Readers of `/v1/fleet/events` at once; 503 beyond. Each costs one frame in flight and one connection, no more."""

BODY_LIMIT = 4 * SNAPSHOT_LIMIT
"""Bytes of a request's body; 413 beyond. JSON with indentation takes up to four times the room of the encoded state."""

TELEMETRY_LIMIT = 4 * 1024 * 1024
"""Bytes of a body under /otlp/; 413 beyond. Exporters send 512 records at once, and a record may hold what a tool
printed. Whatever is of use to us has some 300 bytes a record."""

INFLATED_LIMIT = TELEMETRY_LIMIT
"""Bytes that such a body may have when it is inflated; 413 beyond. While the readers of JSON and protobuf, which are C,
look at them, nothing else runs: some 5 ms for 512 spans with 1.5 KB each, up to 110 ms for what is made to be dear."""

INLINE_LIMIT = 1024
"""Bytes of gzip up to which it is inflated at once: 1 MiB at most, which takes 2 ms. In a thread beyond."""

LARGE_BODIES = 8
"""Bodies over BODY_LIMIT that are here at once from this machine, and as many from elsewhere; 503 beyond. They bound
the memory that bodies take: 96 MiB for bombs from this machine, a few in practice."""
HOOKS = "/hooks/"
"""Paths whose bodies may be larger, where they come from this machine."""

HOOK_LIMIT = 4 * 1024 * 1024
"""Bytes of a hook's body that are looked at: it holds what a tool was given and what came out, which is skipped. Beyond
it the hook is read to its end and dropped, counted, and answered like any other."""

HOOKS_HELD = 64 * 1024 * 1024
"""Bytes of all hooks' bodies that are on their way at once; what comes beyond is dropped, counted, like one that is too
large. Usually they are some kilobytes."""

HOOK_DISCARD = 64 * 1024 * 1024
"""Bytes of such a body that are read to get to its end."""

EXCHANGE_LIMIT = 1024
"""Bytes of the body that asks for a session; 413 beyond. Whoever comes may send one, and it is read whole before
anything is believed, so that it must cost less than 1 ms and 64 KiB. A proof has some 300."""

BODY_SECONDS = 10.0
"""How long a body may take to arrive; 408 beyond. Whole bodies fit into a few packets."""

DISCARD_LIMIT = 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that its sender gets to read the refusal before a reset."""

DISCARD_SECONDS = 1.0
"""How long such a body is read on."""

SAID_LIMIT = 4096
"""Bytes of what a WebSocket's client says at once; it is dropped, and more ends the connection."""

SEND_SECONDS = 20.0
"""How long one write may stand still before its reader counts as gone. Browsers in the background still read."""

HEADER_SECONDS = 10.0
"""How long a connection may stay without a whole request, at its start and between two."""

CLOSING_SECONDS = 0.5
"""How long open answers and streams have to end after the node was told to stop. Below a second, with room to spare."""

NEAR_CANDIDATES = 2_000
"""Names that are looked through to say what is near a wrong one: 2,000 take about 20 ms, more would stall the loop."""

UPDATE_SECONDS = 0.25
"""Time between two updates of a stream while news does not end: four a second is as fast as anyone reads a table."""

BURST = 2
"""Updates that may come sooner after a calm, so that two pieces of news close together both show at once."""

STREAM_BUFFER = 256 * 1024
"""Bytes that the kernel is asked to hold for a reader of a stream. By itself Linux holds up to 4 MB, all of it older
than what the reader would get instead."""

REFRESH_SECONDS = 2.0
"""Longest time between two updates while somebody reads: ages are renewed by heartbeats without a new version."""

KEEP_ALIVE_SECONDS = 5.0
"""How long a stream may be silent before a comment shows that it stands: a stopped node keeps its connections open, and
who reads wants to know. Proxies give up after 30 to 60 s."""


@dataclass(slots=True)
class Counts:
    """What was turned away or given up, since the start."""

    connections_refused: int = 0
    streams_refused: int = 0
    hosts_refused: int = 0
    cross_site_refused: int = 0
    bodies_refused: int = 0
    bodies_put_off: int = 0
    """Large ones that came while as many as may were here."""
    heads_refused: int = 0
    tokens_missing: int = 0
    tokens_refused: int = 0
    scopes_refused: int = 0
    sessions_begun: int = 0
    sessions_refused: int = 0
    exchanges_limited: int = 0
    slow_readers_cut: int = 0
    updates_merged: int = 0
    """Updates that a slow reader never got, because a newer one replaced them."""
    histories_left_out: int = 0
    """Points that were not remembered, because as many agents were already as are."""
    hooks_dropped: int = 0
    """Hooks that were too large, not JSON, or came to a node that carries no agents of its machine."""
    failed: int = 0
    """Requests and connections that ended in an error of ours. Each is in the log."""
