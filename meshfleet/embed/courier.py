"""Carries an agent's states to the machine's node, over HTTP, from one thread of its own."""

from __future__ import annotations

import http.client
import os
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from meshfleet.embed.fields import Said, state_of
from meshfleet.embed.finding import base_url
from meshfleet.logs import get_logger
from meshfleet.node.process import this_process

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.embed.mailbox import Mailbox

PATIENCE = 2.0
"""Seconds that a node may take to answer. Only this thread waits for them."""

REPEAT = 10.0
"""Seconds after which the newest state is told again, so that a node that was started anew knows of the agent."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts while no node answers."""

PROCESS_HEADER = "Meshfleet-Process"
"""Names the agent's process, so that its node sees it end."""

log = get_logger("meshfleet.agent")


class Courier:
    """Runs in its own thread until the mailbox is closed, and once more for what is in it then."""

    def __init__(
        self, agent_id: str, runtime: str, node: str | None, mailbox: Mailbox[Said], counts: Counter[str]
    ) -> None:
        self._agent_id = agent_id
        self._runtime = runtime
        self._node = node
        self._mailbox = mailbox
        self._counts = counts
        self._connection: http.client.HTTPConnection | None = None
        self._told_trouble = False

    def run(self) -> None:
        """The thread's whole life. Nothing that goes wrong in it leaves it."""
        try:
            self._carry()
        finally:
            self._close()

    def _carry(self) -> None:
        newest: Said | None = None
        pause, sent = 0.0, True
        while True:
            said = self._mailbox.wait(REPEAT if sent else pause)
            over = said is None and self._mailbox.closed
            said = self._mailbox.wait(0) if over else said
            newest = said or newest
            if newest is not None and (said is not None or not over or not sent):
                sent = self._try(newest)
            if over:
                return
            pause = 0.0 if sent else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))

    def _try(self, said: Said) -> bool:
        try:
            body = msgspec.json.encode(state_of(self._agent_id, self._runtime, said))
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            self._counts["invalid"] += 1
            self._complain("a state was not understood and is not shown", error)
            return True  # trying again would not help; the next update may
        try:
            self._post(body)
        except (OSError, http.client.HTTPException) as error:
            self._counts["unsent"] += 1
            self._close()
            self._complain("no node answers; the agent goes on unseen, and this is tried again", error)
            return False
        self._counts["sent"] += 1
        self._told_trouble = False
        return True

    def _post(self, body: bytes) -> None:
        if self._connection is None:
            there = urlsplit(base_url(self._node))
            self._connection = http.client.HTTPConnection(there.hostname or "", there.port or 80, timeout=PATIENCE)
        headers = {"Content-Type": "application/json"}
        me = this_process()
        if me is not None:
            headers[PROCESS_HEADER] = str(me)
        self._connection.request("POST", f"/v1/agents/{quote(self._agent_id)}/state", body, headers)
        answer = self._connection.getresponse()
        said = answer.read(4_096)
        if answer.status >= 300:
            self._counts["refused"] += 1
            self._complain(f"the node refused a state ({answer.status})", said.decode(errors="replace"))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, what: str, why: object) -> None:
        """Once, until something works again: an agent's log is not ours to fill."""
        if not self._told_trouble:
            self._told_trouble = True
            log.warning(what, agent=self._agent_id, why=why, pid=os.getpid(), at=time.strftime("%H:%M:%S"))
