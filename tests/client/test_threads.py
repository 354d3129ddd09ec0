"""First answers that many threads read at once: whoever watches several nodes does that."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.serve.conftest import SampleFeed

if TYPE_CHECKING:
    from pathlib import Path

TRIES = 12
"""Without the types looked at beforehand, one of four ended with a segmentation fault."""

PROGRAM = """
import sys, threading
from pathlib import Path
import msgspec
import meshfleet.client.reader
from meshfleet.fleet.view import FleetView

sys.setswitchinterval(1e-6)
answer = Path(sys.argv[1]).read_bytes()
begin = threading.Barrier(24)

def read():
    begin.wait()
    for _ in range(50):
        msgspec.json.decode(answer, type=FleetView)

threads = [threading.Thread(target=read) for _ in range(24)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.processes
def test_first_answers_in_many_threads_end_no_process(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    answer.write_bytes(msgspec.json.encode(SampleFeed().fleet()))
    for _ in range(TRIES):
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(answer)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
