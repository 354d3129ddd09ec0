"""Which node an agent reports to, however that is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import platformdirs
import pytest

from meshfleet.embed.finding import DEFAULT, Found, find

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MESHFLEET_NODE", raising=False)
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:7900", "http://127.0.0.1:7900"),
        ("http://127.0.0.1:7900/", "http://127.0.0.1:7900"),
        ("https://box:7900", "https://box:7900"),
        ("[::1]:7900", "http://[::1]:7900"),
        ("box", "http://box:7879"),
        ("ftp://box:1", "ftp://box:1"),
        ("a:b:c", "a:b:c"),
    ],
)
def test_an_address_is_read_as_commands_read_it_and_nonsense_left_to_who_asks(
    written: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(written) == Found(meant)
    monkeypatch.setenv("MESHFLEET_NODE", written)
    assert find(None) == Found(meant)


def test_an_address_alone_of_a_node_that_runs_here_has_its_scheme_and_certificate(base: Path) -> None:
    assert find(None) == Found(DEFAULT)
    (base / "n1").mkdir()
    (base / "n1" / "running.json").write_text(json.dumps({"http": "https://127.0.0.1:7900"}))
    (base / "n1" / "http.crt").write_text("")
    assert find("127.0.0.1:7900") == find(None) == Found("https://127.0.0.1:7900", base / "n1" / "http.crt")
    assert find("127.0.0.1:7901") == Found("http://127.0.0.1:7901")
