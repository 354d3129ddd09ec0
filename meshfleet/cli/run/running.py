"""`meshfleet run`: starts the command, then tells of it, then passes its exit code on."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.cli.run.process import Command, exit_code_of

if TYPE_CHECKING:
    import threading

    from meshfleet.cli.run.arguments import Arguments
    from meshfleet.cli.run.companion import Companion

REACH = 0.05
"""Seconds that finding out whether a node listens may take, without the look-up of a name. On loopback it takes less
than one thousandth."""

NAME_LIMIT = 40

NOBODY = "nobody watches this run, unless one is started. `meshfleet up` does."


def run_words(words: list[str]) -> int | None:
    """Run what the words after `meshfleet run` say; None where it takes the command's parser to understand them."""
    from meshfleet.cli.run.arguments import read

    arguments = read(words)
    return None if arguments is None else run(arguments)


class _Ready(NamedTuple):
    """What the command is started with."""

    inside: dict[str, str]
    agent: str
    node: str
    place: tuple[str, int] | None
    """Host and port of the node; None where its address is none."""
    listens: bool | None
    """None where that is found out beside the command."""
    reading: int
    writing: int


def run(arguments: Arguments) -> int:
    """Run the command to its end; its exit code, 128 + N after signal N, 127 or 126 where it could not be started."""
    ready = _prepared(arguments)
    command = Command()
    try:
        command.start(arguments.command, dict(os.environ) if isinstance(ready, str) else ready.inside)
    except OSError as error:
        _complain(f"{arguments.command[0]}: {(error.strerror or str(error)).lower()}. Nothing was run.")
        return exit_code_of(error)
    if isinstance(ready, str):
        _complain(f"this run is not told of: {ready}")
        return command.wait()
    os.close(ready.writing)
    lookout = _Lookout(ready, named=bool(arguments.node or os.environ.get("MESHFLEET_NODE")))
    lookout.begin()
    code = _beside(command, ready.agent, arguments.node, ready.reading)
    lookout.end()
    return code


def _prepared(arguments: Arguments) -> _Ready | str:
    """What the command is started with, or why nothing is told of it: whatever is wrong here, it is run."""
    try:
        from meshfleet.cli.run.environment import environment, is_plain_loopback
        from meshfleet.embed.finding import find

        node = find(arguments.node).url
        host = os.uname().nodename.partition(".")[0] or "localhost"
        agent = _agent(arguments, host)
        place = _place(node)
        listens = place is not None and (_listens(place) if _is_at_hand(place[0]) else None)
        protobuf = bool(listens) and is_plain_loopback(node) and _reads_protobuf()
        inside = environment(
            os.environ, arguments.command[0], agent, node=node, host=host, listens=bool(listens), protobuf=protobuf
        )
        reading, writing = _pipe()
    except Exception as error:  # no descriptor left, above all; and what nobody thought of
        return repr(error)
    inside["MESHFLEET_FD"] = str(writing)
    return _Ready(inside, agent, node, place, listens, reading, writing)


class _Lookout:
    """Says where nobody watches, and has the node started that rests here."""

    def __init__(self, ready: _Ready, named: bool) -> None:
        self._ready = ready
        self._named = named
        self._over = False
        self._thread: threading.Thread | None = None
        self._companion: Companion | None = None

    def begin(self) -> None:
        """Look. A server of names takes as long as it likes: for what it has to say the command doesn't wait."""
        if self._ready.listens is not None:
            self._tell(self._ready.listens)
            return
        with suppress(Exception):  # no thread to be had
            import threading

            self._thread = threading.Thread(target=self._look, name="meshfleet lookout", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """The command has ended."""
        if self._thread is not None:
            self._thread.join(REACH)
        self._over = True
        if self._companion is not None:
            self._companion.end()

    def _look(self) -> None:
        place = self._ready.place
        listens = place is not None and _listens(place)
        if not self._over:
            self._tell(listens)

    def _tell(self, listens: bool) -> None:
        node = self._ready.node
        if self._ready.place is None:
            _complain(f"{node!r} is no address of a node: nobody watches this run. Write http://HOST:PORT.")
        elif not listens:
            self._companion = None if self._named else _companion()
            watches = "one is started beside this run, and ends with it." if self._companion is not None else NOBODY
            _complain(f"no node answers at {node}: {watches}")


def _companion() -> Companion | None:
    """A node of this machine's, if it has been in a fleet and no node runs now."""
    try:
        from meshfleet.cli.run.companion import Companion

        companion = Companion()
        return companion if companion.start() else None
    except Exception:  # a configuration that is wrong, above all: `meshfleet up` tells
        return None


def _beside(command: Command, agent: str, node: str | None, reading: int) -> int:
    """Tell of the command while it runs. Whatever goes wrong with that, it is waited for."""
    telling = None
    try:
        from meshfleet.cli.run.telling import Telling
        from meshfleet.runtimes.record import project_of

        _be_quiet()
        telling = Telling(agent, node, command.pid, reading, project_of(os.getcwd()))
        telling.start()
    except Exception as error:  # nothing of ours may end the command, or our waiting for it
        _complain(f"this run is not told of: {error!r}")
    code = command.wait()
    if telling is not None:
        telling.close(code)
        lines = telling.lines
        if lines.bad:
            many = "1 line of MESHFLEET_FD was" if lines.bad == 1 else f"{lines.bad} lines of MESHFLEET_FD were"
            _complain(f"{many} not understood; the first: {lines.why}.")
    return code


def _agent(arguments: Arguments, host: str) -> str:
    """The agent's id: the one given, with this host's name before it, or one made of the command's name."""
    if arguments.agent is not None:
        return arguments.agent if "/" in arguments.agent else f"{host}/{arguments.agent}"
    name = os.path.basename(arguments.command[0])
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip("._-")
    return f"{host}/{kept[:NAME_LIMIT] or 'run'}-{os.urandom(2).hex()}"


def _pipe() -> tuple[int, int]:
    """The descriptors of MESHFLEET_FD. The command holds both ends: where we are killed, writing to it must not kill
    the command, too. And it must not wait: a full pipe refuses."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.set_inheritable(writing, True)
    os.set_blocking(writing, False)
    return reading, writing


def _place(node: str) -> tuple[str, int] | None:
    """Host and port of a node's URL; None where it is none."""
    from urllib.parse import urlsplit

    try:
        split = urlsplit(node)
        port = {"http": 80, "https": 443}[split.scheme] if split.port is None else split.port
    except (KeyError, ValueError):  # a scheme of something else, a bracket too few, a port that is none
        return None
    return (split.hostname, port) if split.hostname and port and split.scheme in ("http", "https") else None


def _is_at_hand(host: str) -> bool:
    """Whether no server of names is asked for it."""
    from meshfleet.fleet.names import is_ip

    return host == "localhost" or is_ip(host)


def _listens(place: tuple[str, int]) -> bool:
    """Whether somebody accepts connections there."""
    import socket

    try:
        with socket.create_connection(place, REACH):
            return True
    except (OSError, ValueError):
        return False


def _reads_protobuf() -> bool:
    """Whether nodes of this installation read OTLP as protobuf."""
    from importlib.util import find_spec

    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False


def _be_quiet() -> None:
    """The terminal is the command's: what the courier has to say of nodes that come and go is not for it."""
    import logging

    log = logging.getLogger("meshfleet")
    log.addHandler(logging.NullHandler())
    log.propagate = False


def _complain(text: str) -> None:
    """One line on standard error. Where it can't be said, the command runs all the same."""
    with suppress(Exception):
        from meshfleet.plain import one_line

        sys.stderr.write(f"meshfleet: {one_line(' '.join(text.split()))}\n")
        sys.stderr.flush()
