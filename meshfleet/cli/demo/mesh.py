"""The node processes of a demo: started, killed, stopped, cut off from each other, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from meshfleet.cli.demo.layout import DEMO_FILE, LOG, DemoFile, DemoNode, NodeState, Place, log_tail
from meshfleet.cli.files import Running, running_in, write_json
from meshfleet.cli.local import administer
from meshfleet.errors import ConfigError, MeshfleetError, NoAnswer, Refused
from meshfleet.fleet.names import NodeName
from meshfleet.node.admin import Block, Link, Request, Unblock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_PATIENCE = 30.0
"""Seconds for a node to come up. It takes one or two; five at once on a slow machine take longer."""

END_PATIENCE = 5.0
"""Seconds that nodes have for their goodbyes before they are killed."""

ADMIN_PATIENCE = 3.0
LOOK_EVERY = 0.05


class NodeFailed(MeshfleetError):
    """A node of the demo did not come up."""


class Member:
    """One node of the demo, over all its lives."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.process: trio.Process | None = None
        self.paused = False

    @property
    def name(self) -> str:
        """Its name, which is also what it calls its host."""
        return self.place.name

    @property
    def pid(self) -> int | None:
        """Its process; None while none runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Mesh:
    """All of them. `meshfleet.cli.demo.playing` says the same in the operator's words."""

    def __init__(self, folder: Path, places: Sequence[Place], timing: str) -> None:
        self.folder = folder
        self.members = {place.name: Member(place) for place in places}
        self._timing = timing
        self._cuts: set[frozenset[str]] = set()
        """Pairs that lose all traffic with each other."""

    async def start(self, name: str) -> Running:
        """Start a node and wait until it serves. NodeFailed, with the end of its log, where it doesn't."""
        member = self.members[name]
        member.process = await self._spawn(member)
        member.paused = False
        with trio.move_on_after(START_PATIENCE):
            while (running := running_in(member.place.state_dir)) is None or running.pid != member.pid:
                if member.process.poll() is not None:
                    raise NodeFailed(f"{name} ended at its start: {log_tail(member.place)}")
                await trio.sleep(LOOK_EVERY)
            self.tell()
            await self._tell_cuts([name])
            return running
        raise NodeFailed(f"{name} did not come up within {START_PATIENCE:.0f} s: {log_tail(member.place)}")

    async def kill(self, name: str) -> None:
        """End it as a crash would: no goodbye."""
        member = self.members[name]
        member.signal(signal.SIGKILL)
        if member.process is not None:
            await member.process.wait()
        member.paused = False
        self.tell()

    def pause(self, name: str) -> None:
        """Stop it without its knowing, as a suspended laptop or a starved container is."""
        self.members[name].signal(signal.SIGSTOP)
        self.members[name].paused = True

    async def resume(self, name: str) -> None:
        """Let it go on, and tell it of the cuts that were made meanwhile."""
        self.members[name].signal(signal.SIGCONT)
        self.members[name].paused = False
        await self._tell_cuts([name])

    async def cut(self, names: Sequence[str]) -> None:
        """Lose all traffic between these and all others."""
        one, other = set(names), set(self.members) - set(names)
        self._cuts |= {frozenset((a, b)) for a in one for b in other}
        await self._tell_cuts(list(self.members))

    async def heal(self) -> None:
        """End all cuts."""
        self._cuts.clear()
        await self._tell_cuts(list(self.members))

    async def end(self) -> None:
        """Let all say goodbye, and kill whoever has not ended after that."""
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        with trio.move_on_after(END_PATIENCE):
            for member in self.members.values():
                if member.process is not None:
                    await member.process.wait()
        self.kill_all()
        for member in self.members.values():
            if member.process is not None:
                await member.process.wait()

    def kill_all(self) -> None:
        """End all at once. Does not wait."""
        for member in self.members.values():
            member.signal(signal.SIGKILL)

    async def link(self, name: str) -> str:
        """A link that opens the page of a running node, once and for five minutes."""
        ask = partial(administer, patience=ADMIN_PATIENCE)
        member = self.members[name]
        reply = await trio.to_thread.run_sync(ask, member.place.state_dir, Link(), f"{name} does not listen")
        return reply.link or f"http://{member.place.http}"

    def states(self) -> tuple[NodeState, ...]:
        """Each of them, as it is."""
        return tuple(
            NodeState(
                name=member.name,
                http=f"http://{member.place.http}",
                gossip=str(member.place.gossip),
                pid=member.pid,
                state_dir=str(member.place.state_dir),
                process="ended" if member.pid is None else "paused" if member.paused else "running",
                cut_from=tuple(self._cut_from(member.name)),
            )
            for member in self.members.values()
        )

    def tell(self) -> None:
        """Write `demo.json`."""
        nodes = tuple(
            DemoNode(state.name, state.http, state.gossip, state.pid, state.state_dir) for state in self.states()
        )
        write_json(self.folder / DEMO_FILE, DemoFile(os.getpid(), nodes))

    def _cut_from(self, name: str) -> list[str]:
        return [other for other in self.members if frozenset((name, other)) in self._cuts]

    async def _tell_cuts(self, names: Sequence[str]) -> None:
        """Have each of `names` that runs block whom it is cut from.

        A paused one can't be told, and need not be: whoever is on the other side of its cuts loses its packets too.
        """
        missed: list[str] = []

        async def tell(member: Member) -> None:
            blocked = tuple(NodeName(other) for other in self._cut_from(member.name))
            request: Request = Block(blocked) if blocked else Unblock()
            ask = partial(administer, patience=ADMIN_PATIENCE)
            try:
                await trio.to_thread.run_sync(ask, member.place.state_dir, request, f"{member.name} does not listen")
            except (NoAnswer, Refused, ConfigError):
                missed.append(member.name)

        async with trio.open_nursery() as nursery:
            for name in names:
                if self.members[name].pid is not None and not self.members[name].paused:
                    nursery.start_soon(tell, self.members[name])
        if missed:
            listed = ", ".join(sorted(missed))
            raise Refused(f"{listed} could not be told; its log may say why.")

    async def _spawn(self, member: Member) -> trio.Process:
        place = member.place
        first = member.name == next(iter(self.members))
        others = [other for other in self.members.values() if other is not member and other.pid is not None]
        command = [sys.executable, "-m", "meshfleet", "up", "--demo", "--with-stdin", "--json", "--log-level", "info"]
        command += ["--name", place.name, "--host", place.name]
        command += ["--gossip", str(place.gossip), "--http", str(place.http)]
        command += ["--state-dir", str(place.state_dir), "--timing", self._timing]
        command += ["--discover"] if first else ["--no-discover", "--sample", "2"]
        for other in others[:3]:
            command += ["--join", str(other.place.gossip)]
        place.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (place.state_dir / LOG).open("ab") as log:
            # A session of its own: Ctrl-C in this terminal is the demo's to hear, which then ends the nodes in order.
            # Its standard input ends when the demo does, however that happens, and the node leaves: --with-stdin.
            return await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(),
            )


def _environment() -> dict[str, str]:
    """This process's, without the operator's own settings: a demo is the same everywhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MESHFLEET_")}
    return kept | {"MESHFLEET_CONFIG": os.devnull}
