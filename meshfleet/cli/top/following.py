"""The thread that reads views, since Textual must not wait and the client's calls do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import MeshfleetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.client import Client
    from meshfleet.fleet.view import FleetView


class Heard(NamedTuple):
    """A view, and whose it is. Times are monotonic seconds."""

    view: FleetView
    at: float
    """When it arrived."""
    alive: float
    """When its node gave a sign of life last: while nothing changes the view stays, and it says that it is there."""
    url: str


class Following:
    """Reads one client's views until it is stopped. `tell` is called from the thread when there is news, and not again
    before that was taken: who is slow gets the newest view, never a queue of old ones."""

    def __init__(self, client: Client, tell: Callable[[Following], object]) -> None:
        self.client = client
        self._tell = tell
        self._lock = threading.Lock()
        self._heard: Heard | None = None
        self._told = False
        self._stopped = False
        self.problem: str | None = None
        """Why nothing more will come: the key is not good."""

    def start(self) -> None:
        """Begin. The thread does not keep the program from ending."""
        threading.Thread(target=self._run, name="views", daemon=True).start()

    def stop(self) -> None:
        """Tell no more. The thread ends with the next sign of life, or its connection's end."""
        self._stopped = True
        self.client.stop()

    def take(self) -> Heard | None:
        """The newest view, if it was not taken yet."""
        with self._lock:
            heard, self._heard, self._told = self._heard, None, False
        return heard

    def _run(self) -> None:
        before: Heard | None = None
        try:
            for view in self.client.watch():
                if self._stopped:
                    return
                now = time.monotonic()
                at = before.at if before is not None and before.view is view else now
                before = Heard(view, at, now, self.client.url)
                self._keep(before)
        except MeshfleetError as error:
            self.problem = str(error)
            self._keep(None)

    def _keep(self, heard: Heard | None) -> None:
        with self._lock:
            self._heard = heard or self._heard
            tell, self._told = not self._told, True
        if tell and not self._stopped:
            self._tell(self)
