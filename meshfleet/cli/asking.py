"""Which node a command talks to, and how it reads from it over HTTP.

Plain blocking calls of the standard library: a command asks once and ends.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from meshfleet.cli.files import RUNNING, Running, running_in
from meshfleet.cli.outcome import NoAnswer, Refused
from meshfleet.errors import ConfigError
from meshfleet.fleet.names import parse_address
from meshfleet.node.settings import HTTP_PORT, Given, default_state_base, load

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5.0
"""Seconds for an answer over HTTP. A node that takes longer is of no use to who asks what is going on now."""

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer. A fleet of 10,000 agents has about 10 MB."""

_T = TypeVar("_T")


class _Problem(msgspec.Struct, frozen=True):
    error: str


def base_url(node: str | None, state_dir: str | None) -> str:
    """Whom to ask: `--node`, the node of `--state-dir`, MESHFLEET_NODE, the node of the default state dir, or whoever
    has the default port. ConfigError where a name is wrong, NoAnswer where `state_dir` has no running node."""
    if node is not None:
        return _url(node, "--node")
    if state_dir is not None:
        running = running_in(Path(state_dir).expanduser())
        if running is None:
            raise NoAnswer(f"no node runs in {state_dir}. {elsewhere()}")
        return running.http
    if os.environ.get("MESHFLEET_NODE"):
        return _url(os.environ["MESHFLEET_NODE"], "MESHFLEET_NODE")
    settings = load(Given(), os.environ)
    running = running_in(settings.state_dir)
    return f"http://{settings.http}" if running is None else running.http


def socket_dir(node: str | None, state_dir: str | None) -> Path:
    """The state dir of the node that `--node` or `--state-dir` names, or of the default one."""
    if state_dir is not None:
        return Path(state_dir).expanduser()
    if node is None:
        return load(Given(), os.environ).state_dir
    url = _url(node, "--node")
    for folder, running in running_here():
        if running.http == url:
            return folder
    raise ConfigError(
        f"--node {node}: no state dir here belongs to it. A node is administered on its own machine: give --state-dir."
    )


def running_here() -> list[tuple[Path, Running]]:
    """The nodes that run on this machine with a state dir in the usual place, those of a demo among them."""
    found: list[tuple[Path, Running]] = []
    for pattern in (f"*/{RUNNING}", f"demo/*/{RUNNING}"):
        for path in sorted(default_state_base().glob(pattern)):
            running = running_in(path.parent)
            if running is not None:
                found.append((path.parent, running))
    return found


def get(url: str, path: str) -> bytes:
    """The body of `GET path`. NoAnswer where no node answers, ConfigError where it knows nothing of that name."""
    with _opened(url, path) as response:
        return _body(response, url)


def get_as(url: str, path: str, kind: type[_T]) -> _T:
    """The same, read as `kind`."""
    return understood(get(url, path), kind, url)


def understood(body: bytes, kind: type[_T], url: str) -> _T:
    """`body` as `kind`. NoAnswer where it isn't: whatever answered is no node of this version."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoAnswer(f"{url} answers, but not as a node of this version does: {error}.") from error


def views(url: str) -> Iterator[bytes]:
    """Each new `/v1/fleet` as the node's event stream tells it, until that ends. NoAnswer where no node answers."""
    with _opened(url, "/v1/fleet/events", patience=60.0) as response:
        if response.status != 200:
            _body(response, url)
        try:
            while line := response.readline(ANSWER_LIMIT):
                if line.startswith(b"data: "):
                    yield line.removeprefix(b"data: ")
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"{url} stopped answering: {error}.") from error


def path_of(prefix: str, name: str) -> str:
    """`prefix` and a name that may have any characters in it."""
    return f"{prefix}/{quote(name, safe='/:@')}"


@contextmanager
def _opened(url: str, path: str, patience: float = PATIENCE) -> Iterator[HTTPResponse]:
    split = urlsplit(url)
    connection = HTTPConnection(split.hostname or "", split.port or HTTP_PORT, timeout=patience)
    try:
        try:
            connection.request("GET", path, headers={"Accept": "application/json, text/event-stream"})
            response = connection.getresponse()
        except socket.gaierror as error:
            raise ConfigError(f"{url}: {split.hostname!r} can't be resolved. Is the name right?") from error
        except TimeoutError as error:
            raise NoAnswer(f"{url} accepts, and says nothing for {patience:.0f} s: it may be stopped.") from error
        except (OSError, HTTPException) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            raise NoAnswer(f"no node answered at {url} ({why}). {elsewhere()}") from error
        yield response
    finally:
        connection.close()


def _body(response: HTTPResponse, url: str) -> bytes:
    try:
        body = response.read(ANSWER_LIMIT)
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"{url} stopped in the middle of its answer ({error}). Ask again.") from error
    if response.status == HTTPStatus.OK:
        return body
    try:
        problem = msgspec.json.decode(body, type=_Problem).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NoAnswer(f"{url} answers {response.status}, and not as a node does. Is that the right port?") from None
    if response.status == HTTPStatus.NOT_FOUND:
        raise ConfigError(problem)
    raise Refused(problem)


def _url(node: str, where: str) -> str:
    """`--node` as a base URL: `http://127.0.0.1:7879`, or just `127.0.0.1:7879`."""
    scheme, separator, rest = node.partition("://")
    if separator and scheme != "http":
        raise ConfigError(f"{where} {node}: nodes are asked over http, not {scheme}. Write http://HOST:PORT.")
    try:
        address = parse_address((rest if separator else node).rstrip("/"), HTTP_PORT)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return f"http://{address}"


def elsewhere() -> str:
    """What to do where nobody answered: the nodes that do run here, or how to start one."""
    here = running_here()
    if not here:
        return "Start one with `meshfleet up`, or name another: --node http://HOST:PORT."
    return f"Running here: {', '.join(f'{running.name} (--node {running.http})' for _, running in here[:8])}."
