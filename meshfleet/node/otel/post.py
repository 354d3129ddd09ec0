"""Sending to a collector over HTTP/1.1, from Trio: bounded in time and in what is read, by h11 and nothing else.

Redirects are not followed: the headers that let us in would go along, to wherever an answer says.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

import h11
import trio

from meshfleet.node.otel.answers import ANSWER_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

CHUNK = 16_384
HEARD_LIMIT = 65_536
"""Bytes that are heard of one answer, heads and all that comes before it included."""

RETRYABLE = (429, 502, 503, 504)
"""Statuses after which the same may be sent again; after all others it must not be (OTLP 1.10, Failures)."""


class Answer(NamedTuple):
    """A collector's answer."""

    status: int
    media: str
    retry_after: str
    location: str
    body: bytes


class Unsent(Exception):
    """Nothing came of a request: nobody there, no HTTP, or an end in the middle. The text shows nothing secret."""

    def __init__(self, why: str, *, lasts: bool = False) -> None:
        super().__init__(why)
        self.lasts = lasts
        """It is no use to try again at once."""


class Connection:
    """One connection to a collector, for the requests of one export. An async context manager."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self._url = urlsplit(url)
        self._tls = tls
        self._http = h11.Connection(h11.CLIENT)
        self._stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def post(self, body: bytes, headers: Sequence[tuple[str, str]]) -> Answer:
        """Send `body`; the answer. Unsent where there is none. Whoever calls sets the time that it may take."""
        try:
            await self._connect()
            return await self._exchange(body, headers)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            await self._close()
            raise _of_tls(error.__cause__) from None
        except h11.ProtocolError:
            await self._close()
            raise Unsent("it does not speak HTTP", lasts=True) from None
        except OSError as error:
            await self._close()
            raise Unsent(_why(error)) from None
        except BaseException:
            await self._close()
            raise

    async def _connect(self) -> None:
        if self._stream is not None:
            return
        host, https = self._url.hostname or "", self._url.scheme == "https"
        stream = await trio.open_tcp_stream(host, self._url.port or (443 if https else 80))
        self._http = h11.Connection(h11.CLIENT)
        if https:
            assert self._tls is not None
            self._stream = trio.SSLStream(stream, self._tls, server_hostname=host, https_compatible=True)
        else:
            self._stream = stream

    async def _exchange(self, body: bytes, headers: Sequence[tuple[str, str]]) -> Answer:
        head = [("Host", self._url.netloc), *headers, ("Content-Length", str(len(body)))]
        request = h11.Request(method="POST", target=self._url.path or "/", headers=head)
        events: list[h11.Event] = [request, h11.Data(data=body), h11.EndOfMessage()]
        stream = self._stream
        assert stream is not None
        await stream.send_all(b"".join(self._http.send(event) or b"" for event in events))
        answer, read, heard = h11.Response(status_code=200, headers=[]), bytearray(), 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = bytes(await stream.receive_some(CHUNK))
                heard += len(data)
                if heard > HEARD_LIMIT:
                    await self._close()
                    raise Unsent("it answers without end", lasts=True)
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                read += event.data
                if len(read) > ANSWER_LIMIT:
                    await self._close()  # its status is all that matters
                    break
            elif not isinstance(event, h11.InformationalResponse):
                break
        await self._again()
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        return Answer(
            answer.status_code,
            told.get("content-type", ""),
            told.get("retry-after", ""),
            told.get("location", ""),
            bytes(read[:ANSWER_LIMIT]),
        )

    async def _again(self) -> None:
        """Keep the connection for the next request, where the collector does."""
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            await self._close()

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with trio.CancelScope(shield=True):  # closing by force waits for nothing
                await trio.aclose_forcefully(stream)


def _of_tls(cause: BaseException | None) -> Unsent:
    """A connection that broke; where TLS broke it, trying again is of no use."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        believed = "otel.certificate names whom to believe"
        return Unsent(f"its certificate is not believed ({cause.verify_message}): {believed}", lasts=True)
    if isinstance(cause, ssl.SSLError):
        return Unsent("it speaks no TLS that we do", lasts=True)
    return Unsent("it ended the connection without an answer")


def _why(error: OSError) -> str:
    """Of several addresses that were tried, what was wrong with the first."""
    cause = error.__cause__
    first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else error
    said = first if isinstance(first, OSError) else error
    if isinstance(said, ConnectionRefusedError):
        return "nobody listens there (connection refused): is it up, and otel.endpoint right?"
    return (said.strerror or type(said).__name__).lower()
