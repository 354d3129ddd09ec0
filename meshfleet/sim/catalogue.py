"""The scenarios that come with the project: files in `sims/`, beside the package in a checkout."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from meshfleet.sim.scenario import ScenarioError

FOLDER = Path(__file__).resolve().parents[2] / "sims"


def files() -> list[Path]:
    """All of them, by name. None where the package was installed without its checkout."""
    return sorted(FOLDER.glob("*.toml"))


def find(name: str) -> Path:
    """The file that `name` means: a path, or a name of the catalogue. ScenarioError where there is none."""
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    for file in files():
        if file.stem == name:
            return file
    near = get_close_matches(name, [file.stem for file in files()], n=1, cutoff=0.4)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise ScenarioError(f"there is no file and no scenario {name!r}{hint}. `meshfleet sim list` names them all.")
