"""What `meshfleet up` does about garbage: none of it is looked for in what was loaded, and none is left for long."""

from __future__ import annotations

import subprocess
import sys

LIVES = """
import gc
from collections import deque
import meshfleet.cli.up
from meshfleet.cli.memory import keep_what_is_loaded

class Stream:
    alive = 0

    def __init__(self):
        self.ends = self  # as an error with its traceback goes in a circle with what it passed through
        Stream.alive += 1

    def __del__(self):
        Stream.alive -= 1

keep_what_is_loaded()
full = gc.get_stats()[2]["collections"]
open_now, most = deque(maxlen=8_000), 0
for _ in range(100_000):
    open_now.append(Stream())  # open for so long that it outlives the collections of what is young
    most = max(most, Stream.alive)
print(most, gc.get_stats()[2]["collections"] - full)
"""


def test_streams_that_were_open_for_a_while_are_not_kept_for_long_after_their_end() -> None:
    told = subprocess.run([sys.executable, "-c", LIVES], capture_output=True, text=True, check=True)
    most, full_collections = map(int, told.stdout.split())
    assert most < 4 * 8_000
    assert full_collections > 2
