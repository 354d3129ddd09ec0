"""Where the runtimes' files and servers are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshfleet.runtimes.settings import find_runtimes

HOME = Path("/home/somebody")


def test_opencode_is_looked_for_on_its_default_port_with_its_own_password() -> None:
    found = find_runtimes({"OPENCODE_SERVER_PASSWORD": "secret"}, HOME)
    assert (found.opencode, found.opencode_password) == (("http://127.0.0.1:4096",), "secret")
    assert find_runtimes({}, HOME).opencode_password is None


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("127.0.0.1:11500", "http://127.0.0.1:11500"),
        ("localhost", "http://localhost:11434"),
        (":11500", "http://127.0.0.1:11500"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://[::1]:11500", "http://[::1]:11500"),
        ("http://10.0.0.5:11434", None),
        ("https://127.0.0.1", None),
        ("gpu-box", None),
        ("127.0.0.1:x", None),
    ],
)
def test_ollama_is_looked_for_where_ollama_host_says_if_that_is_here(said: str, url: str | None) -> None:
    assert find_runtimes({"OLLAMA_HOST": said}, HOME).ollama == url
