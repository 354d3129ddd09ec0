"""`meshfleet proxy` as people run it."""

from __future__ import annotations

import signal
import socket
from contextlib import closing

import httpx

from tests.cli.processes import PATIENCE, foreground, one_line_of, run

NOBODY = "http://127.0.0.1:9"


def test_it_says_where_it_is_passes_on_and_ends_at_a_signal() -> None:
    upstream = f"gone={NOBODY}"
    with foreground("proxy", "--listen", "127.0.0.1:0", "--to", upstream, "--node", NOBODY) as (process, told):
        assert told["upstreams"] == ["anthropic", "openai", "gemini", "codex", "ollama", "gone"]
        answered = httpx.get(f"{told['url']}/gone/v1/models")
        assert answered.status_code == 502
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_port_in_use_is_told_with_the_flag_that_mends_it() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        done = run("proxy", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 2
    assert "--listen 127.0.0.1:" in one_line_of(done)
