"""What every test gets."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not settings.get_current_profile_name().startswith("ci"):  # there Hypothesis has none anyway
    settings.load_profile("no clock")

# Whoever is started in the background of a shell ignores Ctrl-C, and so do its children. Tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the same under nohup

LONG = ("soak", "sim", "network", "adversary", "gossip", "wire", "browser")
"""Folders whose files take minutes. They go first: a file stays with one worker, and at the end others wait for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same order in each process, or workers would not agree on which test is which."""
    places = {folder: place for place, folder in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.relative_to(ROOT / "tests").parts[0], len(LONG)))


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees, or touches, what the person who runs it has set up: MESHFLEET_ variables, configuration, state."""
    import os

    for variable in [name for name in os.environ if name.startswith("MESHFLEET_")]:
        monkeypatch.delenv(variable)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
