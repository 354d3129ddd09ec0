"""One soak: a plan, played on real nodes under load, and everything that was to hold meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.local import administer
from meshfleet.errors import MeshfleetError
from meshfleet.fleet.timing import PRESETS
from meshfleet.node.admin import Keys
from tests.network.ground import ground
from tests.soak.deeds import Player
from tests.soak.fleet import SoakFleet
from tests.soak.load import Herd
from tests.soak.measuring import Served, Weight, weigh
from tests.soak.settling import astray
from tests.soak.truth import Call, Truth
from tests.soak.visiting import Visitor
from tests.soak.watching import Findings, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.soak.plan import Plan

TIMING = PRESETS["lan"]
WITHIN = 10 * TIMING.heartbeat
"""Seconds after the mending in which the views are to be right."""
WORKS_ON = 5.0
"""Seconds for which agents still work after it. Then they rest: figures are compared to the last micro-USD."""
ASKED_EVERY = 1.0
TOLD_EVERY = 10.0
KEYS_IN = 5.0
"""Seconds for the owner's node to say how far a rotation is."""


class Settled(msgspec.Struct, frozen=True):
    """How a round ended."""

    after: float | None
    """Seconds; None: never, within all patience."""
    astray: tuple[str, ...]
    """What was wrong last."""
    fds: dict[str, int]
    """Of those whose process was never ended."""


class Outcome(msgspec.Struct):
    """What a soak came to."""

    began: float
    """Monotonic time of its first round."""
    seconds: float = 0.0
    broken: list[str] = []
    calls: dict[Call, list[str]] = {}
    settled: list[Settled] = []
    served: dict[str, Served] = {}
    weights: dict[str, dict[int, list[Weight]]] = {}
    done: dict[str, int] = {}
    complaints: list[str] = []
    spent: float = 0.0
    words: int = 0
    agents: int = 0
    can_step: bool = True


class Soak:
    """See the module. `folder` keeps state dirs and logs."""

    def __init__(self, plan: Plan, folder: Path, *, patience: float, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._folder = folder
        self._patience = patience
        self._say = say
        self._told_at = 0.0
        self._pause = threading.Event()

    def run(self) -> Outcome:
        """All rounds."""
        truth = Truth(self._plan.names, TIMING)
        with ground(self._plan.names) as laid, self._fleet(SoakFleet(laid, self._folder, self._plan, truth)) as fleet:
            fleet.assemble(self._plan.names)
            began = time.monotonic()
            self._say(f"{len(self._plan.names)} nodes see each other; {len(self._plan.rounds)} rounds")
            with self._company(fleet, Findings(began, self._say)) as (herds, watches, findings):
                player = Player(self._plan, fleet, findings)
                outcome = Outcome(began=began, can_step=fleet.can_step)
                for i, of in enumerate(self._plan.rounds, 1):
                    player.play(of, partial(self._progress, f"round {i}", fleet, findings))
                    outcome.settled.append(self._settle(i, player, fleet, herds, findings))
                outcome.seconds = time.monotonic() - began
                outcome.done = player.done
            outcome.spent = sum(herd.micro_usd() for herd in herds.values()) / 1e6
            outcome.words = sum(herd.words for herd in herds.values())
            outcome.agents = sum(len(herd.agents) for herd in herds.values())
            outcome.served = {name: watch.served for name, watch in watches.items()}
            outcome.weights = {name: watch.weights for name, watch in watches.items()}
            outcome.broken, outcome.calls, outcome.complaints = findings.broken, fleet.calls, fleet.complaints
            outcome.broken += [f"false left: {said}" for said in fleet.wrong_goodbyes]
            outcome.broken += [f"false down: {said}" for said in fleet.calls[Call.FALSE]]
        return outcome

    @contextmanager
    def _fleet(self, fleet: SoakFleet) -> Iterator[SoakFleet]:
        try:
            yield fleet
        finally:
            fleet.close()

    @contextmanager
    def _company(
        self, fleet: SoakFleet, findings: Findings
    ) -> Iterator[tuple[dict[str, Herd], dict[str, Watch], Findings]]:
        """Agents and watches, from now to the end."""
        rng = Random(self._plan.seed)
        herds = {
            name: Herd(name, Random(rng.random()), fleet.truth, self._visitor(fleet, name)) for name in self._plan.names
        }
        watches = {name: Watch(name, fleet, herds, self._visitor(fleet, name), findings) for name in self._plan.names}
        with ExitStack() as ends:
            for company in (herds, watches):
                for each in company.values():
                    each.start()
                    ends.callback(each.close)
            yield herds, watches, findings

    def _visitor(self, fleet: SoakFleet, name: str) -> Visitor:
        return Visitor(fleet.ground.space(name), fleet.state_dir(name))

    def _settle(
        self, number: int, player: Player, fleet: SoakFleet, herds: dict[str, Herd], findings: Findings
    ) -> Settled:
        """Wait until all is said as it is."""
        mended = time.monotonic()
        visitors = {name: self._visitor(fleet, name) for name in self._plan.names}
        after: float | None = None
        wrong: list[str] = ["nobody was asked yet"]
        while time.monotonic() - mended < self._patience:
            if time.monotonic() - mended > WORKS_ON:
                for herd in herds.values():
                    herd.still.set()
                wrong = [*astray(self._plan.names, fleet.truth, herds, visitors), *self._behind(fleet)]
                if not wrong:
                    after = time.monotonic() - mended
                    break
            player.tend()
            self._progress(f"round {number}, mended ({len(wrong)} things astray)", fleet, findings)
            self._pause.wait(ASKED_EVERY)
        for herd in herds.values():
            herd.still.clear()
        if wrong:
            findings.add(f"round {number} did not settle within {self._patience:.0f} s: {'; '.join(wrong[:5])}")
        when = "never" if after is None else f"after {after:.0f} s"
        self._say(f"round {number} settled {when}; dead: {', '.join(player.dead) or 'nobody'}")
        weighed = {name: weigh(fleet.pid(name), time.monotonic()) for name in self._plan.steady}
        return Settled(after, tuple(wrong), {name: weight.fds for name, weight in weighed.items() if weight})

    def _behind(self, fleet: SoakFleet) -> list[str]:
        """Who runs and has not followed the last rotation, as the owner's node sees it."""
        owner = self._plan.names[0]
        if not fleet.truth.now(owner).running:
            return []
        try:
            told = administer(fleet.state_dir(owner), Keys(), f"{owner} does not run", patience=KEYS_IN).keys
        except MeshfleetError as error:
            return [f"{owner}: {error}"]
        late = [] if told is None else [name for name in told.stragglers if fleet.truth.now(name).running]
        return [f"{name} holds an older ring" for name in late]

    def _progress(self, where: str, fleet: SoakFleet, findings: Findings) -> None:
        if time.monotonic() - self._told_at < TOLD_EVERY:
            return
        self._told_at = time.monotonic()
        now = {name: fleet.truth.now(name) for name in self._plan.names}
        gone = [name for name, host in now.items() if not host.running]
        stopped = [name for name, host in now.items() if host.stopped]
        counts = ", ".join(f"{len(said)} {call.value}" for call, said in fleet.calls.items() if said)
        who = "".join(f"; {what} {','.join(names)}" for what, names in (("ended", gone), ("stopped", stopped)) if names)
        self._say(f"{where}{who}; down said: {counts or 'none'}; broken {len(findings.broken)}")
