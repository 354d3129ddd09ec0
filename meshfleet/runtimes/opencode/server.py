"""Events and answers of one opencode server -> its sessions that changed. Pure; times are handed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from meshfleet.runtimes.opencode import telling
from meshfleet.runtimes.opencode.session import OpenCodeSession
from meshfleet.runtimes.opencode.telling import Doing, Info, Request

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.runtimes.opencode.telling import Event, Message
    from meshfleet.runtimes.record import SessionRecord

SESSIONS_LIMIT = 512
"""Sessions of one server that are kept. Beyond it the one that changed longest ago goes."""

_SESSION = re.compile(r"[A-Za-z0-9_-]{4,100}")


class Listed(msgspec.Struct, frozen=True):
    """What a server answered when it was asked for all at once."""

    sessions: list[Info]
    doing: Mapping[str, Doing]
    waiting: list[Request]
    """For a person; empty where the server does not list it."""


class Server:
    """What one server has told."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._sessions: dict[str, OpenCodeSession] = {}
        self._changed: dict[str, None] = {}
        self._spoken: set[str] = set()
        self.windows: dict[tuple[str, str], int] = {}
        """Tokens that a model's context holds, by provider and model."""

    def event(self, data: bytes, now: float) -> None:
        """The data of one event of the stream. Never raises on what is in it."""
        try:
            event = telling.event(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._counts["runtimes_bad_events"] += 1
            return
        if event is None:
            return
        said = event.properties
        info = said.info
        about = said.sessionID or (said.part.sessionID if said.part is not None else None)
        if about is None and info is not None:
            about = info.sessionID or info.id
        session = self._session(about)
        if session is None:
            self._counts["runtimes_bad_events"] += 1
            return
        session.noticed(now)
        self._spoken.add(session.session)
        self._apply(event, session, now)
        self._changes(session)

    def _apply(self, event: Event, session: OpenCodeSession, now: float) -> None:
        said = event.properties
        match event.type:
            case "session.created" | "session.updated" if said.info is not None:
                session.described(said.info)
            case "session.deleted":
                session.ends(now)
            case "session.status" if said.status is not None:
                session.does(said.status.type, now)
            case "session.idle":
                session.does("idle", now)
            case "session.error":
                session.fails(said.error, now)
            case "message.updated" if said.info is not None:
                session.message(said.info)
            case "message.part.updated" if said.part is not None:
                session.part(said.part, now)
            case "permission.asked" | "permission.updated" | "question.asked" if said.id is not None:
                session.asks(said.id, said.tool, now)
            case "permission.replied" | "question.replied" | "question.rejected":
                session.answered(said.requestID or said.permissionID, now)

    def listed(self, listed: Listed, asked_at: float, now: float, since: float) -> list[str]:
        """An answer to what was asked at `asked_at`. Sessions unknown so far count if they changed after `since` or do
        something. Returns those of whose answers too little is known: new ones, and such as changed without a word on
        the stream."""
        waiting: dict[str, set[str]] = {}
        for request in listed.waiting:
            waiting.setdefault(request.sessionID, set()).add(request.id)
        unclear = []
        for info in listed.sessions:
            known = info.id in self._sessions
            doing = listed.doing.get(info.id or "")
            if not known and doing is None and _milliseconds(info.time.updated) < since * 1000:
                continue
            session = self._session(info.id)
            if session is None:
                continue
            moved = session.updated != info.time.updated
            if session.session not in self._spoken and (moved or not session.context_known):
                unclear.append(session.session)
            if session.heard_at < asked_at:  # else the stream has been faster, and knows better
                before = session.record(None)
                session.described(info)
                self._status(session, doing.type if doing is not None else "idle", now)
                session.asked(waiting.get(session.session, set()), now)
                if session.record(None) != before:
                    self._changes(session)
        self._spoken.clear()
        return unclear

    def read(self, about: str, messages: list[Message], now: float) -> None:
        """The newest messages of a session, oldest first."""
        session = self._session(about)
        if session is None:
            return
        for message in messages:
            session.message(message.info)
            for part in message.parts:
                session.part(part, now)
        self._changes(session)

    def gone(self, now: float) -> None:
        """The server ended: its sessions run nowhere."""
        for session in self._sessions.values():
            session.ends(now)
            self._changes(session)

    def take_changed(self) -> list[SessionRecord]:
        """What is known of those that changed since the last call."""
        changed, self._changed = self._changed, {}
        sessions = [self._sessions[each] for each in changed if each in self._sessions]
        return [session.record(self.windows.get(session.model) if session.model else None) for session in sessions]

    def windows_are(self, windows: dict[tuple[str, str], int]) -> None:
        """The list of models; all sessions are told anew with it."""
        if windows != self.windows:
            self.windows = windows
            self._changed.update(dict.fromkeys(self._sessions))

    @property
    def lacks_a_window(self) -> bool:
        """Whether a session uses a model that is not in the list of windows."""
        return any(s.model is not None and s.model not in self.windows for s in self._sessions.values())

    def _status(self, session: OpenCodeSession, doing: str | None, now: float) -> None:
        if doing != session.doing or session.over:
            session.does(doing, now)

    def _session(self, about: str | None) -> OpenCodeSession | None:
        if about is None or not _SESSION.fullmatch(about):
            return None
        session = self._sessions.pop(about, None)
        if session is None:
            session = OpenCodeSession(about)
            if len(self._sessions) >= SESSIONS_LIMIT:
                self._counts["runtimes_over_limit"] += 1
                del self._sessions[next(iter(self._sessions))]
        self._sessions[about] = session  # the newest last
        return session

    def _changes(self, session: OpenCodeSession) -> None:
        self._changed[session.session] = None


def _milliseconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
