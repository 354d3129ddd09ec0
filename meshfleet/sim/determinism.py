"""Whether a run is the same twice, and if not, where it first differs: in two fresh processes, under two hash seeds.

What differs between processes but must not show: the order of sets of strings, addresses of objects, what an earlier
run left behind. The trace for this notes each packet that arrives and each timer, so that the first difference is
near its cause; the usual trace would show it minutes later, in somebody's verdict.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from meshfleet.errors import MeshfleetError
from meshfleet.sim.catalogue import plan
from meshfleet.sim.marks import Overheard
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.running import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshfleet.fleet.names import Address
    from meshfleet.gossip.messages import Packet, Via
    from meshfleet.sim.host import Host

HASH_SEEDS = ("1", "2")


class Difference(NamedTuple):
    """Where two traces part: the line's number from 1, its time, and what each says; "" where one has ended."""

    line: int
    at_s: float
    one: str
    other: str


class Traced(Overheard):
    """A world whose trace has every packet and every timer in it."""

    def arrive(self, to: Host, packet: Packet, source: Address, via: Via) -> None:
        """A packet reaches its host."""
        self.note(to.name, "hears", packet.source, packet.beat, via.name, *packet.messages)
        super().arrive(to, packet, source, via)

    def _tick(self, here: Host, epoch: int) -> None:
        self.note(here.name, "ticks")
        super()._tick(here, epoch)


def first_difference(one: Iterable[str], other: Iterable[str]) -> Difference | None:
    """The first line in which two traces differ; None where they are the same to the end."""
    for number, (a, b) in enumerate(zip_longest(one, other, fillvalue=""), 1):
        if a != b:
            stamp = (a or b).split(" ", 1)[0]
            at = int(stamp) / MICROSECONDS if stamp.isdecimal() else 0.0
            return Difference(number, at, a.rstrip("\n"), b.rstrip("\n"))
    return None


def compare(name: str, seed: int) -> tuple[Difference | None, int]:
    """Run `name` with `seed` twice; where the runs part, if they do, and how many lines their trace has."""
    plan(name)  # a wrong name is told here, once
    with tempfile.TemporaryFile("w+") as one, tempfile.TemporaryFile("w+") as other:
        for file, hash_seed in zip((one, other), HASH_SEEDS, strict=True):
            done = subprocess.run(
                [sys.executable, "-m", "meshfleet.sim.determinism", name, str(seed)],
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                check=False,
            )
            if done.returncode:
                raise MeshfleetError(f"the run of {name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
            file.seek(0)
        lines = sum(1 for _ in one)
        one.seek(0)
        return first_difference(one, other), lines


def tell(name: str, seed: int) -> None:
    """Print the trace of one run."""
    run = Run(plan(name), seed, world=Traced)
    lines = run.world.trace.lines = []
    report = run.run()
    sys.stdout.writelines(lines)
    print(f"{run.world.now_us} end {report.trace_sha256}")


if __name__ == "__main__":
    tell(sys.argv[1], int(sys.argv[2]))
