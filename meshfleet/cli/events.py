"""`meshfleet events`: what happened in the fleet, as one node saw it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.asking import Asked, path_of, reader
from meshfleet.cli.outcome import Trouble
from meshfleet.cli.saying import print_plain
from meshfleet.cli.unknown import in_words
from meshfleet.errors import NoAnswer
from meshfleet.fleet.happening import Happened, Happening
from meshfleet.serve.history import Happenings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshfleet.client import Reader

ASK_EVERY = 1.0
"""Seconds between two questions of `--follow`."""

COLOURS = {
    Happened.DOWN: "red",
    Happened.UNREACHABLE: "yellow",
    Happened.ERROR: "red",
    Happened.STANDING: "magenta",
    Happened.WAITING: "cyan",
    Happened.RATE_LIMITED: "yellow",
    Happened.BACK: "green",
    Happened.JOINED: "green",
}


def events(asked: Asked, *, subject: str | None, kinds: Sequence[str], limit: int, follow: bool, as_json: bool) -> int:
    """Print the newest lines, and with `follow` each further one until Ctrl-C; returns the exit code."""
    node = reader(asked)
    console = showing.console()
    wanted = [("kind", kind) for kind in kinds] + ([("subject", subject)] if subject else [])
    told = _ask(node, [*wanted, ("limit", str(limit))])
    if subject and not told.events and not follow:
        _must_be_known(node, subject)
    if not told.events and not as_json and not follow:
        console.print(Text(f"Nothing happened yet that {node.url} knows of.", style="dim"))
    try:
        for line in _lines(node, told, wanted, follow=follow):
            if as_json:
                print_plain(msgspec.json.encode(line).decode(), flush=True)
            else:
                console.print(render(line), soft_wrap=True)
    except KeyboardInterrupt:
        pass
    return 0


def render(line: Happening) -> Text:
    """One line: when, about whom, what."""
    at = Text(line.at[:19].replace("T", " "), style="dim")
    what = Text(line.text, style=COLOURS.get(line.kind, ""))
    where = (
        Text(f"  ({line.node})", style="dim") if line.node and not line.subject.startswith(f"{line.node}/") else Text()
    )
    return Text.assemble(at, "  ", (line.subject, "bold"), " ", what, where)


def _must_be_known(node: Reader, name: str) -> None:
    """ConfigError, with names near it, where there is none such: nothing else would tell a slip from a quiet name. Who
    was forgotten long ago is no member, and may still have lines. Whoever follows may wait for one who is to come."""
    if not _ask(node, [("subject", name), ("limit", "1")]).events:
        with in_words(node, elsewhere=True):
            node.get(path_of("/v1/why", name))


def _lines(node: Reader, told: Happenings, wanted: list[tuple[str, str]], *, follow: bool) -> Iterator[Happening]:
    yield from told.events
    trouble = Trouble()
    while follow:
        time.sleep(ASK_EVERY)
        try:
            told = _ask(node, [*wanted, ("after", str(told.last))])
        except NoAnswer as error:
            trouble.tell(f"{error} Asking again ...")
            continue
        trouble.over()
        yield from told.events


def _ask(node: Reader, query: list[tuple[str, str]]) -> Happenings:
    return node.get_as(f"/v1/events?{urlencode(query)}", Happenings)
