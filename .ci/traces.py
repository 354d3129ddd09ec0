"""Whether a run is the same on every Python: `make traces`. Part of what has to pass.

Looks for one interpreter of each version from 3.11 on, gives each a venv with what a node needs, and has it run some
plans under two hash seeds. All must tell the same trace. Exit 1 where one differs, 2 where a venv can't be made.
With the Python of a venv as argument, that one is compared with the one that runs this: `make compiled`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".venv" / "pythons"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
RUNS = (
    ("sims/minority-cut.toml", "core"),
    ("sims/lossy-network.toml", "core"),
    ("swarm:7", "core"),
    ("sims/process-crash.toml", "stack"),
)
HASH_SEEDS = ("0", "1")

STORY = """
import sys
from meshfleet.sim.catalogue import plan
from meshfleet.sim.running import Run
from meshfleet.sim.sweep import altered
scenario = altered(plan(sys.argv[1]), mode=sys.argv[2])
print(Run(scenario, 3 if scenario.seed == 0 else scenario.seed).run().trace_sha256)
"""


def main() -> int:
    """Compare; print one line a run."""
    if len(sys.argv) > 1:
        pythons = {"of this venv": sys.executable, f"of {sys.argv[1]}": sys.argv[1]}
    else:
        pythons = {version: made for version in VERSIONS if (made := venv(version)) is not None}
    if not pythons:
        print("make traces: no Python from 3.11 to 3.14 could be used.", file=sys.stderr)
        return 2
    print(f"Traces on Python {', '.join(pythons)}, each under hash seeds {' and '.join(HASH_SEEDS)}:")
    differs = False
    for name, mode in RUNS:
        told = {
            (version, seed): trace(python, name, mode, seed)
            for version, python in pythons.items()
            for seed in HASH_SEEDS
        }
        same = len(set(told.values())) == 1
        differs |= not same
        print(f"  {name}, {mode}: " + (f"{next(iter(told.values()))[:16]}, the same everywhere" if same else "DIFFERS"))
        if not same:
            for (version, seed), found in told.items():
                print(f"    Python {version}, hash seed {seed}: {found[:16]}")
    return 1 if differs else 0


def interpreters(version: str) -> list[str]:
    """Where one of that version may be: on the PATH, in pyenv's folders, or this very one."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = [sys.executable] if sys.version_info[:2] == tuple(map(int, version.split("."))) else []
    there = [path for path in (shutil.which(f"python{version}"),) if path is not None]
    return [*own, *there, *(str(path) for path in sorted(root.glob(f"{version}.*/bin/python{version}")))]


def venv(version: str) -> str | None:
    """The Python of a venv of that version, made now if it is not there; None where there is no such Python."""
    folder = VENVS / version
    python, stamp = folder / "bin" / "python", folder / ".made-from"
    wanted = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + str(ROOT)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    for interpreter in interpreters(version):
        shutil.rmtree(folder, ignore_errors=True)
        if not quiet(interpreter, "-m", "venv", str(folder)):
            continue  # a shim of a version manager, or a Python without venv
        if quiet(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--editable", str(ROOT)):
            stamp.write_text(wanted, encoding="utf-8")
            return str(python)
        print(f"make traces: what a node needs could not be installed for Python {version}; left out.", file=sys.stderr)
    return None


def quiet(*command: str) -> bool:
    """Whether a command ends well."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def trace(python: str, name: str, mode: str, hash_seed: str) -> str:
    """The trace of one run in a process of its own, or how it failed."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [python, "-P", "-c", STORY, name, mode], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    return done.stdout.strip() or f"failed: {done.stderr.strip().splitlines()[-1:]}"


if __name__ == "__main__":
    raise SystemExit(main())
