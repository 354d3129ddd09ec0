"""Which node a command talks to, and with which key it reads from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from meshfleet.cli.files import RUNNING, Running, pointers_in, running_in
from meshfleet.client import Client, Reader
from meshfleet.client.http import There
from meshfleet.client.session import Cache, Session
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.fleet.names import Address, node_url
from meshfleet.node.keyfile import KeyFile, read_local_key
from meshfleet.node.settings import CERTIFICATE, HTTP_PORT, Given, default_state_base, load, machine_name
from meshfleet.wire import apikeys

SESSIONS = ".sessions.json"
"""Beside the state dirs: what commands keep of their sessions, so that not each of them fetches one."""


class Asked(NamedTuple):
    """What the flags of a command say about whom to ask, and as whom."""

    node: str | None = None
    state_dir: str | None = None
    key_file: str | None = None
    ca: str | None = None


def reader(asked: Asked) -> Reader:
    """A reader of the node that the flags, the environment or the state dirs of this machine name.

    Its key: `--key-file`, the one for reading on this machine in the node's state dir, or MESHFLEET_API_KEY. In this
    order, since the variable stays set when it is this machine's own node that is asked.
    """
    there, key = _how(asked)
    cache = Cache(default_state_base() / SESSIONS)
    return Reader(there.url, key, ca=there.ca, pinned=there.pinned, cache=cache, elsewhere=elsewhere)


def client(asked: Asked, *others: str) -> Client:
    """A client that asks that node first, then `others`, then whom it learns of. Nodes that run here are asked with
    their own key and certificate; all others as the first one was."""
    there, key = _how(asked)
    cache = Cache(default_state_base() / SESSIONS)

    def made_for(url: str) -> Reader:
        found = None if url == there.url else _here(url)
        if found is None:
            pinned = there.pinned and url == there.url
            return Reader(url, key, ca=there.ca, pinned=pinned, cache=cache, elsewhere=elsewhere)
        its, its_key = _how(asked._replace(node=url, state_dir=str(found[0])))
        return Reader(url, its_key or key, ca=its.ca, pinned=its.pinned, cache=cache, elsewhere=elsewhere)

    return Client(there.url, *others, made_for=made_for)


def session(asked: Asked, lifetime_s: int) -> Session:
    """A session of its own with that node, as long as wanted. ConfigError where there is no key for it."""
    there, key = _how(asked)
    if key is None:
        raise ConfigError(f"there is no key here to ask {there.url} with. Name a file with one: --key-file FILE.")
    return Session(there, key, lifetime_s=lifetime_s)


def key_file_of(node: str | None, state_dir: str | None) -> KeyFile:
    """The API keys of the node that the flags name. It need not run."""
    folder = socket_dir(node, state_dir)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no state dir: no node ever ran there. Start one, or give --state-dir another.")
    return KeyFile(folder)


def _how(asked: Asked) -> tuple[There, apikeys.ApiKey | None]:
    url, folder = _whom(asked.node, asked.state_dir)
    key = _from_file(asked.key_file) or (None if folder is None else read_local_key(folder)) or _from_environment()
    ca = asked.ca or os.environ.get("MESHFLEET_CA")
    if ca:
        return There(url, Path(ca).expanduser(), elsewhere=elsewhere), key
    own = None if folder is None else folder / CERTIFICATE
    if own is not None and own.exists():
        return There(url, own, pinned=True, elsewhere=elsewhere), key
    return There(url, elsewhere=elsewhere), key


def _from_file(key_file: str | None) -> apikeys.ApiKey | None:
    if key_file is None:
        return None
    try:
        return apikeys.read(Path(key_file).expanduser().read_text(encoding="ascii", errors="replace"), key_file)
    except OSError as error:
        raise ConfigError(f"--key-file {key_file} can't be read: {error.strerror}.") from error


def _from_environment() -> apikeys.ApiKey | None:
    given = os.environ.get("MESHFLEET_API_KEY")
    return apikeys.read(given, "MESHFLEET_API_KEY") if given else None


def _whom(node: str | None, state_dir: str | None) -> tuple[str, Path | None]:
    """Base URL of the node to ask, and its state dir where that is known: `--node`, the node of `--state-dir`,
    MESHFLEET_NODE, the node of the default state dir, or whoever has the default port. ConfigError where a name is
    wrong, NoAnswer where `state_dir` has no running node."""
    if node is not None:
        return _named(node, "--node", None if state_dir is None else Path(state_dir).expanduser())
    if state_dir is not None:
        folder = Path(state_dir).expanduser()
        running = running_in(folder)
        if running is None:
            raise NoAnswer(f"no node runs in {state_dir}. {elsewhere()}")
        return running.http, folder
    if os.environ.get("MESHFLEET_NODE"):
        return _named(os.environ["MESHFLEET_NODE"], "MESHFLEET_NODE", None)
    settings = load(Given(), os.environ)
    running = running_in(settings.state_dir)
    if running is not None:
        return running.http, settings.state_dir
    return _named(str(settings.http), "http", None)


def _named(node: str, where: str, state_dir: Path | None) -> tuple[str, Path | None]:
    """The same for a node that was named. One that runs here is known by its address, whatever its scheme."""
    url = node_url(node, where, HTTP_PORT)
    if state_dir is not None:
        return url, state_dir
    found = _here(url)
    if found is None:
        return url, None
    return (url if "://" in node else found[1].http), found[0]


def _here(url: str) -> tuple[Path, Running] | None:
    wanted = _place(url)
    return next((found for found in running_here() if _place(found[1].http) == wanted), None)


def _place(url: str) -> str:
    """Host and port, with one word for this machine."""
    place = url.partition("://")[2]
    host, _, port = place.rpartition(":")
    return f"127.0.0.1:{port}" if host == "localhost" else place


def socket_dir(node: str | None, state_dir: str | None) -> Path:
    """The state dir of the node that `--node` or `--state-dir` names, else of the default one, else of the only one
    here: who started it as `--name first` need not say so again."""
    if state_dir is not None:
        return Path(state_dir).expanduser()
    if node is None:
        usual = load(Given(), os.environ).state_dir
        if usual == default_state_base() / machine_name() and running_in(usual) is None:
            here = running_here()
            return here[0][0] if len(here) == 1 else usual
        return usual
    found = _here(node_url(node, "--node", HTTP_PORT))
    if found is not None:
        return found[0]
    raise ConfigError(
        f"--node {node}: no state dir here belongs to it. A node is administered on its own machine: give --state-dir."
    )


def running_here() -> list[tuple[Path, Running]]:
    """The nodes of this user that run on this machine, those of a demo among them."""
    base = default_state_base()
    folders = [path.parent for pattern in (f"*/{RUNNING}", f"demo/*/{RUNNING}") for path in sorted(base.glob(pattern))]
    folders += pointers_in(base)
    found = {folder.absolute(): running for folder in folders if (running := running_in(folder)) is not None}
    return list(found.items())


def url_of(node: str | None) -> str:
    """The base URL of the node that `--node`, the environment or the state dirs here name. It need not run; where
    nobody named one, and the usual one does not, it is the only one that runs here."""
    if node is None and not os.environ.get("MESHFLEET_NODE"):
        settings = load(Given(), os.environ)
        here = [running.http for _, running in running_here()]
        was_told = settings.http != Address("127.0.0.1", HTTP_PORT)
        if not was_told and running_in(settings.state_dir) is None and len(here) == 1:
            return here[0]
    return _whom(node, None)[0]


def not_running(url: str) -> str | None:
    """Who runs here instead, where no node runs here at `url`; None where one does, or none at all."""
    return elsewhere() if running_here() and _here(url) is None else None


def path_of(prefix: str, name: str) -> str:
    """`prefix` and a name that may have any characters in it."""
    return f"{prefix}/{quote(name, safe='/:@')}"


def elsewhere() -> str:
    """What to do where nobody answered: the nodes that do run here, or how to start one."""
    here = running_here()
    if not here:
        return "Start one with `meshfleet up`, or name another: --node http://HOST:PORT."
    return f"Running here: {', '.join(f'{running.name} (--node {running.http})' for _, running in here[:8])}."
