"""Telemetry -> Desk: `Telemetry.telemetry(signal, body, protobuf=…)` takes the body of one request to export.

Bodies are read and counted in a thread, one after the other; the desk is told in the Trio thread. Nothing that is sent
makes it raise anything but a TelemetryError, which says what is wrong with the request.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from functools import lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import Busy, ConfigError
from meshfleet.fleet.names import agent_id
from meshfleet.runtimes.desk import DESK_LIMIT
from meshfleet.runtimes.otlp import from_json, from_protobuf
from meshfleet.runtimes.otlp.dialects import GEN_AI, WANTED, dialect_of
from meshfleet.runtimes.otlp.plain import Event, Point, Record, Signal, Span, text
from meshfleet.runtimes.otlp.session import About, Heard
from meshfleet.runtimes.otlp.told import Told
from meshfleet.runtimes.pricing import Prices
from meshfleet.runtimes.record import Channel, SessionRecord, name, seconds
from meshfleet.runtimes.sessions import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from meshfleet.runtimes.desk import Desk
    from meshfleet.runtimes.otlp.plain import Attributes
    from meshfleet.runtimes.otlp.told import Counted, Dialect
    from meshfleet.runtimes.usage import Tariff

WAITING_LIMIT = 32
"""Requests that wait to be read; Busy beyond. One takes some milliseconds."""

BATCHES = 512
"""Bodies that are remembered by their digests, so that one that is sent again is not counted again: what exporters do
that got no answer."""

SERIES_IN_ALL = 20_000
"""Series of counters of all sessions; points of further ones are rejected. They take some 30 MB."""

LANGUAGES = {"nodejs": "node", "webjs": "node", "dotnet": "dotnet"}
"""How programs are called by the language of their SDK, where not by its own name."""


TELLING = 1_024
"""Programs that tell of themselves by states; the longest silent are forgotten."""


class Taken(msgspec.Struct, frozen=True):
    """How much of a request was of no use."""

    rejected: int = 0
    why: str = ""


class _Outcome(msgspec.Struct):
    taken: Taken
    records: list[tuple[Key, SessionRecord]]
    counts: Counter[str]


class Telemetry:
    """All sessions that telemetry tells of."""

    def __init__(
        self,
        desk: Desk,
        hosts: Collection[str],
        counts: Counter[str],
        *,
        wall: Callable[[], float] = time.time,
        tariff: Callable[[str | None], Tariff] = Prices,
    ) -> None:
        """`hosts`: names of this machine; telemetry of another is kept apart. `wall` and `tariff` (by provider) are
        what tests put in place of the clock and the price list."""
        self._desk = desk
        self._hosts = frozenset(_short(host) for host in hosts)
        self._counts = counts
        self._wall = wall
        self._tariff = lru_cache(maxsize=8)(tariff)
        self._one = trio.CapacityLimiter(1)
        self._waiting = 0
        self._telling: OrderedDict[str, None] = OrderedDict()
        # From here on the thread's, which runs one at a time.
        self._sessions: OrderedDict[Key, Heard] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._series = 0

    async def telemetry(self, signal: str, body: bytes, *, protobuf: bool) -> Taken:
        """Take the body of a request to export `metrics`, `logs` or `traces`. TelemetryError where it can't be read,
        NotInstalled where nobody here could, Busy where too much is waiting."""
        if self._waiting >= WAITING_LIMIT:
            self._counts["runtimes_otlp_busy"] += 1
            raise Busy("This node has as much telemetry to read as may wait. Send it again in a moment.")
        self._waiting += 1
        try:
            take = partial(self._take, Signal(signal), body, protobuf, self._wall())
            outcome = await trio.to_thread.run_sync(take, limiter=self._one)
        finally:
            self._waiting -= 1
        self._counts.update(outcome.counts)
        for key, record in outcome.records:
            self._desk.hear(key, Channel.OTLP, record)
        return outcome.taken

    def tells_itself(self, instance: str) -> None:
        """A program, by its `service.instance.id`, tells by states what its telemetry tells: that is left out."""
        self._telling[instance] = None
        self._telling.move_to_end(instance)
        if len(self._telling) > TELLING:
            self._telling.popitem(last=False)

    # In the thread

    def _take(self, signal: Signal, body: bytes, protobuf: bool, now: float) -> _Outcome:
        counts: Counter[str] = Counter({"runtimes_otlp_requests": 1})
        digest = blake2b(body, digest_size=16, key=signal.value.encode()).digest()
        if digest in self._seen:
            counts["runtimes_otlp_repeated"] += 1
            return _Outcome(Taken(), [], counts)
        decode = from_protobuf.decode if protobuf else from_json.decode
        batch = decode(signal, body, WANTED)
        self._remember(digest)
        told: dict[Key, Heard] = {}
        rejected, why = batch.rejected, batch.why
        for record in batch.records:
            problem = self._hear(record, now, told, counts)
            if problem:
                rejected, why = rejected + 1, why or problem
        counts["runtimes_otlp_records"] += len(batch.records)
        counts["runtimes_otlp_rejected"] += rejected
        return _Outcome(Taken(rejected, why), [(key, heard.record()) for key, heard in told.items()], +counts)

    def _remember(self, digest: bytes) -> None:
        self._seen[digest] = None
        if len(self._seen) > BATCHES:
            self._seen.popitem(last=False)

    def _hear(self, record: Record, now: float, told: dict[Key, Heard], counts: Counter[str]) -> str:
        """Let one record count. Returns why it can't, if so."""
        dialect = dialect_of(record)
        said = _made(dialect, record)
        if said is None:
            return ""
        if text(record.origin.resource, "service.instance.id") in self._telling:
            counts["runtimes_otlp_told_already"] += 1
            return ""
        session = dialect.session(record.origin, record.attributes)
        if session is None:
            counts["runtimes_otlp_nobody"] += 1
            return "a record says nothing of whose it is: set service.name or service.instance.id"
        heard = self._session(record, dialect, session, now, counts)
        at = min(_time_of(record) or now, now)
        fits = True
        if isinstance(said, Told):
            heard.tell(said, at, record if isinstance(record, Span) else None)
        elif isinstance(record, Point):
            before = heard.series
            fits = heard.count(said, record, at, max(0, SERIES_IN_ALL - self._series))
            self._series += heard.series - before
        if not fits:
            return "a metric has more series than this node counts"
        key = Key(heard.about.runtime, _key_of(heard.about))
        told[key] = heard
        return ""

    def _session(self, record: Record, dialect: Dialect, session: str, now: float, counts: Counter[str]) -> Heard:
        about = self._about(record, dialect, session, counts)
        key = Key(about.runtime, _key_of(about))
        heard = self._sessions.get(key)
        if heard is None:
            if len(self._sessions) >= DESK_LIMIT:
                _, longest_silent = self._sessions.popitem(last=False)
                self._series -= longest_silent.series
                counts["runtimes_otlp_sessions_dropped"] += 1
            heard = self._sessions[key] = Heard(about, dialect, self._tariff(dialect.provider), now)
        elif about.agent is not None:
            heard.about = about
        self._sessions.move_to_end(key)
        heard.heard_at = now
        return heard

    def _about(self, record: Record, dialect: Dialect, session: str, counts: Counter[str]) -> About:
        resource = record.origin.resource
        host = text(resource, "host.name")
        service = name(text(resource, "service.name"))
        return About(
            runtime=dialect.runtime or _language(resource),
            session=name(session) or blake2b(session.encode(), digest_size=8).hexdigest(),
            agent=_agent(text(record.attributes, "meshfleet.agent") or text(resource, "meshfleet.agent"), counts),
            host=None if host is None or _short(host) in self._hosts else name(_short(host)),
            project=service if dialect is GEN_AI else None,
        )


def _made(dialect: Dialect, record: Record) -> Told | Counted | None:
    if isinstance(record, Event):
        return dialect.event(record)
    return dialect.span(record) if isinstance(record, Span) else dialect.point(record)


def _key_of(about: About) -> str:
    """The session, kept apart from one of the same name on another machine."""
    return about.session if about.host is None else f"{about.session}@{about.host}"


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def _language(resource: Attributes) -> str:
    language = name(text(resource, "telemetry.sdk.language")) or "otel"
    return LANGUAGES.get(language, language)


def _agent(given: str | None, counts: Counter[str]) -> str | None:
    if given is None:
        return None
    try:
        return agent_id(given)
    except ConfigError:
        counts["runtimes_otlp_bad_agent"] += 1
        return None


def _time_of(record: Record) -> float:
    if isinstance(record, Event):
        return seconds(text(record.attributes, "event.timestamp")) or record.time
    return record.time if isinstance(record, Point) else record.end or record.start
