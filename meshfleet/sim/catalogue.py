"""The scenarios that come with the project: files in `sims/`, beside the package in a checkout."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from meshfleet.sim.faults import Join
from meshfleet.sim.scenario import Scenario, ScenarioError, load
from meshfleet.sim.swarm import SWARM, draw

FOLDER = Path(__file__).resolve().parents[2] / "sims"

SLOW = 5_000.0
"""Node-seconds (nodes, joining ones among them, times duration) above which a scenario is slow. The tests run the
others, a second or so each; a sweep runs all."""


def is_slow(scenario: Scenario) -> bool:
    """Whether it takes too long to be run with every test."""
    joining = [fault.count for fault in scenario.fault if isinstance(fault, Join)]
    return (scenario.fleet.nodes + sum(joining)) * scenario.duration > SLOW


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


def plan(name: str) -> Scenario:
    """What `name` means: a file, a name of the catalogue, or `swarm:17`, the plan that is drawn from seed 17."""
    if not name.startswith(SWARM):
        return load(find(name))
    seed = name.removeprefix(SWARM)
    if not seed.isdecimal():
        raise ScenarioError(f"{name!r}: after {SWARM!r} a seed is wanted, as in {SWARM}17.")
    return draw(int(seed))
