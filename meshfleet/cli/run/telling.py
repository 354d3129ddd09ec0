"""Tells the node what a command does: that it runs, what it writes to its pipe, how it ended.

Two threads, both beside the command and never before it: one reads the pipe, the other carries the newest state.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from meshfleet.cli.run.lines import Lines
from meshfleet.embed.courier import Courier
from meshfleet.embed.fields import Said, new_session
from meshfleet.embed.mailbox import Mailbox
from meshfleet.fleet.state import Status
from meshfleet.node.process import process_of

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIME = "process"
"""What a command counts as of which nothing else is known."""

FAREWELL = 2.0
"""Seconds that the last word may take to get out, where a node has been there. The command is over by then."""

PIECE = 65_536

RUNS = "inferred:its process runs"
"""Where the status comes from until the command says something itself."""


class Telling:
    """What is told of one command. Nothing here raises into it, or makes it wait."""

    def __init__(self, agent: str, node: str | None, pid: int, pipe: int, project: str | None) -> None:
        self.lines = Lines()
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        fields = {"status": Status.WORKING.value, "session": new_session(pid), "project": project}
        self._said = Said(fields, time.time(), sources={"status": RUNS})
        self._mailbox: Mailbox[Said] = Mailbox()
        self._mailbox.put(self._said)
        courier = Courier(agent, RUNTIME, node, self._mailbox, self.counts, process=process_of(pid))
        self._courier = threading.Thread(target=courier.run, name="meshfleet courier", daemon=True)
        self._pipe = pipe
        self._stop, self._stopped = os.pipe()
        self._reader = threading.Thread(target=self._read, name="meshfleet pipe", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._reader.start()
        self._courier.start()

    def close(self, code: int) -> None:
        """The command has ended with `code`: read what it left in its pipe, and say goodbye."""
        os.write(self._stopped, b".")
        self._reader.join(FAREWELL)
        self._hear({"status": Status.EXITED.value, "exit_code": code, "active_tool": None})
        self._mailbox.close()
        if (
            self.counts["sent"] or not self.counts["unsent"]
        ):  # a short command is over before the first word is answered
            self._courier.join(FAREWELL)

    def _read(self) -> None:
        """The pipe's thread. What is written after the command's end, by a process that it left, is not read."""
        os.set_blocking(self._pipe, False)
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            try:
                piece = os.read(self._pipe, PIECE)
            except BlockingIOError:
                piece = None
            if piece:
                self._hear(self.lines.feed(piece))
            elif piece == b"" or self._stop in ready:
                return

    def _hear(self, fields: Mapping[str, object]) -> None:
        if not fields:
            return
        now = time.time()
        with self._lock:
            before = self._said
            since = before.tool_since
            if "active_tool" in fields and fields["active_tool"] != before.fields.get("active_tool"):
                since = now
            sources = {**before.sources, **{name: "reported:agent" for name in fields if name in before.sources}}
            self._said = Said({**before.fields, **fields}, now, since, sources=sources)
            self._mailbox.put(self._said)
