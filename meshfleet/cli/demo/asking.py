"""Playing with a demo that runs in another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from meshfleet.cli import showing
from meshfleet.cli.demo.layout import SOCKET, NodeState, Play, Played, demo_dir
from meshfleet.cli.local import converse
from meshfleet.cli.saying import print_plain
from meshfleet.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 60.0
"""Seconds for an answer: `start` waits until its nodes serve."""


def play(op: str, names: tuple[str, ...], state_dir: str | None, *, as_json: bool) -> None:
    """Ask the running demo, and print what it says. NoAnswer where none runs, Refused where it won't."""
    folder = demo_dir(state_dir)
    nobody = f"no demo runs in {folder}. Start one with `meshfleet demo`, or name its folder: --state-dir DIR."
    request = msgspec.convert({"op": op, "names": names}, Play)
    played = converse(folder / SOCKET, request, Played, nobody, patience=PATIENCE)
    if not played.ok:
        raise Refused(played.said)
    if as_json:
        print_plain(msgspec.json.encode(played).decode())
    elif op == "status":
        showing.console().print(table(played.nodes))
    else:
        print_plain(played.said)


def table(nodes: Sequence[NodeState]) -> Table:
    """The nodes, their addresses and processes."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("NODE", "VIEW", "GOSSIP", "PROCESS", "CUT OFF FROM"):
        shown.add_column(column, no_wrap=column != "CUT OFF FROM")
    for node in nodes:
        process = node.process if node.pid is None else f"{node.process}, pid {node.pid}"
        shown.add_row(node.name, node.http, node.gossip, process, " ".join(node.cut_from) or "-")
    return shown
