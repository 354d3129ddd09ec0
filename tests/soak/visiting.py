"""HTTP to a node inside its own network namespace, from outside: its view listens on loopback there, as usual.

A socket belongs to the namespace in which it was made, wherever its program goes after that. So a thread steps in,
makes one, and steps out again.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import msgspec

from meshfleet.client.http import PATIENCE, There, learn
from meshfleet.client.session import Memory, Session
from meshfleet.errors import ConfigError, NoAnswer
from meshfleet.fleet.view import FleetView
from meshfleet.node.keyfile import read_local_key

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.state import AgentState

CLONE_NEWNET = 0x40000000
VIEW = "http://127.0.0.1:7879"

learn(FleetView)  # before its threads begin

_libc = ctypes.CDLL(None, use_errno=True)
"""`os.setns` came with Python 3.12."""


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Connection(HTTPConnection):
    """One whose socket is made in `space`."""

    space = ""

    def connect(self) -> None:
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        away = os.open(f"/run/netns/{self.space}", os.O_RDONLY)
        try:
            _enter(away)
            try:
                made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                _enter(home)
        finally:
            os.close(home)
            os.close(away)
        made.settimeout(self.timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            made.connect((self.host, self.port))
        except OSError:
            made.close()
            raise
        self.sock = made


class Inside(There, frozen=True):
    """The node of one namespace."""

    space: str = ""

    def connection(self, patience: float = PATIENCE) -> HTTPConnection:
        """A connection that is not open yet."""
        made = _Connection("127.0.0.1", 7879, timeout=patience)
        made.space = self.space
        return made


class Visitor:
    """Asks one node, with the key that lies in its state dir. For one thread at a time."""

    def __init__(self, space: str, state_dir: Path) -> None:
        self.there = Inside(VIEW, space=space)
        self._state_dir = state_dir
        self._session: Session | None = None
        self._tokens = Memory()

    def token(self) -> str:
        """A good one, as far as is known here. NoAnswer where there is none to be had."""
        if self._session is None:
            key = read_local_key(self._state_dir)
            if key is None:
                raise NoAnswer(f"{self._state_dir} has no key yet")
            self._session = Session(self.there, key, cache=self._tokens)
        try:
            return self._session.token()
        except ConfigError as error:
            raise NoAnswer(str(error)) from error

    def view(self, token: str) -> bytes | None:
        """The answer's bytes; None where the token is no longer good, after a step of its clock or a rotation."""
        with self.there.asked("GET", "/v1/fleet", {"Authorization": f"Bearer {token}"}) as response:
            body = self.there.body_of(response)
            if response.status == HTTPStatus.UNAUTHORIZED:
                if self._session is not None:
                    self._session.forget()
                return None
            if response.status != HTTPStatus.OK:
                raise NoAnswer(f"{response.status}: {body[:200]!r}")
            return body

    def fleet(self) -> FleetView:
        """What it sees now. NoAnswer where it says nothing of use."""
        body = self.view(self.token()) or self.view(self.token())
        if body is None:
            raise NoAnswer("it refuses tokens that it has just given out")
        return msgspec.json.decode(body, type=FleetView)

    def tell(self, state: AgentState) -> None:
        """An agent's word. NoAnswer where it was not taken."""
        path, headers = f"/v1/agents/{state.agent_id}/state", {"Content-Type": "application/json"}
        with self.there.asked("POST", path, headers, msgspec.json.encode(state)) as response:
            body = self.there.body_of(response)
            if response.status != HTTPStatus.ACCEPTED:
                raise NoAnswer(f"{response.status}: {body[:200]!r}")
