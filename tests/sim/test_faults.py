"""What faults do that the catalogue's expectations can't tell apart: addresses, clocks, NAT, witnesses, links."""

from __future__ import annotations

from random import Random

import pytest

from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import Presence
from meshfleet.node.viewing import Viewing
from meshfleet.sim.faults import Delay
from meshfleet.sim.host import ASKED_US, Host
from meshfleet.sim.network import MICROSECONDS, Network, Quality, Worse
from meshfleet.sim.running import Report, Run
from meshfleet.sim.scenario import ScenarioError, parse
from meshfleet.sim.truth import Truth


def story(*faults: str, nodes: int = 5, seconds: float = 60.0, fleet: str = "") -> Run:
    text = f'name = "x"\nduration = {seconds}\n[fleet]\nnodes = {nodes}\n{fleet}\n'
    return Run(parse(text + "".join(f"[[fault]]\n{fault}\n" for fault in faults)), 0)


def clean(report: Report) -> bool:
    return (report.false_down, report.missed_down) == (0, 0)


# move


def test_who_moves_is_known_at_the_new_address_in_a_new_life_and_the_old_address_is_nobody() -> None:
    run = story('kind = "move"\nat = 20.0\nnodes = ["n003"]')
    old = run.world.hosts[3].address
    assert clean(run.run())
    for host in run.world.hosts:
        assert host.member is not None
        record = host.member.roster.get("n003")
        assert record is not None or host.name == "n003"
        assert record is None or (record.address, record.epoch) == (run.world.hosts[3].address, 2)
    assert run.world.hosts[3].address != old
    assert run.world.foreign == 0


def test_what_is_sent_to_an_address_that_went_to_another_fleet_is_dropped_there() -> None:
    # Everybody joined by n000, and now and then tries that address again.
    run = story('kind = "move"\nat = 20.0\nnodes = ["n000"]\nreused_by = "others"', seconds=90.0)
    assert clean(run.run())
    assert run.world.foreign > 0
    assert [run.score.told(o, "n000")[-1][1] for o in (1, 2, 3, 4)] == [Presence.FRESH] * 4


# skew


def test_a_wrong_wall_clock_is_shown_and_changes_no_verdict() -> None:
    skewed = story('kind = "skew"\nat = 20.0\nnodes = ["n003"]\noffset = 3600.0\ndrift = 0.01')
    true = story()
    assert skewed.run().trace_sha256 == true.run().trace_sha256
    for run, offset_ms in ((skewed, 3_600_000 + 400), (true, 0)):
        here = run.world.hosts[0]
        assert here.member is not None
        view = Viewing(here.member).fleet(version="1", now=run.world.clock(here), wall=0.0, lag=0.0)
        shown = next(node for node in view.nodes if node.name == "n003").clock_offset_ms
        assert shown is not None
        assert abs(shown - offset_ms) < 50


def test_a_wall_clock_is_true_again_when_the_fault_is_undone() -> None:
    host = Host("n000", 0, "h", None)
    start = host.wall_ms(0)
    host.set_wall(10 * MICROSECONDS, -2.0, 0.1)
    assert host.wall_ms(20 * MICROSECONDS) - start == 20_000 - 2_000 + 1_000
    assert host.clock(20 * MICROSECONDS) == 20.0
    host.set_wall(30 * MICROSECONDS, 0.0, 0.0)
    assert host.wall_ms(40 * MICROSECONDS) - start == 40_000


# outbound_only


def test_behind_nat_only_answers_get_in() -> None:
    host = Host("n000", 0, "h", None)
    assert host.lets_in(1, 0)
    host.outbound_only = True
    assert not host.lets_in(1, 0)
    host.asked_us[1] = 1_000
    assert host.lets_in(1, ASKED_US)
    assert not host.lets_in(1, ASKED_US + 1_000)
    assert not host.lets_in(2, 2_000)


def test_where_all_is_lost_there_is_a_cut() -> None:
    run = story(
        'kind = "degrade"\nat = 20.0\nuntil = 40.0\nfrom = ["n000"]\nto = ["*", "!n000"]\nloss = 1.0', seconds=60.0
    )
    run.world.run(39_000_000)
    assert {p.truth for (a, b), p in run.score._pairs.items() if 0 in (a, b)} == {Truth.CUT_OFF}
    report = run.run()
    assert (report.false_down, report.broken) == (0, "")
    assert not run.world.network.barriers


@pytest.mark.parametrize("where", ["[network]", '[[network.between]]\na = ["n000"]\nb = ["n001"]'])
def test_a_network_that_never_delivers_is_refused(where: str) -> None:
    with pytest.raises(ScenarioError, match="loss"):
        parse(f'name = "x"\nduration = 10.0\n[fleet]\nnodes = 3\n{where}\nloss = 1.0\n')


def test_nobody_is_blamed_for_not_asking_a_hidden_and_stopped_one_without_a_stream_to_it() -> None:
    nat = 'kind = "outbound_only"\nat = 0.0\nuntil = 40.0\nnodes = ["n003"]\ntranslated = true'
    stop = 'kind = "pause"\nat = 40.0\nnodes = ["n003"]'
    for faults, hidden in (((nat, stop), True), ((stop,), False)):
        run = story(*faults, nodes=10, seconds=60.0)
        run.run()
        others = [host for host in run.world.hosts if host.number != 3]
        assert 3 <= sum(3 in host.streams for host in others) < 9
        assert apart(run) == [20.0 if hidden and 3 not in host.streams else 0.0 for host in others]


def apart(run: Run) -> list[float]:
    """For how many seconds nothing could have told each of n003."""
    partings, hosts = run.score._partings, run.world.hosts
    assert partings is not None
    pairs = [(host, run.score._pairs[host.number, 3]) for host in hosts if host.number != 3]
    return [partings.apart(host, hosts[3], pair, run.world.now_us)[0] for host, pair in pairs]


def test_no_two_monotonic_clocks_show_the_same_and_a_boot_begins_another() -> None:
    run = story('kind = "host_down"\nat = 20.0\nuntil = 40.0\nnodes = ["n003"]')
    before = [run.world.clock(host) for host in run.world.hosts]
    assert len(set(before)) == 5
    assert clean(run.run())
    passed = [round(run.world.clock(host) - began) for host, began in zip(run.world.hosts, before, strict=True)]
    assert [seconds == 60 for seconds in passed] == [True, True, True, False, True]


# witnesses, hosts


def test_who_runs_on_the_same_machine_sees_a_process_end_when_nothing_else_tells() -> None:
    # All alone on its machine with the victim, and the network is gone: no stream to a third, no refusal from outside.
    faults = ('kind = "nic_down"\nat = 10.0\nnodes = ["n000", "n001"]', 'kind = "crash"\nat = 20.0\nnodes = ["n001"]')
    said = {}
    for fleet in ('hosts = { desk = ["n000", "n001"] }', ""):
        run = story(*faults, fleet=fleet, seconds=25.0)
        run.run()
        said[fleet] = [(when, word) for when, word in run.score.told(0, "n001") if word is Presence.DOWN]
    assert said[""] == []
    [(when, _)] = said['hosts = { desk = ["n000", "n001"] }']
    assert 20.0 < when / MICROSECONDS < 20.01


def test_a_machine_that_goes_dark_takes_all_its_nodes_with_it() -> None:
    run = story('kind = "host_down"\nat = 10.0\nnodes = ["n001"]', fleet='hosts = { desk = ["n000", "n001"] }')
    run.run()
    assert [host.running for host in run.world.hosts] == [False, False, True, True, True]


# agents


def test_an_agent_that_exits_while_its_node_is_stopped_is_reported_when_the_node_runs_again() -> None:
    run = story(
        'kind = "pause"\nat = 10.0\nuntil = 14.0\nnodes = ["n001"]',
        'kind = "agent_exit"\nat = 12.0\nagents = ["n001/a0"]\ncode = 137',
    )
    run.run()
    here = run.world.hosts[0]
    assert here.member is not None
    [agent] = Viewing(here.member).agents_of(NodeName("n001"), now=run.world.clock(here), wall=0.0)
    assert (agent.presence, agent.state.exit_code) == (Presence.LEFT, 137)
    assert agent.reasons == ("its process exited with code 137",)


# starve, degrade


def test_starving_ends_when_it_is_undone() -> None:
    run = story('kind = "starve"\nat = 10.0\nuntil = 21.0\nnodes = ["n001"]\nslice = 0.5\nof = 10.0')
    run.world.run(21 * MICROSECONDS + 1)
    assert run.world.hosts[1].listens


def test_a_worse_link_stays_as_it_was_in_what_the_fault_does_not_name() -> None:
    slow = Quality.of(Delay(0.5, 1.0), 0.1, 0.0, 0.0)
    network = Network(Quality.of(Delay(), 0.0, 0.0, 0.0), Random(0))
    network.set_between(frozenset({0}), frozenset({1}), slow)
    lossy, delayed = Worse(None, 0.3, None, None), Worse(Delay(2.0, 4.0), None, None, 0.2)
    everybody = frozenset({0, 1, 2})
    network.degrade(everybody, everybody, lossy)
    assert network.quality(0, 1) == Quality(slow.median_s, slow.sigma, 0.3, 0.0, 0.0)
    network.degrade(everybody, everybody, delayed)
    assert (network.quality(1, 0).median_s, network.quality(1, 0).loss, network.quality(1, 0).reorder) == (
        2.0,
        0.3,
        0.2,
    )
    network.restore(everybody, everybody, lossy)
    network.restore(everybody, everybody, delayed)
    assert network.quality(0, 1) == slow


# a host that boots again


def test_a_stream_to_an_earlier_life_carries_nothing_to_the_later_one() -> None:
    run = story('kind = "host_down"\nat = 20.0\nuntil = 21.0\nnodes = ["n003"]')
    run.world.run(20_900_000)
    stale = {h.number: h.streams[3] for h in run.world.hosts if 3 in h.streams}
    assert stale
    run.world.run(25 * MICROSECONDS)
    assert all(h.streams.get(3) != stale[h.number] for h in run.world.hosts if h.number in stale)
    assert clean(run.run())


def test_a_paused_process_that_is_killed_does_not_start_stopped() -> None:
    run = story(
        'kind = "pause"\nat = 10.0\nuntil = 50.0\nnodes = ["n001"]',
        'kind = "crash"\nat = 20.0\nuntil = 22.0\nnodes = ["n001"]',
    )
    run.world.run(23 * MICROSECONDS)
    assert run.world.hosts[1].listens
    assert clean(run.run())
