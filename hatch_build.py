"""Compiles the core to C while a wheel is built, if HATCH_BUILD_HOOKS_ENABLE=1 asks for it: docs/performance.md.

Without it the wheel is pure Python, and this file is not even read. With it mypyc and a C compiler make extension
modules of what pyproject.toml names, and the wheel has them beside the same .py files; Python prefers them when it
imports. All of that happens in a copy: an extension module left in the source tree would be what the tests run.
"""

from __future__ import annotations

import glob
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    except ImportError:  # in the copy this file is the setup script, which needs setuptools and mypyc alone
        BuildHookInterface = object

NEEDS = ["mypy>=1.18", "setuptools>=75"]
MYPY = """[mypy]
strict = true
follow_imports = silent
[mypy-{}]
follow_imports = skip
"""


class CustomBuildHook(BuildHookInterface):
    """Found by Hatch under this name."""

    def dependencies(self) -> list[str]:
        """What mypyc needs, and what the core imports: types that it can't see it takes for anything."""
        return [*NEEDS, *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile in a copy, and have what comes of it put into the wheel."""
        if version == "editable":
            raise SystemExit("An editable install runs the source: leave HATCH_BUILD_HOOKS_ENABLE or --editable away.")
        self._copy = Path(tempfile.mkdtemp(prefix="meshfleet-"))
        shutil.copytree(Path(self.root) / "meshfleet", self._copy / "meshfleet")
        shutil.copy(__file__, self._copy / "setup.py")
        (self._copy / "mypy.ini").write_text(MYPY.format(",".join(self.config["unseen"])), encoding="utf-8")
        command = [sys.executable, "setup.py", *self.config["compile"]]
        done = subprocess.run(command, cwd=self._copy, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(self._copy, ignore_errors=True)
            raise SystemExit(
                f"{done.stdout[-2000:]}{done.stderr[-2000:]}\n"
                "The core could not be compiled. Without HATCH_BUILD_HOOKS_ENABLE no compiler is needed."
            )
        built = [path.relative_to(self._copy) for path in (self._copy / "built").rglob("*.so")]
        build_data["force_include"].update({str(self._copy / path): str(path.relative_to("built")) for path in built})
        build_data["infer_tag"], build_data["pure_python"] = True, False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The copy is no longer needed."""
        shutil.rmtree(self._copy, ignore_errors=True)


def main(patterns: list[str]) -> None:
    """In the copy: to C, and on to extension modules below `built`. Not where a Struct is defined: of a class that is
    no native one mypyc drops the words behind the base, as in `frozen=True`, and says nothing."""
    from mypyc.build import mypycify
    from setuptools import setup

    files = sorted(path for pattern in patterns for path in glob.glob(pattern) if not path.endswith("__init__.py"))
    files = [path for path in files if "msgspec.Struct" not in Path(path).read_text(encoding="utf-8")]
    modules = mypycify(
        ["--config-file=mypy.ini", *files], opt_level="2", debug_level="0", multi_file=True, group_name="meshfleet"
    )
    setup(name="meshfleet", packages=[], ext_modules=modules, script_args=["-q", "build_ext", "--build-lib=built"])


if __name__ == "__main__":
    main(sys.argv[1:])
