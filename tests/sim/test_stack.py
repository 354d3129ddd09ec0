"""The real node in virtual time: it holds where the core holds, says what the core says, and the same seed gives the
same run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from meshfleet.cli import sim as cli
from meshfleet.cli.main import app
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.catalogue import find
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import Scenario, ScenarioError, load, parse
from meshfleet.sim.stack import StackWorld

if TYPE_CHECKING:
    from pathlib import Path

    from meshfleet.gossip.member import Member

Words = dict[tuple[int, int], list[Presence]]


def said_in(scenario: Scenario, mode: str) -> tuple[Report, Words]:
    """What came of a scenario, and what each observer said of each subject, in order.

    Left out is what was said for less than 0.9 s: it hangs on which of two things at one moment comes first. Members
    look at each other once a second, so what lasts a second lasts some microseconds more or less than that.
    """
    run = Run(msgspec.structs.replace(scenario, mode=mode), 0)
    report = run.run()
    words: Words = {}
    for pair, told in run.score.said.items():
        ends = [when for when, _ in told[1:]] + [round(report.virtual_s * MICROSECONDS)]
        lasting = [said for (when, said), end in zip(told, ends, strict=True) if end - when >= 0.9 * MICROSECONDS]
        words[pair] = [said for said, _ in groupby(lasting)]
    return report, words


@pytest.mark.parametrize(
    ("name", "duration"),
    [
        ("process-crash", 100.0),
        ("minority-cut", 125.0),
        ("rejecting-firewall", 135.0),
        ("stopped-process", 115.0),
        ("quiet", 40.0),
    ],
)
def test_the_real_node_holds_in_virtual_time_and_says_what_the_core_says(name: str, duration: float) -> None:
    scenario = msgspec.structs.replace(load(find(name)), duration=duration)
    core, core_said = said_in(scenario, "core")
    stack, stack_said = said_in(scenario, "stack")
    assert [held.detail for held in stack.expect if not held.ok] == []
    assert (stack.mode, stack.false_down, stack.missed_down) == ("stack", 0, 0), stack.details
    assert stack_said == core_said
    for cost, rel in (("bytes_per_node_s", 0.2), ("datagrams_per_node_s", 0.15), ("copies_per_snapshot", 0.1)):
        # Each new stream's TLS handshake takes 2.4 KB, which core mode does not count: much, in a run of a minute. And
        # a node that starts asks its seeds, and knows their certificates first: half a datagram a second over so long.
        assert stack.cost[cost] == pytest.approx(core.cost[cost], rel=rel)


SHORT = 'name = "x"\nduration = 50.0\n[fleet]\nnodes = 4\nupdate_every = 5.0\n'
FAULTS = [  # the partition ends where a ping and a knock don't get through in the same two milliseconds
    'kind = "crash"\nat = 10.0\nuntil = 20.0\nnodes = ["n001"]',
    'kind = "host_down"\nat = 10.0\nuntil = 40.0\nnodes = ["n000"]',
    'kind = "leave"\nat = 10.0\nuntil = 20.0\nnodes = ["n002"]',
    'kind = "move"\nat = 10.0\nnodes = ["n001"]\nreused_by = "other-fleet"',
    'kind = "skew"\nat = 10.0\nuntil = 20.0\nnodes = ["n001"]\noffset = -3600.0\ndrift = 1e-4',
    'kind = "join"\nat = 10.0\ncount = 2',
    'kind = "partition"\nat = 10.0\nuntil = 31.0\ngroups = [["n000"], ["n001", "n002", "n003"]]',
    'kind = "cut"\nat = 10.0\nuntil = 30.0\nfrom = ["n001"]\nto = ["n000", "n002", "n003"]',
    'kind = "flap"\nat = 10.0\nuntil = 30.0\nfrom = ["n000"]\nto = ["n003"]\nperiod = 8.0',
    'kind = "degrade"\nat = 10.0\nuntil = 30.0\nfrom = ["*"]\nto = ["*"]\nloss = 0.2\nduplicate = 0.1\nreorder = 0.1',
    'kind = "udp_blocked"\nat = 10.0\nuntil = 40.0\nfrom = ["n001"]\nto = ["n002"]',
    'kind = "nic_down"\nat = 10.0\nuntil = 30.0\nnodes = ["n001"]',
    'kind = "pause"\nat = 10.0\nuntil = 30.0\nnodes = ["n003"]',
    'kind = "starve"\nat = 10.0\nuntil = 30.0\nnodes = ["n003"]\nslice = 0.2\nof = 1.0',
    'kind = "suspend"\nat = 10.0\nuntil = 30.0\nnodes = ["n003"]',
    'kind = "agent_exit"\nat = 10.0\nuntil = 20.0\nagents = ["n001/a0"]\ncode = 1',
    'kind = "outbound_only"\nat = 10.0\nuntil = 40.0\nnodes = ["n001"]',
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.split('"')[1] for fault in FAULTS])
def test_each_fault_befalls_the_real_node_as_it_befalls_the_core(fault: str) -> None:
    scenario = parse(f"{SHORT}[[fault]]\n{fault}\n")
    core, core_said = said_in(scenario, "core")
    stack, stack_said = said_in(scenario, "stack")
    assert (stack.false_down, stack.missed_down, core.false_down) == (0, 0, 0), stack.details
    assert stack_said == core_said


STORY = """
import sys
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import parse
report = Run(parse(sys.argv[1]), int(sys.argv[2])).run()
print(report.trace_sha256, report.events, report.cost, report.spread_s)
"""


def test_the_same_seed_gives_the_same_run_in_any_process_whatever_its_hash_seed() -> None:
    text = f'mode = "stack"\n{SHORT}[[fault]]\n{FAULTS[0]}\n[[fault]]\n{FAULTS[7]}\n'.replace("50.0", "35.0")

    def run(seed: int, hash_seed: str) -> str:
        command = [sys.executable, "-c", STORY, text, str(seed)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert run(3, "0") == run(3, "1")
    assert run(3, "0") != run(4, "0")


def without_agents(fault: str, duration: float) -> Run:
    text = f'mode = "stack"\n{SHORT}[[fault]]\n{fault}\n'.replace("50.0", str(duration))
    return Run(parse(text.replace("nodes = 4\n", "nodes = 4\nagents_per_node = 0\n")), 0)


def n003(run: Run) -> Member:
    member = run.world.hosts[3].member
    assert member is not None
    return member


def test_a_stopped_process_runs_nothing_of_its_own() -> None:
    run, seen = without_agents('kind = "pause"\nat = 10.1\nnodes = ["n003"]', 35.0), list[int]()
    run.world.at(34_000_000, lambda: seen.append(n003(run).beats.counter))
    run.run()
    assert seen == [5]  # at 0, 2.5, 5, 7.5 and 10


def test_a_machine_that_slept_knows_it_by_its_clocks() -> None:
    run = without_agents('kind = "suspend"\nat = 10.1\nuntil = 30.0\nnodes = ["n003"]', 34.0)
    run.run()
    slept = n003(run)
    assert slept.counts["resumed"] == 1
    assert run.score.stood[3][0] == (30_000_000, Standing.RESUMING)
    assert slept.beats.counter == 5 + 1 + 1  # one on waking, and one 2.5 s later


def test_the_baselines_are_for_core_mode_alone() -> None:
    scenario = msgspec.structs.replace(load(find("quiet")), mode="stack", detector="swim")
    with pytest.raises(ScenarioError, match=r"quiet: the detector 'swim' is there for comparison in mode 'core'"):
        Run(scenario, 0)


def test_a_node_that_fails_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    run = Run(parse(f'mode = "stack"\n{SHORT}'.replace("50.0", "5.0")), 0)
    assert isinstance(run.world, StackWorld)
    monkeypatch.setattr("meshfleet.gossip.rounds.Rounds._digest", broken)
    report = run.run()
    assert not report.ok
    assert re.search(r"times a node could not handle .*n00\d: fault", report.broken)


def test_the_command_takes_a_mode_instead_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "short.toml"
    file.write_text(SHORT.replace("50.0", "5.0"))
    assert cli.run(str(file), 0, None, "stack", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "stack"
    result = CliRunner().invoke(app, ["sim", "run", str(file), "--mode", "stak"])
    assert (result.exit_code, "'stak' is neither core nor stack" in result.output) == (2, True)
