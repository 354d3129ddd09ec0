"""Agents that say more, machines that can do less, and what is measured of their pace."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.sim.agents import working
from meshfleet.sim.faults import BODY
from meshfleet.sim.queueing import RECEIVE_BUFFER, Capacity, Queue
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import FleetPlan, ScenarioError, parse
from meshfleet.wire.states import decode_state


def play(text: str, nodes: int = 4, fleet: str = "", seconds: float = 60.0) -> Report:
    return Run(parse(f'name = "x"\nduration = {seconds}\n{text}\n[fleet]\nnodes = {nodes}\n{fleet}\n'), 0).run()


CHATTER = '[[fault]]\nkind = "chatter"\nat = 20.0\nuntil = 50.0\nagents = ["n001/a0"]\nevery = {}\n'
PACE = '[[pace]]\nagents = ["n001/a0"]\nfrom = 21.0\nto = 50.0\nevery = [0.01, 1_000.0]\n'


def test_a_state_is_as_large_as_it_was_asked_for() -> None:
    for size in range(BODY, 4_097, 7):
        body = working("n000/a0", size)
        assert len(body) == size
        assert decode_state(body).agent_id == "n000/a0"


@pytest.mark.parametrize("every", [0.02, 0.9])
def test_who_changes_fifty_times_a_second_goes_once(every: float) -> None:
    (pace,) = play(CHATTER.format(every) + PACE).pace
    assert pace.ok
    assert pace.every is not None
    assert 1.0 <= pace.every[0] <= pace.every[2] < 1.1
    assert pace.unevenness == 1.0


def test_fifty_changes_a_second_cost_what_one_costs() -> None:
    one, fifty = (play(CHATTER.format(every) + PACE).pace[0].bytes_per_node_s for every in (1.0, 0.02))
    assert abs(fifty / one - 1) < 0.02


def test_what_is_expected_of_a_pace_and_is_not_so_is_told() -> None:
    text = PACE.replace("[0.01, 1_000.0]", "[3.0, 4.0]") + "uneven = 1.0\nlate = 0.000001\nbytes = 10.0\nsays = true\n"
    report = play(text)
    assert not report.ok
    (pace,) = report.pace
    interval, late, cost, says = pace.details
    assert interval.startswith("snapshots left each ")
    assert interval.endswith("not 3 to 4 s")
    assert late.startswith("one snapshot of a hundred is 0.")
    assert cost.endswith("bytes/s, not 10")
    assert says == "n001 does not say that it slows down"
    assert play(PACE + "says = false\n").ok
    (pace,) = play(PACE.replace("to = 50.0", "to = 21.5")).pace
    assert pace.details == ("n001/a0 has no interval: fewer than two of its snapshots left",)


# Machines


def test_packets_take_their_turn_and_beyond_the_buffer_they_are_lost() -> None:
    queue = Queue(longest_us=100)
    assert [queue.take(0, 60) for _ in range(4)] == [60, 120, None, None]
    assert queue.take(0, 60, patient=True) == 180, "a stream waits outside"
    assert queue.take(180, 60) == 60
    assert (queue.lost, queue.longest_us) == (2, 120)


def test_a_machine_has_its_bandwidth_and_takes_its_time() -> None:
    assert Capacity.of(FleetPlan(nodes=1)) is None
    narrow = Capacity.of(FleetPlan(nodes=1, bandwidth=1_000_000.0, buffer=2_000.0, packet_cost=0.001))
    assert narrow is not None
    assert [narrow.out(1_500, 0, patient=False) for _ in range(3)] == [1_500, 3_000, None]
    assert [narrow.read(0) for _ in range(RECEIVE_BUFFER + 2)][-2:] == [(RECEIVE_BUFFER + 1) * 1_000, None]


def test_a_link_that_is_too_narrow_makes_heartbeats_late() -> None:
    wide, narrow = (play("", fleet=fleet, nodes=6) for fleet in ("", "bandwidth = 1_000.0\nbuffer = 20_000"))
    assert wide.confusion["running_reachable"]["stale"] == 0
    assert narrow.confusion["running_reachable"]["stale"] > 0


def test_stack_mode_has_no_such_machines() -> None:
    scenario = parse('name = "x"\nmode = "stack"\nduration = 10.0\n[fleet]\nnodes = 2\nbandwidth = 5_000.0\n')
    with pytest.raises(ScenarioError, match=r"fleet\.bandwidth and fleet\.packet_cost are of core mode"):
        Run(scenario, 0)


def test_chatter_is_played_in_stack_mode_as_well() -> None:
    scenario = parse(f'name = "x"\nduration = 30.0\n{CHATTER.format(0.1)}[fleet]\nnodes = 3\n'.replace("50.0", "28.0"))
    report = Run(msgspec.structs.replace(scenario, mode="stack"), 0).run()
    assert (report.ok, report.broken) == (True, "")
