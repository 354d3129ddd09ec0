"""`meshfleet keys api`: the long-lived keys of readers, and sessions for programs that can't fetch their own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from meshfleet.cli.flags import AsJson, Ca, KeyFile, NodeUrl, StateDir
from meshfleet.cli.saying import print_plain
from meshfleet.fleet.access import LONGEST_SESSION, SESSION_SECONDS, SHORTEST_SESSION, Scope

app = typer.Typer(
    help="API keys: for dashboards, agents and monitoring on other machines.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RETRY_SECONDS = 5.0
"""How long `token --keep` waits where the node did not answer."""


class Created(msgspec.Struct, frozen=True):
    """What `create --json` prints. The only time that the key is shown."""

    key: str
    id: str
    scope: Scope
    name: str


@app.callback()
def api() -> None:
    """API keys: for dashboards, agents and monitoring on other machines."""


@app.command()
def create(
    scope: Annotated[Scope, typer.Option(help="read, agent or metrics.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose it is, such as grafana.")],
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: once, as the node keeps only what proves it."""
    from meshfleet.cli.asking import key_file_of

    key = key_file_of(node, state_dir).create(scope, name, _now())
    if as_json:
        print_plain(msgspec.json.encode(Created(key.text(), key.key_id, scope, name)).decode())
    else:
        print_plain(key.text())


@app.command("list")
def list_keys(node: NodeUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """The keys that this node exchanges."""
    from meshfleet.cli.asking import key_file_of

    entries = key_file_of(node, state_dir).entries()
    if as_json:
        print_plain(msgspec.json.encode(entries).decode())
        return
    from rich.table import Table

    from meshfleet.cli.showing import console

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("NAME", "SCOPE", "ID", "CREATED"):
        shown.add_column(column, no_wrap=True)
    for entry in entries:
        shown.add_row(entry.name, entry.scope.value, entry.id, entry.created)
    console().print(shown)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the key, or its id.")],
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Exchange a key no more. Sessions it has already end by themselves, within an hour at most."""
    from meshfleet.cli.asking import key_file_of

    entry = key_file_of(node, state_dir).revoke(name)
    print_plain(msgspec.json.encode(entry).decode() if as_json else f"{entry.name} is revoked.")


@app.command()
def token(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    lifetime: Annotated[
        int, typer.Option(min=SHORTEST_SESSION, max=LONGEST_SESSION, metavar="S", help="Seconds that it is good for.")
    ] = SESSION_SECONDS,
    keep: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep a fresh one in FILE until Ctrl-C, instead of printing it.")
    ] = None,
) -> None:
    """Print a session token, for curl and for programs that read theirs from a file."""
    from meshfleet.cli.asking import Asked, session

    wanted = session(Asked(node, state_dir, key_file, ca), lifetime)
    if keep is None:
        print_plain(wanted.token())
        return
    from meshfleet.cli.outcome import complain
    from meshfleet.errors import NoAnswer, Refused
    from meshfleet.node.store import replace_file

    written = None
    while True:
        try:
            fresh = wanted.token()
        except (NoAnswer, Refused) as error:
            if written is None:
                raise
            complain(f"{error} Asking again ...")
            time.sleep(RETRY_SECONDS)
            continue
        if fresh != written:
            replace_file(Path(keep).expanduser(), fresh.encode())
            written = fresh
        time.sleep(max(1.0, wanted.due_in()))


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
