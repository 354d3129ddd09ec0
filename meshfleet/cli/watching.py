"""`status --watch`: each view as it comes, and once a second that none comes, while no node answers."""

from __future__ import annotations

import time
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from meshfleet.cli import showing
from meshfleet.errors import MeshfleetError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshfleet.client import Reader
    from meshfleet.fleet.view import FleetView

RETRY_SECONDS = 1.0
"""How long it waits before it asks again where a node stopped answering; and how often that is shown anew."""

SILENCE = 8.0
"""Seconds without a sign of life after which that is said: a node gives one every 5."""


class Moment(NamedTuple):
    """What is known now."""

    view: FleetView | None
    """The last that came; None where none has come yet."""
    quiet: float
    """Seconds since its node gave a sign of life."""
    problem: str | None
    """Why no node answers; None where it does, or says nothing without having hung up."""

    @property
    def is_silent(self) -> bool:
        """Whether what is shown is of the past."""
        return self.problem is not None or self.quiet > SILENCE


def moments(
    node: Reader, *, every: float = RETRY_SECONDS, clock: Callable[[], float] = time.monotonic
) -> Iterator[Moment]:
    """Each view as it comes, and the last one again each second while the node is silent. Errors that will not pass by
    themselves, such as a key that is not good, are raised."""
    told: Queue[FleetView | MeshfleetError] = Queue(maxsize=1)  # who shows slowly gets no queue of old views
    Thread(target=_read, args=(node, told, every), name="views", daemon=True).start()
    view, heard, problem = None, clock(), None
    while True:
        try:
            news = told.get(timeout=every)
        except Empty:
            news = None
        if isinstance(news, NoAnswer):
            problem = str(news)
        elif isinstance(news, MeshfleetError):
            raise news
        elif news is not None:
            view, heard, problem = news, clock(), None
        moment = Moment(view, clock() - heard, problem)
        if news is not None or moment.is_silent:
            yield moment


def warning(moment: Moment, url: str) -> Text:
    """The line above a view that is of the past."""
    at = time.strftime("%H:%M:%S", time.localtime(time.time() - moment.quiet))
    said = "NOTHING HEARD" if moment.problem is None else "NO NODE ANSWERS"
    text = Text(f"{said} at {url} since {at}: all below is as of {showing.age(moment.quiet)} ago. Asking again ...")
    text.stylize("bold red")
    return text


def _read(node: Reader, told: Queue[FleetView | MeshfleetError], pause: float) -> None:
    """The thread that waits for the node. It ends with the program, or with an error that will not pass."""
    while True:
        try:
            for view in node.views():
                told.put(view)
        except NoAnswer as error:
            told.put(error)
        except MeshfleetError as error:
            return told.put(error)
        time.sleep(pause)
