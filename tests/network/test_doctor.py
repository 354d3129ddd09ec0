"""`meshfleet doctor` on networks where what people meet is really wrong: firewalls, MTU, clocks, addresses, names.

Each fault is made in a kernel, beside real nodes, and the doctor of one of them is asked. What is judged from what, is
tested case by case in tests/fleet/test_doctoring.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meshfleet.cli.local import administer
from meshfleet.fleet.findings import Ailment, Finding
from meshfleet.fleet.presence import Presence
from meshfleet.node.admin import Doctor
from tests.network.fleet import fleet
from tests.network.ground import Rule, ground, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meshfleet.node.diagnosis import Diagnosis
    from tests.network.fleet import Fleet

WHY_NOT = why_not()
pytestmark = [pytest.mark.processes, pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")]

NAMES = ["n000", "n001", "n002"]

WRONG_CLOCK = """
import time
true = time.time
time.time = lambda: true() + 1_800.0
"""


def asked(nodes: Fleet, name: str, *, tries: bool = True) -> Diagnosis:
    """What the doctor of a node says."""
    diagnosis = administer(nodes.state_dir(name), Doctor(tries), f"{name} does not run").diagnosis
    assert diagnosis is not None
    return diagnosis


def finds(nodes: Fleet, name: str, what: Ailment, *, tries: bool = True) -> Finding:
    """What it finds of that kind, as soon as it does. What it knows without trying is there at once."""
    found: list[Finding] = []

    def does() -> bool:
        found[:] = [each for each in asked(nodes, name, tries=tries).findings if each.what is what]
        return bool(found)

    nodes.until(does, f"the doctor of {name} finds {what.value}", every=1.1)
    return found[0]


def is_well(nodes: Fleet, name: str) -> bool:
    """Whether its doctor finds nothing, and looked everywhere."""
    told = asked(nodes, name)
    return not told.findings and set(told.tested) == set(NAMES) - {name}


def run(nodes: Fleet, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command beside a node."""
    command = (sys.executable, "-m", "meshfleet", *words, "--state-dir", str(nodes.state_dir(name)))
    return subprocess.run(nodes.ground.inside(name, *command), capture_output=True, text=True, check=False)


def all_but(name: str) -> frozenset[str]:
    return frozenset(NAMES) - {name}


def test_firewalls_and_an_mtu_are_found_from_either_side_and_health_is_told(tmp_path: Path) -> None:
    with ground(NAMES) as laid, fleet(laid, tmp_path, "--timing", "local") as nodes:
        nodes.assemble(NAMES)
        nodes.until(lambda: is_well(nodes, "n002"), "the doctor finds nothing", every=1.1)
        told = run(nodes, "n002", "doctor")
        assert "Nothing is wrong with addresses, clocks and names." in told.stdout
        assert told.returncode == 0

        laid.mtu("n002", 1_280)
        laid.rule("n001", Rule(frozenset({"n000"}), "udp"))
        found = finds(nodes, "n000", Ailment.MTU)
        assert found.nodes == ("n002",)
        assert found.evidence[0].startswith("to n002: 200 bytes 3 of 3, 1,200 bytes 3 of 3, 1,400 bytes 0 of 3")
        found = finds(nodes, "n000", Ailment.UDP_ONE_WAY)
        assert found.nodes == ("n001",)
        assert "none of n000's datagrams comes to n001" in found.text
        told = run(nodes, "n001", "doctor")
        assert told.returncode == 1
        assert "udp-one-way: UDP goes one way only" in told.stdout

        laid.rule("n002", Rule(all_but("n002"), "unasked"))
        found = finds(nodes, "n002", Ailment.FIREWALL)
        assert set(found.nodes) == all_but("n002")
        assert "7878" in found.do
        assert finds(nodes, "n000", Ailment.FIREWALL).nodes == ("n002",)


def test_where_udp_is_blocked_altogether_a_fleet_works_over_streams_alone_and_says_so(tmp_path: Path) -> None:
    with ground(NAMES) as laid, fleet(laid, tmp_path, "--sample", "2") as nodes:
        for name in NAMES:
            laid.rule(name, Rule(all_but(name), "udp"))
        nodes.assemble(NAMES)
        found = finds(nodes, "n001", Ailment.UDP_BLOCKED)
        assert set(found.nodes) == all_but("n001")
        assert "between n001 and anybody" in found.text
        nodes.until(lambda: carries(nodes, NAMES), "everybody shows the agents of everybody", every=1.1)
        said = run(nodes, "n001", "status").stdout
        assert "no datagram gets through to anybody: what goes there goes over streams" in " ".join(said.split())
        assert nodes.ever(Presence.UNREACHABLE) == nodes.ever(Presence.DOWN) == []


def carries(nodes: Fleet, names: Sequence[str]) -> bool:
    """Whether each shows two agents of each."""
    for name in names:
        shown = run(nodes, name, "status", "--output", "name").stdout.split()
        if {(other, sum(agent.startswith(f"h-{other}/") for agent in shown)) for other in names} != {
            (o, 2) for o in names
        }:
            return False
    return True


def test_a_clock_an_address_and_a_copied_state_dir_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied, wrong = "n003", tmp_path / "wrong-clock"
    wrong.mkdir()
    (wrong / "sitecustomize.py").write_text(WRONG_CLOCK)
    with ground([*NAMES, copied]) as laid, fleet(laid, tmp_path, "--timing", "local") as nodes:
        laid.second_address("n002", "172.17.0.1", "192.0.2.0/24")
        nodes.start("n000")
        nodes.until(lambda: (nodes.state_dir("n000") / "running.json").exists(), "the first runs", every=0.1)
        line = nodes.invite("n000", 2)
        nodes.start("n002", line, "--gossip", "0.0.0.0:7878")
        with monkeypatch.context() as ahead:
            ahead.setenv("PYTHONPATH", str(wrong))
            nodes.start("n001", line)
        nodes.until_all(NAMES, NAMES, Presence.FRESH)

        found = finds(nodes, "n002", Ailment.ADDRESS)
        assert "names 172.17.0.1:7878" in found.text
        assert f"`--gossip {laid.address('n002')}:7878`" in found.do

        found = finds(nodes, "n001", Ailment.CLOCK, tries=False)
        assert "The clock of this machine is 30.0 min ahead: 2 of 2 other nodes agree" in found.text
        found = finds(nodes, "n000", Ailment.CLOCK, tries=False)
        assert found.nodes == ("n001",)

        of_the_running = shutil.ignore_patterns("*.sock", "running.json")
        shutil.copytree(nodes.state_dir("n000"), nodes.state_dir(copied), ignore=of_the_running)
        nodes.start(copied, None, "--name", "n000", "--join", f"{laid.address('n001')}:7878")
        found = finds(nodes, "n000", Ailment.NAME, tries=False)
        assert "Two processes speak as n000; that one is believed, and this one is not." in found.text
        assert f"{laid.address(copied)}:7878" in found.evidence[0]
        found = finds(nodes, "n002", Ailment.NAME, tries=False)
        assert found.nodes == ("n000",)
        assert laid.address("n000") in found.evidence[0]
        finds(nodes, copied, Ailment.NAME)
