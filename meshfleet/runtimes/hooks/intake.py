"""Hooks and status lines, as they come in -> the desk. Nothing that comes in makes it raise or wait."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.runtimes import claude_code
from meshfleet.runtimes import codex as codex_rollouts
from meshfleet.runtimes.hooks import accounts, claude, codex, gemini, statusline
from meshfleet.runtimes.hooks.doing import Doing
from meshfleet.runtimes.hooks.events import Event, Kind
from meshfleet.runtimes.record import Channel
from meshfleet.runtimes.sessions import Key

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshfleet.runtimes.desk import Desk

SESSIONS_LIMIT = 1024
"""Sessions and sub-agents remembered; beyond it the one that was silent longest is forgotten, counted."""

ACCOUNT_EVERY = 60.0
"""Seconds between two looks at who is logged in."""

GEMINI = "gemini-cli"

Parser = tuple[str, "Callable[[bytes], Event | None]"]

PARSERS: dict[str, Parser] = {
    "claude": (claude_code.RUNTIME, claude.read),
    "codex": (codex_rollouts.RUNTIME, codex.read),
    "gemini": (GEMINI, gemini.read),
}
"""By the word in the path."""


class Hooks:
    """Satisfies `meshfleet.serve.hooks.HookIntake`. Owned by the Trio thread."""

    def __init__(
        self, desk: Desk, *, host: str, counts: Counter[str], wall: Callable[[], float], folders: Sequence[Path] = ()
    ) -> None:
        """`host` and `folders` (Claude Code's) say whose a subscription's limits are; `wall`: seconds since 1970."""
        self._desk = desk
        self._host = host
        self._folders = folders
        self._counts = counts
        self._wall = wall
        self._doing: dict[Key, Doing] = {}
        self._account = accounts.account((), host)

    async def run(self) -> None:
        """Look who is logged in, again and again, until cancelled."""
        while True:
            look = partial(accounts.account, self._folders, self._host)
            self._account = await trio.to_thread.run_sync(look)
            await trio.sleep(ACCOUNT_EVERY)

    def hook(self, runtime: str, body: bytes) -> None:
        """A hook of `claude`, `codex` or `gemini`."""
        parser = PARSERS.get(runtime)
        if parser is None:
            self._counts["runtimes_hooks_unknown"] += 1
            return
        kind, read = parser
        try:
            event = read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = None
        if event is None:
            self._counts["runtimes_hooks_bad"] += 1
            return
        self._counts["runtimes_hooks"] += 1
        self._take(kind, event, self._wall())

    def statusline(self, body: bytes) -> None:
        """What Claude Code gives its status line."""
        try:
            record = statusline.read(body, self._wall(), self._account)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if record is None:
            self._counts["runtimes_statuslines_bad"] += 1
            return
        self._counts["runtimes_statuslines"] += 1
        self._desk.hear(Key(record.runtime, record.session), Channel.STATUSLINE, record)

    def _take(self, runtime: str, event: Event, at: float) -> None:
        key = Key(runtime, event.session)
        if event.agent is not None:
            self._take_sub(key, event, at)
            return
        if event.kind is Kind.ASKING and event.tool is None and self._sub_waits(key):
            event = msgspec.structs.replace(event, kind=Kind.SPOKE)  # it was a sub-agent that asked
        self._tell(key, self._of(key), event, at)
        if event.kind is Kind.OVER:
            for sub, doing in self._subs(key):
                self._tell(sub, doing, msgspec.structs.replace(event, kind=Kind.SUB_OVER), at)

    def _take_sub(self, session: Key, event: Event, at: float) -> None:
        assert event.agent is not None
        key = Key(session.runtime, event.agent)
        if key not in self._doing and event.kind not in (Kind.SUB_BEGUN, Kind.TOOL, Kind.ASKING):
            return  # nothing of it was heard before, and it is no beginning
        if event.kind is Kind.TOOL_ENDED and (main := self._doing.get(session)) is not None:
            main.answered()
        self._tell(key, self._of(key, parent=session.session), event, at)

    def _tell(self, key: Key, doing: Doing, event: Event, at: float) -> None:
        doing.apply(event, at)
        self._desk.hear(key, Channel.HOOKS, doing.record())

    def _of(self, key: Key, parent: str | None = None) -> Doing:
        doing = self._doing.pop(key, None)
        if doing is None:
            while len(self._doing) >= SESSIONS_LIMIT:
                self._counts["runtimes_hooks_dropped"] += 1
                del self._doing[next(iter(self._doing))]
            doing = Doing(key.runtime, key.session, parent)
        self._doing[key] = doing  # the last one is the one that spoke last
        return doing

    def _subs(self, session: Key) -> list[tuple[Key, Doing]]:
        found = [(key, doing) for key, doing in self._doing.items() if doing.parent == session.session]
        return [(key, doing) for key, doing in found if key.runtime == session.runtime and not doing.over]

    def _sub_waits(self, session: Key) -> bool:
        return any(doing.waits for _, doing in self._subs(session))
