"""One request to one node, and what can go wrong with it, in words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from meshfleet.errors import ConfigError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 5.0
"""Seconds for an answer. A node that takes longer is of no use to who asks what is going on now."""

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer. A fleet of 10,000 agents has about 10 MB."""

PORTS = {"http": 80, "https": 443}

_NAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH (openssl/x509_vfy.h), nameless in Python."""


def learn(*kinds: object) -> None:
    """Have msgspec look at these types, before any thread asks. It does so where one is decoded first, and two threads
    that come there at once end the process with a segmentation fault (0.22: in 2 of 8 tries; `make soak` met it)."""
    for kind in kinds:
        msgspec.json.Decoder(kind)


class _Problem(msgspec.Struct, frozen=True):
    error: str


learn(_Problem)


class There(msgspec.Struct, frozen=True):
    """One node, and how it is asked."""

    url: str
    """`http://HOST:PORT` or `https://HOST:PORT`."""
    ca: Path | None = None
    """A file with what vouches for its certificate; None for what the system trusts."""
    pinned: bool = False
    """`ca` is the node's very certificate, out of its state dir: then that is enough, whatever names are in it."""
    elsewhere: Callable[[], str] = str
    """What else to try where it does not answer, as a sentence."""

    def __post_init__(self) -> None:
        try:
            split = urlsplit(self.url)
            sound = split.scheme in PORTS and split.hostname is not None and split.port != 0
        except ValueError:  # a bracket too few, a port that is none
            sound = False
        if not sound:
            raise ConfigError(f"{self.url!r} is no address of a node. Write http://HOST:PORT, or https://HOST:PORT.")

    @property
    def host(self) -> str:
        """Host and port as the Host header has them, and as a proof of possession is made for."""
        return urlsplit(self.url).netloc.lower()

    @contextmanager
    def asked(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        patience: float = PATIENCE,
    ) -> Iterator[HTTPResponse]:
        """The head of the answer; its body is there to be read. NoAnswer where none comes."""
        connection = self.connection(patience)
        try:
            try:
                connection.request(method, path, body, {"Host": self.host, **headers})
                response = connection.getresponse()
            except (socket.gaierror, UnicodeError) as error:
                name = urlsplit(self.url).hostname
                raise ConfigError(f"{self.url}: {name!r} can't be resolved. Is the name right?") from error
            except ssl.SSLCertVerificationError as error:
                raise ConfigError(f"{self.url}: {self._mistrust(error)}") from error
            except TimeoutError as error:
                raise NoAnswer(
                    f"{self.url} accepts, and says nothing for {patience:.0f} s: it may be stopped."
                ) from error
            except (OSError, HTTPException) as error:
                why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
                raise NoAnswer(f"no node answered at {self.url} ({why}). {self.elsewhere()}".rstrip()) from error
            yield response
        finally:
            connection.close()

    def _mistrust(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code in (_NAME_MISMATCH, _ADDRESS_MISMATCH):
            name = urlsplit(self.url).hostname
            return (
                f"its certificate is for other names ({error.verify_message}). Ask it by one of these, or start the "
                f"node with --http-name {name}, and copy its http.crt anew."
            )
        return (
            f"its certificate is not trusted here ({error.verify_message}). Copy http.crt from the node's state dir, "
            "and name it: --ca FILE, or MESHFLEET_CA."
        )

    def body_of(self, response: HTTPResponse) -> bytes:
        """All of it. NoAnswer where it ends before its end."""
        try:
            return response.read(ANSWER_LIMIT)
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"{self.url} stopped in the middle of its answer ({error}). Ask again.") from error

    def problem_in(self, response: HTTPResponse, body: bytes) -> str:
        """The sentence of a refusal. NoAnswer where it is none of a node."""
        try:
            return msgspec.json.decode(body, type=_Problem).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NoAnswer(
                f"{self.url} answers {response.status}, and not as a node does. Is that the right port?"
            ) from None

    def connection(self, patience: float = PATIENCE) -> HTTPConnection:
        """A connection that is not open yet. ConfigError where `ca` can't be used."""
        split = urlsplit(self.url)
        port = split.port or PORTS.get(split.scheme, 0)
        if split.scheme != "https":
            return HTTPConnection(split.hostname or "", port, timeout=patience)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # SSLError is one, too
            raise ConfigError(f"{self.ca} can't be used as a certificate: {error.strerror or error}.") from error
        if self.pinned and self.ca is not None:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return HTTPSConnection(split.hostname or "", port, timeout=patience, context=context)
