"""One run of Atheris in a process of its own, for libFuzzer ends the process in which it ran.

`python -m tests.fuzz.guided NAME SUSPECTS -flags… FOLDERS…`; what seems dear is put into SUSPECTS, to be measured
without instruments.
"""

from __future__ import annotations

import sys
import time
from hashlib import sha256
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["meshfleet"]):
    from tests.fuzz.targets import TARGETS

KEPT = 200
"""Suspects of one run."""

SLOWER = 3
"""How much slower the instruments make it, at least."""


def main() -> None:
    """Runs until libFuzzer has enough."""
    decoder, suspects = TARGETS[sys.argv[1]], Path(sys.argv[2])

    def one(data: bytes) -> None:
        if len(data) > decoder.longest:
            return
        began = time.process_time()
        decoder.run(data)
        seconds = (time.process_time() - began) / SLOWER
        if not decoder.cost.allows(len(data), seconds, 0) and len(list(suspects.iterdir())) < KEPT:
            (suspects / sha256(data).hexdigest()[:16]).write_bytes(data)

    def alter(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        if decoder.alter is None or not rng.randrange(4):
            return bytes(atheris.Mutate(data, most))
        return decoder.alter(data, rng)[:most]

    arguments = [sys.argv[0], *sys.argv[3:]]
    if decoder.alter is None:
        atheris.Setup(arguments, one)
    else:
        atheris.Setup(arguments, one, custom_mutator=alter)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
