"""Schemathesis against a real node: everything the contract allows and much that it does not, with tokens of each scope
and with none. Its checks: answers, statuses and headers are those of the contract, valid requests are taken, invalid
ones are refused, nothing is open that the contract calls closed, and nothing fails.

Examples are few and always the same ones. For more, against any node that runs:

    schemathesis run http://127.0.0.1:7879/openapi.json --exclude-path /v1/fleet/events \
        -H "Authorization: Bearer $(meshfleet keys api token)"
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from meshfleet.fleet.access import Scope
from meshfleet.node.keyfile import KeyFile
from tests.cli.processes import PATIENCE, node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = 5
"""Made up for each operation, beside the hundreds that go through the limits of each field."""

CONFIG = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 428, 429, 431]
"""
"""What is too long is refused as that, before anybody looks at what else is wrong with it."""

Open = tuple[str, dict[Scope | None, str | None]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Where a node answers, and a token of each scope there."""
    state_dir = tmp_path_factory.mktemp("node")
    with node(state_dir, "--name", "n1") as (_, told):
        url, tokens = str(told["http"]), dict[Scope | None, str | None]({None: None})
        for scope in Scope:
            key = KeyFile(state_dir).create(scope, f"a-{scope}-key", "").text()
            headers = {"Authorization": f"Bearer {key}"}
            tokens[scope] = httpx.post(f"{url}/auth/session", headers=headers, trust_env=False).json()["token"]
        yield url, tokens


@pytest.mark.processes
@pytest.mark.parametrize("scope", [*Scope, None])
def test_schemathesis_finds_nothing(opened: Open, scope: Scope | None, tmp_path: Path) -> None:
    url, tokens = opened
    flags = ["--max-examples", f"{EXAMPLES}", "--generation-deterministic", "--phases", "examples,coverage,fuzzing"]
    flags += ["--continue-on-failure", "--no-color", "--request-timeout", f"{PATIENCE:.0f}"]
    if scope is not None:
        flags += ["--header", f"Authorization: Bearer {tokens[scope]}"]
    if scope is Scope.READ:
        flags += ["--exclude-path", "/v1/fleet/events"]  # whose answer has no end; tests/serve/test_events.py reads it
        flags += ["--exclude-path", "/v1/fleet/ws"]  # which is no HTTP; tests/serve/test_websocket.py
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
