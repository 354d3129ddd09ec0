"""What a second terminal asks of a running demo, checked, carried out and answered in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from meshfleet.cli.demo.layout import Play, Played
from meshfleet.errors import ConfigError, MeshfleetError
from meshfleet.node.admin import Answered

if TYPE_CHECKING:
    from meshfleet.cli.demo.mesh import Mesh


class Playing:
    """Answers one line at a time on the demo's socket."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def answer(self, line: bytes) -> Answered:
        """What to say to one request."""
        try:
            play = msgspec.json.decode(line, type=Play)
            said = await self._do(play)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._answered(False, f"not a request: {error}")
        except MeshfleetError as error:
            return self._answered(False, str(error))
        return self._answered(True, said)

    def _answered(self, ok: bool, said: str) -> Answered:
        return Answered(msgspec.json.encode(Played(ok=ok, said=said, nodes=self._mesh.states())))

    async def _do(self, play: Play) -> str:
        names = self._known(play.names)
        listed = ", ".join(names)
        match play.op:
            case "status":
                return ""
            case "heal":
                await self._mesh.heal()
                return "All cuts are healed."
            case "cut":
                return await self._cut(names)
            case "kill":
                for name in self._those(names, "running", "paused"):
                    await self._mesh.kill(name)
                return f"Killed {listed}: no goodbye, as when a process crashes."
            case "start":
                for name in self._those(names, "ended"):
                    await self._mesh.start(name)
                return f"Started {listed} again, in the same state dir."
            case "pause":
                for name in self._those(names, "running"):
                    self._mesh.pause(name)
                return f"Paused {listed}: the process is there and does nothing."
            case "resume":
                for name in self._those(names, "paused"):
                    await self._mesh.resume(name)
                return f"Resumed {listed}."
            case _:
                assert_never(play.op)

    async def _cut(self, names: tuple[str, ...]) -> str:
        others = [name for name in self._mesh.members if name not in names]
        if not others:
            raise ConfigError("that is all of them: nobody would be left on the other side of the cut.")
        await self._mesh.cut(names)
        return f"Cut {', '.join(names)} off from {', '.join(others)}. `heal` ends it."

    def _known(self, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in self._mesh.members:
                known = ", ".join(self._mesh.members)
                raise ConfigError(f"there is no node {name!r} in this demo. There are: {known}.")
        return names

    def _those(self, names: tuple[str, ...], *wanted: str) -> tuple[str, ...]:
        """`names`, all of whose processes are in one of the wanted states; ConfigError names the first that isn't."""
        state = {each.name: each.process for each in self._mesh.states()}
        for name in names:
            if state[name] not in wanted:
                raise ConfigError(f"{name} is {state[name]}; this takes one that is {' or '.join(wanted)}.")
        return names
