"""One export, in as many requests as it takes: tried again with growing pauses where the collector may yet take it,
given up where it never will, or when its time is over.

    what comes                      what is done
    200                             done; points that were rejected are counted, and never sent again
    429, 502, 503, 504              again after Retry-After, else after a pause that doubles, with jitter
    nobody there, no answer         the same
    a redirect, any other status    given up until the next interval
"""

from __future__ import annotations

import gzip
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from meshfleet.node.otel import as_json
from meshfleet.node.otel.answers import JSON, PROTOBUF, Said, read_answer, shown
from meshfleet.node.otel.headers import headers
from meshfleet.node.otel.post import RETRYABLE, Answer, Connection, Unsent
from meshfleet.node.otel.series import split
from meshfleet.node.otel.settings import Compression, Protocol

if TYPE_CHECKING:
    import random
    from collections import Counter
    from collections.abc import Callable, Mapping

    from meshfleet.node.otel.headers import Headers
    from meshfleet.node.otel.series import Export
    from meshfleet.node.otel.settings import Otel

POINTS = 8_192
"""Data points of one request: some 2 MB of JSON before it is compressed. Receivers take 20 MiB (OTLP 1.10)."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds before something is sent again: the first time, and at most. Each pause is drawn from half of it to all."""

RETRY_AFTER_LIMIT = 3_600.0
"""Seconds of rest that a collector may ask for. What asks for more is taken to mean this."""


ADVICE = {
    401: "is what otel.headers_file or OTEL_EXPORTER_OTLP_HEADERS says still good?",
    403: "is what otel.headers_file or OTEL_EXPORTER_OTLP_HEADERS says still good?",
    404: "nothing takes OTLP there; does otel.endpoint lack a path, such as /otlp or /api/v1/otlp?",
    405: "nothing takes OTLP there; does otel.endpoint lack a path, such as /otlp or /api/v1/otlp?",
    413: "an export of this size is too large for it",
    415: "it does not take this encoding; set otel.protocol to the other one",
}
"""What to do about a status."""


class GivenUp(Exception):
    """An export did not get through. The text says why, and shows nothing secret."""


class Sending:
    """Sends exports to one collector, one after the other."""

    def __init__(
        self,
        otel: Otel,
        counts: Counter[str],
        wall: Callable[[], float],
        rng: random.Random,
        environment: Mapping[str, str],
        version: str,
    ) -> None:
        assert otel.endpoint is not None
        self._otel = otel
        self._url = otel.endpoint
        self._encoding = otel.encoding
        self._counts = counts
        self._wall = wall
        self._rng = rng
        self._environment = environment
        self._agent = f"meshfleet/{version}"
        self._thread = trio.CapacityLimiter(1)
        self.not_before = -1.0
        """Trio's time before which the collector does not want to hear anything."""

    async def send(self, export: Export, until: float) -> None:
        """Deliver it; nothing is sent again after `until`, Trio's time. GivenUp says why it did not get through,
        ConfigError which header can't be."""
        secrets, bodies, tls = await trio.to_thread.run_sync(
            self._prepare, export, abandon_on_cancel=True, limiter=self._thread
        )
        sent = self._with(secrets)
        async with Connection(self._url, tls) as connection:
            for points, body in bodies:
                await self._until_taken(connection, body, points, sent, secrets, until)

    def _prepare(self, export: Export) -> tuple[Headers, list[tuple[int, bytes]], ssl.SSLContext | None]:
        """What takes time or a disk, in a thread."""
        otel = self._otel
        path = None if otel.headers_file is None else Path(otel.headers_file).expanduser()
        bodies = []
        for part in split(export, POINTS):
            body = _encoded(part, self._encoding)
            if otel.compression is Compression.GZIP:
                body = gzip.compress(body, 6, mtime=0)
            bodies.append((sum(len(metric.points) for metric in part.metrics), body))
        return headers(otel, self._environment, path), bodies, _tls(otel)

    def _with(self, secrets: Headers) -> Headers:
        """All headers of a request."""
        media = PROTOBUF if self._encoding is Protocol.PROTOBUF else JSON
        ours = [("Content-Type", media), ("Accept-Encoding", "identity")]
        if self._otel.compression is Compression.GZIP:
            ours.append(("Content-Encoding", "gzip"))
        if not any(name.lower() == "user-agent" for name, _ in secrets):
            ours.append(("User-Agent", self._agent))
        return (*ours, *secrets)

    async def _until_taken(
        self, connection: Connection, body: bytes, points: int, sent: Headers, secrets: Headers, until: float
    ) -> None:
        pause = FIRST_PAUSE
        while True:
            asked = 0.0
            try:
                with trio.fail_after(self._otel.timeout_s):
                    answer = await connection.post(body, sent)
            except trio.TooSlowError:
                why = f"it did not answer within {self._otel.timeout_s:g} s"
            except Unsent as error:
                why = str(error)
                if error.lasts:
                    raise GivenUp(why) from None
            else:
                if 200 <= answer.status < 300:
                    self._taken(answer, points)
                    return
                why = self._refused(answer, points, secrets)
                asked = self._rest(answer.retry_after)
            pause = await self._pause(pause, asked, until, why)

    async def _pause(self, pause: float, asked: float, until: float, why: str) -> float:
        """Wait before the next try; how long to wait after it. GivenUp where there is no time for one."""
        drawn = asked or pause * (0.5 + self._rng.random() / 2)
        now = trio.current_time()
        if asked:
            self.not_before = now + asked
        if now + drawn >= until:
            raise GivenUp(why)
        self._counts["otel_retries"] += 1
        await trio.sleep(drawn)
        return min(2 * pause, LONGEST_PAUSE)

    def _taken(self, answer: Answer, points: int) -> None:
        said = read_answer(answer.media, answer.body, points)
        if said is None:
            self._counts["otel_unreadable"] += 1  # it said yes, in words that nobody knows
            said = Said()
        self._counts["otel_exports"] += 1
        self._counts["otel_points"] += points - said.rejected
        self._counts["otel_rejected_points"] += said.rejected

    def _refused(self, answer: Answer, points: int, secrets: Headers) -> str:
        """Why; GivenUp where it is of no use to try again."""
        said = read_answer(answer.media, answer.body, points) or Said()
        hidden = [value for _, value in secrets]
        text = f': "{reason}"' if (reason := shown(said.text, hidden)) else ""
        advice = f": {ADVICE[answer.status]}" if answer.status in ADVICE else ""
        why = f"it answers {answer.status}{text}{advice}"
        if answer.status in RETRYABLE:
            return why
        if 300 <= answer.status < 400:
            where = shown(answer.location.partition("?")[0], hidden)
            raise GivenUp(f"it redirects{f' to {where}' if where else ''}, and no redirect is followed")
        raise GivenUp(why)

    def _rest(self, retry_after: str) -> float:
        """Seconds that the collector asks for, as a number or a date; 0 where it says nothing that makes sense."""
        text = retry_after.strip()[:64]
        if text.isascii() and text.isdigit():
            seconds = float(text)
        else:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - self._wall()
            except (ValueError, TypeError, OverflowError):
                return 0.0
        return min(max(0.0, seconds), RETRY_AFTER_LIMIT)


def _encoded(export: Export, protocol: Protocol) -> bytes:
    if protocol is Protocol.JSON:
        return as_json.encode(export)
    from meshfleet.node.otel import as_protobuf

    return as_protobuf.encode(export)


def _tls(otel: Otel) -> ssl.SSLContext | None:
    """Made anew for each export, so that renewed certificates count."""
    if otel.endpoint is None or not otel.endpoint.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=_path(otel.certificate))
        if otel.client_certificate is not None:
            context.load_cert_chain(_path(otel.client_certificate) or "", _path(otel.client_key))
    except (OSError, ssl.SSLError) as error:
        raise GivenUp(f"a certificate or key of otel can't be read: {error.strerror or error}") from error
    return context


def _path(text: str | None) -> str | None:
    return None if text is None else str(Path(text).expanduser())
