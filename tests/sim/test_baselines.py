"""SWIM and Lifeguard as they are elsewhere: what they believe, how they wake and probe; the paper's experiments."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.errors import ConfigError
from meshfleet.fleet.presence import Presence
from meshfleet.gossip.messages import Obituary, Packet, Via
from meshfleet.gossip.orders import SendPacket
from meshfleet.gossip.prober import Prober
from meshfleet.sim.baselines import DETECTORS
from meshfleet.sim.catalogue import FOLDER
from meshfleet.sim.lifeguard import ILL, Cell, adapted, markdown, measured, plan
from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.running import Run
from meshfleet.sim.scenario import Scenario, ScenarioError, load, parse
from meshfleet.sim.world import World

if TYPE_CHECKING:
    from meshfleet.gossip.member import Member
    from meshfleet.gossip.record import Record

SWIM = ("swim", "lifeguard")
ALL = tuple(DETECTORS)


def small(experiment: str, nodes: int = 12) -> Scenario:
    scenario = load(FOLDER / "lifeguard" / f"{experiment}.toml")
    return msgspec.structs.replace(scenario, fleet=msgspec.structs.replace(scenario.fleet, nodes=nodes))


@cache
def cell(experiment: str, detector: str) -> Cell:
    return measured(adapted(small(experiment), 3, detector), experiment, 3, 0)


def fleet(detector: str, *faults: str, seconds: float = 60.0) -> Run:
    """Four nodes, run up to the 20th second, at which they know each other."""
    text = f'name = "x"\nduration = {seconds}\ndetector = "{detector}"\n[fleet]\nnodes = 4\n'
    run = Run(parse(text + "".join(f"[[fault]]\n{fault}\n" for fault in faults)), 0)
    run.world.run(20 * MICROSECONDS)
    return run


def at(run: Run, seconds: float) -> None:
    run.world.run(round(seconds * MICROSECONDS))


def world(run: Run) -> World:
    assert isinstance(run.world, World)
    return run.world


def member(run: Run, number: int) -> Member:
    found = run.world.hosts[number].member
    assert found is not None
    return found


def record(run: Run, number: int, name: str) -> Record:
    found = member(run, number).roster.get(name)
    assert found is not None
    return found


# On a starved fleet


def test_on_a_starved_fleet_swim_calls_many_of_the_healthy_dead_lifeguard_few_and_meshfleet_nobody() -> None:
    swim, lifeguard, ours = (cell("interval", detector) for detector in (*SWIM, "meshfleet"))
    assert swim.fp > 2 * lifeguard.fp > 0
    assert swim.fp_healthy >= lifeguard.fp_healthy
    assert (ours.fp, ours.fp_healthy, ours.of_the_ill) == (0, 0, 0)
    assert all(not c.broken for c in (swim, lifeguard, ours))


@pytest.mark.parametrize("detector", SWIM)
def test_the_baselines_call_whoever_stands_still_down_and_meshfleet_calls_it_unreachable(detector: str) -> None:
    theirs, ours = cell("threshold", detector), cell("threshold", "meshfleet")
    assert theirs.of_the_ill == 3 * 9
    assert ours.of_the_ill == 0
    for found in (theirs, ours):
        assert found.first_s is not None
        assert found.full_s is not None
        assert 5.0 < found.first_s <= found.full_s < 12.0


# What is believed


@pytest.mark.parametrize("detector", ALL)
def test_a_death_that_somebody_tells_of_is_believed_by_the_baselines_alone_and_refuted_by_who_lives(
    detector: str,
) -> None:
    run = fleet(detector)
    listener, liar = member(run, 0), member(run, 1)
    subject = record(run, 0, "n002")
    lie = Obituary("n002", subject.epoch, subject.alive.incarnation, "n001", "the suspicion ran out")
    now = run.world.clock(run.world.hosts[0])
    packet = Packet("n001", liar.epoch, liar.beats.counter, 0.0, 0, (lie,))
    listener.receive(packet, run.world.hosts[1].address, Via.DATAGRAM, now)
    assert (subject.presence is Presence.DOWN) is (detector in SWIM)
    world(run).flush(run.world.hosts[0])
    at(run, 25.0)
    assert subject.presence is Presence.FRESH
    assert subject.alive.incarnation == lie.incarnation + 1
    assert record(run, 3, "n002").alive.incarnation == lie.incarnation + 1


def test_whose_suspicion_runs_out_tells_everybody() -> None:
    run = fleet("swim", 'kind = "host_down"\nat = 21.0\nnodes = ["n003"]')
    at(run, 40.0)
    for number in range(3):
        gone = record(run, number, "n003")
        assert gone.presence is Presence.DOWN
        assert gone.known.is_buried
    assert {obituary.how for obituary in record(run, 0, "n003").known.obituaries} == {"the suspicion ran out"}


@pytest.mark.parametrize("detector", ALL)
def test_only_meshfleet_knows_witnesses(detector: str) -> None:
    text = (
        f'name = "x"\nduration = 22.0\ndetector = "{detector}"\n[fleet]\nnodes = 4\nhosts = {{ box = ["n00[23]"] }}\n'
        '[[fault]]\nkind = "crash"\nat = 21.0\nnodes = ["n003"]\n'
    )
    run = Run(parse(text), 0)
    run.run()
    assert (record(run, 2, "n003").presence is Presence.DOWN) is (detector == "meshfleet")


# Waking, and probing


@pytest.mark.parametrize("detector", ALL)
def test_who_stood_still_runs_its_timers_before_its_mail_unless_it_minds_its_listening(detector: str) -> None:
    run = fleet(detector)
    here = run.world.hosts[0]
    Prober.probe(member(run, 0).prober, record(run, 0, "n001"), run.world.clock(here))
    world(run).flush(here)
    run.world.pause(here)
    at(run, 21.8)  # beyond the probe's end, and short of a stop that meshfleet takes for one
    assert any(packet.source == "n001" for packet, _, _ in here.held)
    run.world.resume(here)
    assert record(run, 0, "n001").known.is_accused is (detector in SWIM)


@pytest.mark.parametrize("detector", ALL)
def test_the_baselines_probe_nobody_out_of_turn(detector: str) -> None:
    run = fleet(detector)
    now = run.world.clock(run.world.hosts[0])
    member(run, 0).prober.probe(record(run, 0, "n001"), now)
    sent = [out for out in member(run, 0).outgoing(now) if isinstance(out, SendPacket)]
    assert bool(sent) is (detector == "meshfleet")


@pytest.mark.parametrize(("detector", "score"), [("swim", 0), ("lifeguard", 2)])
def test_a_probe_whose_helpers_are_silent_costs_lifeguard_a_point_for_each(detector: str, score: int) -> None:
    run = fleet(detector)
    here, prober, clock = member(run, 0), member(run, 0).prober, run.world.clock(run.world.hosts[0])
    prober.abandon()
    Prober.probe(prober, record(run, 0, "n001"), clock)
    for later in (0.4, 1.0, 1.3):  # nothing is sent and nothing comes: the world stands still
        here.timers.run_due(clock + later + 1e-6)
    assert here.awareness.score == score


# A backlog


def test_who_gets_through_few_packets_reads_old_ones_and_all_of_them_when_it_is_over() -> None:
    run = fleet(
        "meshfleet", 'kind = "starve"\nat = 21.0\nuntil = 40.0\nnodes = ["n003"]\nslice = 0.1\nof = 1.0\npackets = 1'
    )
    here = run.world.hosts[3]
    at(run, 39.95)
    assert here.listens
    assert len(here.held) > 30
    at(run, 40.0)
    assert not here.held
    assert here.takes(7) == 7


def test_a_starved_node_that_is_started_anew_reads_what_comes() -> None:
    run = fleet("meshfleet", 'kind = "starve"\nat = 21.0\nnodes = ["n003"]\nslice = 0.1\nof = 1.0\npackets = 1')
    here = run.world.hosts[3]
    at(run, 30.0)
    run.world.start(here, run.world.hosts[0])
    assert (here.reads, len(here.held)) == (None, 0)


def test_stack_mode_refuses_to_count_packets() -> None:
    with pytest.raises(ScenarioError, match=r"fault\[0\].packets counts what core mode's kernel hands over"):
        Run(msgspec.structs.replace(small("interval", 4), mode="stack"), 0)


# The experiments


def test_the_experiments_are_the_papers_but_for_who_is_ill() -> None:
    for experiment in ("interval", "threshold"):
        scenario = plan(experiment, 4, "swim")
        assert (scenario.detector, scenario.fleet.nodes, scenario.patience().suspicion_alpha) == ("swim", 128, 5.0)
        assert getattr(scenario.fault[0], "nodes", ()) == ("n000", "n001", "n002", "n003")
    with pytest.raises(ConfigError, match="128 of 128 nodes can't be ill"):
        plan("interval", 128, "swim")


def test_the_tables_stand_beside_the_papers_ratios() -> None:
    def made(experiment: str, ill: int, detector: str, fp: int) -> Cell:
        return Cell(
            experiment=experiment, ill=ill, detector=detector, runs=1, fp=fp, fp_healthy=fp // 10, of_the_ill=2_000,
            first_s=8.0, full_s=9.0 if detector == "swim" else None,
        )  # fmt: skip

    found = [
        made(experiment, ill, detector, fp)
        for experiment in ("interval", "threshold")
        for ill in ILL
        for detector, fp in (("meshfleet", 0), ("swim", 1_000), ("lifeguard", 15))
    ]
    table = markdown(found, range(1))
    assert "| 32 | 1,000 / 100 / 2,000 | 15 / 1 / 2,000 | 0 / 0 / 2,000 | 1.5 % | 1.5 % |" in table
    assert "| all | 5,000 / 500 / 10,000 | 75 / 5 / 10,000 | 0 / 0 / 10,000 | 1.5 % | 1.5 % |" in table
    assert "| 8 | 8.0 / 9.0 | 8.0 / · | 8.0 / · | · |" in table
