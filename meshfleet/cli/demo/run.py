"""`meshfleet demo`: starts the mesh, shows what it sees of itself, ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio
from rich.table import Table

from meshfleet.cli import showing
from meshfleet.cli.asking import Asked, reader
from meshfleet.cli.demo import layout
from meshfleet.cli.demo.layout import DEMO_FILE, DemoFile, Place
from meshfleet.cli.demo.mesh import Mesh
from meshfleet.cli.demo.playing import Playing
from meshfleet.cli.ending import until_signalled, working_until
from meshfleet.cli.files import is_alive, read_json, remove
from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError, MeshfleetError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.timing import PRESETS
from meshfleet.node.admin import serve_lines
from meshfleet.plain import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.fleet.view import FleetView

LOOK_EVERY = 1.0
"""Seconds between two looks at what the mesh sees, for the line that tells it."""

LEFTOVER_PATIENCE = 3.0
"""Seconds that killed processes of an earlier demo have to go."""


def run_demo(nodes: int, base_port: int, timing: str, state_dir: str | None, *, as_json: bool) -> int:
    """Run a demo until Ctrl-C; returns the exit code."""
    if timing not in PRESETS:
        raise ConfigError(f"--timing: {timing!r} is not a preset. There are: {', '.join(PRESETS)}.")
    folder = layout.demo_dir(state_dir)
    tell = _tell_nothing if as_json else _tell
    with layout.held(folder) as mine:
        if not mine:
            raise ConfigError(_runs_already(folder))
        for name in end_leftovers(folder):
            tell(f"The demo before this one was killed and left {name} running; ended it.")
        base = layout.free_base(nodes, base_port)
        if base != base_port:
            tell(f"Ports from {base_port} on are in use: taking {base} to {base + 2 * nodes - 1}.")
        layout.clear(folder)
        places = layout.places(folder, nodes, base)
        layout.make_fleet(places, time.time())
        mesh = Mesh(folder, places, timing)
        tell(f"Starting {nodes} nodes ...")
        trio.run(until_signalled, partial(_run, mesh, as_json=as_json), partial(_end_at_once, mesh))
        tell("All nodes have ended.")
    return 0


def _tell(text: str) -> None:
    print_plain(text, flush=True)


def _tell_nothing(_text: str) -> None:
    """With --json only the JSON goes out."""


async def _run(mesh: Mesh, asked: trio.Event, *, as_json: bool) -> None:
    try:
        async with working_until(asked) as nursery:
            await _start(mesh)
            await nursery.start(serve_lines, mesh.folder / layout.SOCKET, Playing(mesh).answer)
            if as_json:
                print_plain(msgspec.json.encode(read_json(mesh.folder / DEMO_FILE, DemoFile)).decode(), flush=True)
            else:
                showing.console().print(_addresses([member.place for member in mesh.members.values()]))
                print_plain(f"\nOpen {await mesh.link(next(iter(mesh.members)))}", flush=True)
                print_plain(_hints(mesh), flush=True)
                nursery.start_soon(_show_what_is_seen, mesh)
            await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await mesh.end()
        remove(mesh.folder / DEMO_FILE)


async def _start(mesh: Mesh) -> None:
    """The first node, then the others together: they join through it."""
    first, *others = mesh.members
    await mesh.start(first)
    async with trio.open_nursery() as nursery:
        for name in others:
            nursery.start_soon(mesh.start, name)


def _end_at_once(mesh: Mesh) -> None:
    mesh.kill_all()
    remove(mesh.folder / DEMO_FILE)


def _runs_already(folder: Path) -> str:
    running = read_json(folder / DEMO_FILE, DemoFile)
    if running is None:
        return f"a demo is being started in {folder} already. Give this one another --state-dir."
    return (
        f"a demo runs already (pid {running.pid}, {len(running.nodes)} nodes, {running.nodes[0].http}). End it with "
        "Ctrl-C in its terminal, or give this one another --state-dir."
    )


def end_leftovers(folder: Path) -> list[str]:
    """Kill what a demo left that was itself killed: nodes that were paused then, and so could not notice.

    Called with the demo's lock held. A pid is believed only where its command line names the node's state dir.
    """
    before = read_json(folder / DEMO_FILE, DemoFile)
    if before is None:
        return []
    left = [node for node in before.nodes if node.pid is not None and node.state_dir in _command_of(node.pid)]
    for node in left:
        with suppress(ProcessLookupError):
            os.kill(node.pid or 0, signal.SIGKILL)
    deadline = time.monotonic() + LEFTOVER_PATIENCE
    while any(is_alive(node.pid or 0) for node in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    remove(folder / DEMO_FILE)
    return [node.name for node in left]


def _command_of(pid: int) -> str:
    """The command line of a process; empty where there is none. `ps` is the same on Linux and macOS, /proc is not."""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout


def _addresses(places: list[Place]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("NODE", "VIEW", "GOSSIP", "CARRIES"):
        table.add_column(column, no_wrap=True)
    for i, place in enumerate(places):
        carries = "sample agents" if i else "the agents found on this machine"
        table.add_row(place.name, f"http://{place.http}", str(place.gossip), carries)
    return table


def _hints(mesh: Mesh) -> str:
    """What to do next, in words that can be copied into a second terminal."""
    first, *_, last = mesh.states()
    command = _command_name()
    where = "" if mesh.folder == layout.demo_dir(None) else f" --state-dir {mesh.folder}"
    return (
        f"\nFrom a second terminal:\n"
        f"  {command} status --node {last.http}\n"
        f"  {command} link --node {last.http}        opens another node's page\n"
        f"  {command} demo kill {last.name}{where}      then: start, pause, resume, status\n"
        f"  {command} demo cut {first.name}{where}       then: heal\n"
        f"Logs: {mesh.folder}/n*/{layout.LOG}. Ctrl-C ends all.\n"
    )


def _command_name() -> str:
    """How this command can be called again: by its name where it was, by its path where that is not on the PATH."""
    called = sys.argv[0]
    if called.endswith("__main__.py"):
        relative = os.path.relpath(sys.executable)
        return f"{sys.executable if relative.startswith('..') else relative} -m meshfleet"
    return called if os.sep in called and not _on_path(called) else "meshfleet"


def _on_path(called: str) -> bool:
    return os.path.dirname(os.path.abspath(called)) in os.environ.get("PATH", "").split(os.pathsep)


async def _show_what_is_seen(mesh: Mesh) -> None:
    """One line that is kept up to date; where output is not a terminal, a line when something happens to a node."""
    live = sys.stdout.isatty()
    shown = ""
    try:
        while True:
            line = await _what_is_seen(mesh)
            if live:
                width = showing.console().width - 1
                text = f"{time.strftime('%H:%M:%S')}  {line}"
                sys.stdout.write("\r\x1b[2K")  # the line before is wiped
                print_plain(text[:width], end="", flush=True)
            elif line.partition(";")[0] != shown:  # agents change all the time: that is no news for a log
                print_plain(line, flush=True)
            shown = line.partition(";")[0]
            await trio.sleep(LOOK_EVERY)
    finally:
        if live:
            print_plain(flush=True)


async def _what_is_seen(mesh: Mesh) -> str:
    """What the first node that answers sees."""
    for state in mesh.states():
        if state.process == "running":
            try:
                asked = Asked(state.http, state.state_dir)
                view = await trio.to_thread.run_sync(_seen_by, asked, abandon_on_cancel=True)
            except MeshfleetError:
                continue
            return summary(view)
    return "no node answers"


def _seen_by(asked: Asked) -> FleetView:
    return reader(asked).fleet()


def summary(view: FleetView) -> str:
    """How the node that serves a view stands, and what it sees."""
    nodes = Counter(node.presence for node in view.nodes)
    seen = showing.how_many({presence.value: nodes[presence] for presence in Presence}, "node")
    if odd := [node.name for node in view.nodes if node.presence is not Presence.FRESH]:
        seen += f" ({', '.join(odd)})"
    me = view.served_by
    carried = f"{showing.agents(view.totals)}; {showing.money(view.totals.cost_usd)}"
    return one_line(f"{me.node} ({me.standing.value}) sees {seen}; {carried}")
