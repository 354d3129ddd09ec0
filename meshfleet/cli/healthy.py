"""`python -m meshfleet.cli.healthy [STATE_DIR]`: whether a node here serves, for the probes of containers.

A probe runs twice a minute for as long as the container does, so this imports nothing that it need not: 0.1 s of CPU,
where the command with all its flags takes ten times that. Exit 0: it serves; how it stands is no reason to restart it,
so that is only told. Exit 1: it does not.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from meshfleet.cli.files import RUNNING, Running, read_json
from meshfleet.cli.saying import print_plain

PATIENCE = 4.0
"""Seconds, one less than probes wait by the examples in deploy/."""

ANSWER_LIMIT = 4_096
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _Answer(msgspec.Struct):
    node: str
    standing: str


class NotHealthy(Exception):
    """No node serves here. The message says what was found instead."""


def answer(state_dir: Path) -> str:
    """What the node says of itself, in words. NotHealthy where it does not."""
    running = read_json(state_dir / RUNNING, Running)
    if running is None:
        raise NotHealthy(f"no node runs in {state_dir}")
    try:
        status, body = _ask(running.http)
        told = msgspec.json.decode(body, type=_Answer)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotHealthy(f"{running.http} gives no answer: {error}") from error
    if status != http.client.OK:
        raise NotHealthy(f"{running.http} answers {status}")
    return f"{told.node} serves, and is {told.standing}"


def _ask(base_url: str) -> tuple[int, bytes]:
    url = urlsplit(base_url)
    host = EVERYWHERE.get(url.hostname or "", url.hostname or "127.0.0.1")
    if url.scheme == "https":
        # Nothing secret is sent and nothing comes of the answer but a restart: whose certificate it is does not matter.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, url.port, timeout=PATIENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, url.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/health", headers={"Host": "localhost"})
        response = connection.getresponse()
        return response.status, response.read(ANSWER_LIMIT)
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """The exit code; one line on standard output or error."""
    where = arguments[0] if arguments else os.environ.get("MESHFLEET_STATE_DIR")
    if not where:
        print_plain("meshfleet.cli.healthy: name the node's state dir, or set MESHFLEET_STATE_DIR", file=sys.stderr)
        return 2
    try:
        print_plain(answer(Path(where)))
    except NotHealthy as error:
        print_plain(f"meshfleet.cli.healthy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
