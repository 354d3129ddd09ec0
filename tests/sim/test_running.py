"""The catalogue holds; the same seed gives the same run; the score tells right from wrong; baselines do worse."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.state import Snapshot
from meshfleet.gossip.messages import (
    Ack,
    Alive,
    Beat,
    Beats,
    Digest,
    Have,
    Message,
    NodeInfo,
    Ping,
    SnapshotMessage,
    Suspect,
)
from meshfleet.node.trust import seeded
from meshfleet.sim.catalogue import files, find, is_slow
from meshfleet.sim.measuring import measure
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import load, parse
from meshfleet.wire.codec import size_of
from meshfleet.wire.notary import Notary


def run(name: str, seed: int = 0, detector: str = "meshfleet") -> Report:
    scenario = load(find(name))
    return Run(msgspec.structs.replace(scenario, detector=detector), seed).run()


@pytest.mark.parametrize("name", [file.stem for file in files() if not is_slow(load(file))])
def test_the_catalogue_holds(name: str) -> None:
    report = run(name)
    assert [held.detail for held in report.expect if not held.ok] == []
    assert [pace.details for pace in report.pace if not pace.ok] == []
    assert (report.false_down, report.missed_down) == (0, 0), report.details


def test_what_the_tests_leave_out_for_its_size_is_little() -> None:
    slow = [file.stem for file in files() if is_slow(load(file))]
    assert 0 < len(slow) < len(files()) / 8, slow


def test_the_same_seed_gives_the_same_run_in_any_process_whatever_its_hash_seed() -> None:
    story = (
        "from meshfleet.sim.scenario import load; from meshfleet.sim.catalogue import find\n"
        "from meshfleet.sim.running import Run; print(Run(load(find('minority-cut')), 3).run().trace_sha256)"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", story],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert traces == {run("minority-cut", 3).trace_sha256}
    assert run("minority-cut", 4).trace_sha256 not in traces


def test_an_expectation_that_does_not_hold_says_who_said_what_when() -> None:
    scenario = parse(
        'name = "x"\nduration = 60.0\n[fleet]\nnodes = 5\n[[fault]]\nkind = "crash"\nat = 20.0\nnodes = ["n003"]\n'
        '[[expect]]\nobservers = ["n000"]\nsubjects = ["n003"]\nnever = ["down"]\n'
        '[[expect]]\nobservers = ["n000"]\nsubjects = ["n003"]\nfrom = 5.0\nreach = "fresh"\n'
        '[[expect]]\nobservers = ["n000"]\nfrom = 30.0\nstanding = "split"\n'
    )
    report = Run(scenario, 0).run()
    assert not report.ok
    assert [held.ok for held in report.expect] == [False, False, False]
    assert report.expect[0].detail.startswith("n000 said down of n003 at 20.")
    assert "connection refused: nobody listens there)" in report.expect[0].detail
    assert report.expect[1].detail.endswith(", not fresh")
    assert report.expect[2].detail == "n000 stood connected at 30.00 s, not split"


@pytest.mark.parametrize("detector", ["swim", "lifeguard"])
def test_the_baselines_call_a_cut_a_death(detector: str) -> None:
    report = run("minority-cut", 0, detector)
    assert report.false_down >= 12
    assert "said down of" in report.details[0]


def test_a_death_is_timed_and_a_cut_is_counted_by_what_was_said() -> None:
    crash = run("process-crash")
    assert crash.detect_s["exited"]["last_p50"] is not None
    assert crash.detect_s["exited"]["last_p50"] < 2.0
    cut = run("minority-cut").confusion["running_cut_off"]
    assert {word for word, seconds in cut.items() if seconds} == {Presence.UNREACHABLE.value}
    assert cut["unreachable"] > 24 * 30


def test_snapshots_arrive_and_cost_is_counted() -> None:
    report = run("quiet")
    assert report.spread_s["p99"] is not None
    assert 1.0 <= report.cost["copies_per_snapshot"] <= 4.0
    assert report.cost["bytes_per_node_s"] > 1_000


def test_nobody_dies_unnoticed_even_if_he_is_never_seen_to_fall() -> None:
    scenario = parse(
        'name = "x"\nduration = 200.0\n[fleet]\nnodes = 6\n[[fault]]\nkind = "host_down"\nat = 20.0\nnodes = ["n004"]\n'
    )
    report = Run(scenario, 1).run()
    assert (report.missed_down, report.false_down) == (0, 0)
    assert Run(msgspec.structs.replace(scenario, duration=140.0, detector="swim"), 1).run().missed_down == 0


INFO = NodeInfo(
    "host-12", "10.0.0.12", 7878, None, "agent", "http://127.0.0.1:7879", "0.1.0", "0123456789ab:1234:567890"
)
EPOCH = 1_763_923_200_123
IDENTITY = seeded(b"k" * 32, "n012", 0.0)
NOTARY = Notary(IDENTITY.fleet, IDENTITY.key, IDENTITY.certificate, lambda: 0.0)
SHOT = Snapshot(NodeName("n012"), Epoch(EPOCH), 88, 0, 0, AgentId("n012/a0"), b"x" * 400)


@pytest.mark.parametrize(
    "message",
    [
        Ping(1_000, "n012"),
        Ack(1_000, "n012", EPOCH),
        Suspect("n012", EPOCH, 0, "n013"),
        Alive("n012", EPOCH, 3, INFO),
        SnapshotMessage(SHOT, None, 1_000, 1.5),
        Digest(tuple(Have(f"n{i:03}", EPOCH, 88) for i in range(16))),
        Beats(tuple(Beat(2**39 + i, 1_000, -1.5) for i in range(20))),
        Beats(tuple(Beat(2**39 + i, 1_000, -1.5) for i in range(20)), asks=True),
    ],
)
def test_the_virtual_wire_counts_about_what_the_real_one_sends(message: Message) -> None:
    size = size_of(signed(message))
    assert abs(measure(message) - size) <= max(4, 0.15 * size)


def signed(message: Message) -> Message:
    """As the real one sends it."""
    if isinstance(message, SnapshotMessage):
        return msgspec.structs.replace(message, snapshot=NOTARY.sign(message.snapshot), proof=bytes(8))
    if isinstance(message, Alive):
        message = msgspec.structs.replace(message, beat=1_000, anchor=bytes(8))
    return NOTARY.sign(message) if isinstance(message, Alive | Suspect) else message
