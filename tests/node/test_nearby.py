"""Which servers a node may be told to ask."""

from __future__ import annotations

import pytest

from meshfleet.errors import ConfigError
from meshfleet.node.nearby import local_url
from meshfleet.node.settings import Given, load, read_flags


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:4096", "http://127.0.0.1:4096"),
        ("http://localhost:5000/", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost", "http://localhost:4096"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_a_server_of_this_machine(text: str, url: str) -> None:
    assert local_url(text, 4096) == url


@pytest.mark.parametrize(
    "text", ["https://127.0.0.1", "http://127.0.0.1/x", "http://u:p@127.0.0.1", "http://", "::1", "127.0.0.1:x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a server"):
        local_url(text, 4096)


@pytest.mark.parametrize("text", ["http://10.0.0.5:4096", "example.org", "http://0.0.0.0:4096"])
def test_another_machine_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not on this machine"):
        local_url(text, 4096)


def test_servers_are_set_like_everything_else() -> None:
    assert (load(Given(), {}).opencode, load(Given(), {}).ollama) == (None, None)
    environment = {"MESHFLEET_OPENCODE": "127.0.0.1:1, 127.0.0.1:2", "MESHFLEET_OLLAMA": "off"}
    settings = load(Given(), environment)
    assert settings.opencode == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert settings.ollama == ""
    assert load(read_flags(opencode=["off"]), environment).opencode == ()
    with pytest.raises(ConfigError, match=r"--ollama: '10\.0\.0\.5' is not on this machine"):
        load(read_flags(ollama="10.0.0.5"), {})
    with pytest.raises(ConfigError, match=r"MESHFLEET_OPENCODE: .* is not on this machine"):
        load(Given(), {"MESHFLEET_OPENCODE": "example.org"})
