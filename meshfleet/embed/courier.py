"""Carries an agent's states to the machine's node, over HTTP, from one thread of its own."""

from __future__ import annotations

import http.client
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from meshfleet.client.http import There
from meshfleet.embed.fields import Said, state_of
from meshfleet.embed.finding import find
from meshfleet.logs import get_logger
from meshfleet.node.process import this_process

if TYPE_CHECKING:
    from collections import Counter

    from meshfleet.client.session import Session
    from meshfleet.embed.mailbox import Mailbox
    from meshfleet.node.process import Process

PATIENCE = 2.0
"""Seconds that a node may take to answer. Only this thread waits for them."""

REPEAT = 10.0
"""Seconds after which the newest state is told again, so that a node that was started anew knows of the agent."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts while no node answers."""

PROCESS_HEADER = "Meshfleet-Process"
"""Names the agent's process, so that its node sees it end."""

TELEMETRY_HEADER = "Meshfleet-Telemetry"
"""Names this process's telemetry, where an instrumentation tells what is in it."""

also_told: list[str] = []
"""The `service.instance.id` of that. A node that is sent it, too, shows it once."""

log = get_logger("meshfleet.agent")


class Courier:
    """Runs in its own thread until the mailbox is closed, and once more for what is in it then."""

    def __init__(
        self,
        agent_id: str,
        runtime: str,
        node: str | None,
        mailbox: Mailbox[Said],
        counts: Counter[str],
        key: str | None = None,
        process: Process | None = None,
    ) -> None:
        """`process`: the agent's, where it is not this one."""
        self._process = process
        self._agent_id = agent_id
        self._runtime = runtime
        self._node = node
        self._mailbox = mailbox
        self._counts = counts
        self._key = key or _from_environment()
        self._session: Session | None = None
        self._exchanged_at: str | None = None
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
        except Exception as error:  # an agent may say anything, such as a number that no float can hold
            self._counts["invalid"] += 1
            self._complain("a state was not understood and is not shown", error)
            return True  # trying again would not help; the next update may
        try:
            self._post(body)
        except Exception as error:  # no node, above all, or a name that can't be one: this thread outlives them all
            self._counts["unsent"] += 1
            self._close()
            self._complain("no node answers; the agent goes on unseen, and this is tried again", error)
            return False
        self._counts["sent"] += 1
        self._told_trouble = False
        return True

    def _post(self, body: bytes) -> None:
        if self._connection is None:
            self._connection = self._opened()
        headers = {"Content-Type": "application/json"}
        if self._session is not None:
            headers["Authorization"] = f"Bearer {self._session.token()}"
        process = self._process or this_process()
        if process is not None:
            headers[PROCESS_HEADER] = str(process)
        if also_told:
            headers[TELEMETRY_HEADER] = also_told[-1]
        self._connection.request("POST", f"/v1/agents/{quote(self._agent_id)}/state", body, headers)
        answer = self._connection.getresponse()
        said = answer.read(4_096)
        if answer.status == http.HTTPStatus.UNAUTHORIZED and self._session is not None:
            self._session.forget()
        if answer.status >= 300:
            self._counts["refused"] += 1
            self._complain(f"the node refused a state ({answer.status})", said.decode(errors="replace"))

    def _opened(self) -> http.client.HTTPConnection:
        url, certificate = find(self._node)
        ca = os.environ.get("MESHFLEET_CA")
        there = There(url.rstrip("/"), Path(ca) if ca else certificate, pinned=not ca)
        if self._key is not None and there.url != self._exchanged_at:
            from meshfleet.client.session import Session
            from meshfleet.wire.apikeys import read  # brings cryptography along

            self._session = Session(there, read(self._key, "the agent's key"))
            self._exchanged_at = there.url
        return there.connection(PATIENCE)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, what: str, why: object) -> None:
        """Once, until something works again: an agent's log is not ours to fill."""
        if not self._told_trouble:
            self._told_trouble = True
            log.warning(what, agent=self._agent_id, why=why, pid=os.getpid(), at=time.strftime("%H:%M:%S"))


def _from_environment() -> str | None:
    """MESHFLEET_API_KEY, where it is an agent's: the same variable may hold a reader's, for the command."""
    key = os.environ.get("MESHFLEET_API_KEY", "")
    return key if key.startswith("mf_agent_") else None
