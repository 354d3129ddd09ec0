"""What is in deploy/, by the tools of those who will use it. Where a tool is missing, the reason says which."""

from __future__ import annotations

import os
import plistlib
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import meshfleet
from meshfleet.node.settings import load, read_flags

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "meshfleet"
KUBERNETES = ("1.29", "1.34")
"""The oldest that has sidecars, and a new one."""
EXPOSURE = 20
"""Tenths that `systemd-analyze security` may find: it calls up to 2.0 `OK` at best, and a bare service 9.6."""

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def told(*command: str, **extra: str) -> str:
    """Both outputs of a command that has to end well."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=ROOT, env={**os.environ, **extra}, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def found(name: str) -> str:
    """The path of a program, beside this Python or on the PATH; skips where it is not there."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def settings_of(environment: dict[str, str]) -> None:
    """ConfigError where a node would refuse to start with these variables."""
    filled = {name: re.sub(r"\$\(POD_IP\)", "10.0.0.5", value) for name, value in environment.items()}
    load(read_flags(), {name: value for name, value in filled.items() if name.startswith("MESHFLEET_")}, None)


# systemd and launchd


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which `.local/bin/meshfleet` is there to be started."""
    command = tmp_path / ".local" / "bin" / "meshfleet"
    command.parent.mkdir(parents=True)
    command.symlink_to(sys.executable)
    return tmp_path


@pytest.mark.parametrize("user", [False, True])
def test_systemd_finds_nothing_wrong_with_its_units(installed: Path, *, user: bool) -> None:
    analyze = found("systemd-analyze")
    name = "meshfleet-user.service" if user else "meshfleet.service"
    here = str(installed / ".local" / "bin" / "meshfleet")
    unit = installed / name
    text = (DEPLOY / "systemd" / name).read_text()
    unit.write_text(text.replace("/opt/meshfleet/bin/meshfleet", here))
    home = {"HOME": str(installed), "XDG_RUNTIME_DIR": str(installed)}
    assert name not in told(analyze, *(["--user"] if user else []), "verify", "--man=no", str(unit), **home)


def test_the_service_of_the_system_may_do_little() -> None:
    unit = str(DEPLOY / "systemd" / "meshfleet.service")
    try:
        told(found("systemd-analyze"), "security", "--offline=yes", f"--threshold={EXPOSURE}", unit)
    except AssertionError as error:
        if "unrecognized option" in str(error):
            pytest.skip("systemd is older than 250 and can't read a unit offline")
        raise


def test_launchd_s_list_can_be_read_and_starts_the_command() -> None:
    with (DEPLOY / "launchd" / "meshfleet.plist").open("rb") as file:
        service = plistlib.load(file)
    assert service["ProgramArguments"][1:] == ["up"]
    assert service["Umask"] == 0o077
    assert service["KeepAlive"] == {"SuccessfulExit": False}


# containers


def test_hadolint_finds_nothing_in_the_containerfile() -> None:
    assert told(found("hadolint"), str(DEPLOY / "container" / "Containerfile")) == ""


def test_what_the_image_sets_starts_a_node() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    settings_of(dict(re.findall(r"(MESHFLEET_[A-Z_]+)=(\S+)", text)))


def test_the_compose_file_is_one_and_what_it_sets_starts_a_node() -> None:
    path = DEPLOY / "compose" / "compose.yaml"
    for service in yaml.safe_load(path.read_text())["services"].values():
        assert service["read_only"]
        settings_of({name: value for name, value in service["environment"].items() if not value.startswith("$")})
    docker = found("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose, which came with version 2")
    told(docker, "compose", "-f", str(path), "config", "-q")


# Kubernetes


def documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def containers(document: Any) -> list[Any]:
    pod = document["spec"].get("template", {}).get("spec", {}) if document["kind"] != "Namespace" else {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["meshfleet.yaml", "namespace.yaml", "sidecar.yaml"])
def test_kubernetes_would_take_the_manifests(name: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in documents(DEPLOY / "kubernetes" / name):
        validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", ["meshfleet.yaml", "sidecar.yaml"])
def test_every_node_of_them_starts_with_these_settings_and_is_no_more_than_it_needs(name: str) -> None:
    nodes = [
        container
        for document in documents(DEPLOY / "kubernetes" / name)
        for container in containers(document)
        if container["name"] == "meshfleet"
    ]
    assert nodes
    for node in nodes:
        settings_of({each["name"]: each["value"] for each in node["env"] if "value" in each})
        assert node["image"].endswith(f":{meshfleet.__version__}")
        assert node["securityContext"]["readOnlyRootFilesystem"]
        assert node["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "livenessProbe" in node


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    chart = pytest.importorskip("helm_python.chart", reason="helm-python-sdk is not installed")
    assert chart.lint(CHART, strict=True)["messages"] == []
    with chart.Chart.load(CHART) as loaded:
        assert loaded.metadata["appVersion"] == meshfleet.__version__
        loaded.validate_schema({"timing": "wan"})
        with pytest.raises(Exception, match="timing"):
            loaded.validate_schema({"timing": "slow"})


def test_a_chart_that_only_joins_another_fleet_has_no_first_node() -> None:
    chart = pytest.importorskip("helm_python.chart", reason="helm-python-sdk is not installed")
    with chart.Chart.load(CHART) as loaded:
        values = {"first": {"enabled": False}, "zone": "east", "environment": {"MESHFLEET_BILLING_DAY": "5"}}
        files = loaded.render(values, name="east", namespace="agents")
    kinds = {document["kind"] for text in files.values() for document in yaml.safe_load_all(text) if "kind:" in text}
    assert kinds == {"DaemonSet", "NetworkPolicy", "Service"}
    assert '{ name: MESHFLEET_ZONE, value: "east" }' in files["meshfleet/templates/observers.yaml"]
    assert '{ name: MESHFLEET_BILLING_DAY, value: "5" }' in files["meshfleet/templates/observers.yaml"]


def test_the_manifests_are_what_the_chart_comes_to() -> None:
    pytest.importorskip("helm_python.chart", reason="helm-python-sdk is not installed")
    made = runpy.run_path(str(ROOT / ".ci" / "manifests.py"))["rendered"]()
    assert made == (DEPLOY / "kubernetes" / "meshfleet.yaml").read_text(), "run `make manifests`"
