"""What `meshfleet doctor` makes of what a node saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.fleet.doctoring import find
from meshfleet.fleet.findings import CLOCK_FAR_OFF, CLOCK_OFF, Ailment, Path, Peer, Rivalry, Seen
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
    from meshfleet.fleet.findings import Finding

ME = "10.0.0.1:7878"
ALL = (3, 3, 3)
NONE = (0, 0, 0)
WELL = Path(reported=True, there=ALL, back=ALL, seen_from=ME, dialled="accepted", dialled_back="accepted")


def peer(number: int, path: Path | None = WELL, **more: object) -> Peer:
    plain = Peer(name=f"n{number}", address=f"10.0.0.{number}:7878", heard_from=f"10.0.0.{number}:7878", path=path)
    return msgspec.structs.replace(plain, **more)


def path(**changed: object) -> Path:
    return msgspec.structs.replace(WELL, **changed)


def seen(*peers: Peer, **more: object) -> Seen:
    return msgspec.structs.replace(Seen(node="n1", address=ME, peers=peers), **more)


def found(what: Seen) -> list[Ailment]:
    return [finding.what for finding in find(what)]


def only(what: Seen) -> Finding:
    (finding,) = find(what)
    return finding


def test_where_all_is_well_nothing_is_found() -> None:
    assert find(seen(peer(2), peer(3), peer(4, None))) == ()


def test_what_was_not_tried_is_no_finding() -> None:
    assert find(seen(peer(2, None), peer(3, Path(reported=False)))) == ()


def test_who_is_alone_is_told_how_others_come_and_why_none_did() -> None:
    finding = only(seen())
    assert (finding.what, finding.severity) == (Ailment.ALONE, Severity.INFO)
    assert "meshfleet invite" in finding.do
    finding = only(seen(why_alone="Nobody could be joined."))
    assert finding.severity is Severity.WARNING
    assert finding.evidence == ("Nobody could be joined.",)
    finding = only(seen(address="127.0.0.1:7878"))
    assert "--gossip 10.0.0.5:7878" in finding.do
    assert "listens on loopback alone (127.0.0.1:7878)" in finding.evidence[0]


def test_who_was_told_where_to_join_and_could_not_is_told_why() -> None:
    finding = only(seen(unjoined=("10.0.0.9:7878: it belongs to another fleet",)))
    assert (finding.what, finding.severity) == (Ailment.ALONE, Severity.WARNING)
    assert finding.evidence == ("10.0.0.9:7878: it belongs to another fleet",)
    assert "meshfleet up --invite LINE" in finding.do


@pytest.mark.parametrize("standing", [each for each in Standing if each is not Standing.CONNECTED])
def test_a_standing_that_is_not_connected_is_told_with_its_reasons_and_what_to_do(standing: Standing) -> None:
    finding = only(seen(peer(2), standing=standing, reasons=("nothing heard from anyone for 33 s",)))
    assert (finding.what, finding.severity) == (Ailment.STANDING, Severity.WARNING)
    assert finding.text.startswith(f"n1 is {standing.value}: ")
    assert finding.evidence == ("nothing heard from anyone for 33 s",)
    assert "{" not in finding.do


def test_a_state_dir_that_can_not_be_written_is_told_with_why() -> None:
    finding = only(seen(peer(2), unwritten=("/s/trial can't be used: No space left on device",)))
    assert (finding.what, finding.severity) == (Ailment.DISK, Severity.CRITICAL)
    assert "No space left" in finding.evidence[0]


def test_who_was_thrown_out_and_knows_it_is_told() -> None:
    finding = only(seen(peer(2), revoked=True))
    assert (finding.what, finding.severity) == (Ailment.REVOKED, Severity.CRITICAL)
    assert "remove its state dir" in finding.do


def test_a_fleet_that_says_too_much_is_told_by_how_much_and_what_to_do() -> None:
    finding = only(seen(peer(2), slowed=4.2, state_rate=1_000_000.0))
    assert (finding.what, finding.severity) == (Ailment.OVERLOAD, Severity.WARNING)
    assert "snapshots of agents of n1 go 4.2 times as seldom" in finding.text
    assert finding.evidence == ("more than 1,000,000 bytes/s of snapshots (timing.state_rate)",)
    assert "timing.snapshot_interval" in finding.do


# Datagrams


def test_udp_that_nobody_gets_is_blocked_near_this_node() -> None:
    finding = only(seen(peer(2, path(there=NONE, back=NONE)), peer(3, path(there=NONE, back=NONE))))
    assert finding.what is Ailment.UDP_BLOCKED
    assert "between n1 and anybody" in finding.text
    assert "near this node" in finding.do
    assert finding.evidence[0] == "n2: 0 of 3 small datagrams came there, 0 of 3 came here; streams work"


def test_udp_that_one_of_two_gets_is_blocked_on_the_way_to_the_other() -> None:
    finding = only(seen(peer(2, path(there=NONE, back=NONE)), peer(3)))
    assert (finding.what, finding.nodes) == (Ailment.UDP_BLOCKED, ("n2",))
    assert "on the way" in finding.do


def test_without_a_test_udp_is_known_to_be_blocked_by_what_goes_over_streams() -> None:
    finding = only(seen(peer(2, None, streams_alone=True), peer(3)))
    assert finding.nodes == ("n2",)
    assert finding.evidence == ("n2: pings are answered over streams alone",)


def test_a_test_knows_better_than_what_went_over_streams_until_now() -> None:
    assert find(seen(peer(2, streams_alone=True))) == ()


@pytest.mark.parametrize(
    ("changed", "text"),
    [({"there": NONE}, "none of n1's datagrams comes to n2"), ({"back": NONE}, "of theirs none comes here")],
)
def test_udp_that_goes_one_way_is_told_with_the_way(changed: dict[str, object], text: str) -> None:
    finding = only(seen(peer(2, path(**changed))))
    assert finding.what is Ailment.UDP_ONE_WAY
    assert text in finding.text


@pytest.mark.parametrize("lost", [(3, 3, 0), (3, 0, 0), (2, 1, 0)])
def test_large_datagrams_that_are_lost_where_small_ones_are_not_are_an_mtu(lost: tuple[int, ...]) -> None:
    finding = only(seen(peer(2, path(back=lost)), peer(3)))
    assert (finding.what, finding.nodes) == (Ailment.MTU, ("n2",))
    assert finding.evidence[0].startswith(
        f"from n2: 200 bytes {lost[0]} of 3, 1,200 bytes {lost[1]} of 3, 1,400 bytes 0"
    )
    assert "1,428" in finding.do


@pytest.mark.parametrize("lossy", [(3, 3, 1), (1, 1, 0), (2, 3, 2)])
def test_a_few_lost_datagrams_are_loss(lossy: tuple[int, ...]) -> None:
    assert find(seen(peer(2, path(there=lossy)))) == ()


# Addresses and firewalls


@pytest.mark.parametrize("answer", ["silent", "refused", "no-route"])
def test_who_connects_and_cannot_be_connected_to_is_behind_a_firewall(answer: str) -> None:
    finding = only(seen(peer(2, path(dialled_back=answer)), peer(3, path(dialled_back=answer))))
    assert (finding.what, finding.nodes) == (Ailment.FIREWALL, ("n2", "n3"))
    assert finding.text == "One way only: n1 connects to n2, n3, and they can't connect to 10.0.0.1:7878."
    assert ("rejects" in finding.do) == (answer == "refused")


def test_one_of_three_that_cannot_connect_is_its_own_matter() -> None:
    assert find(seen(peer(2, path(dialled_back="silent")), peer(3), peer(4))) == ()


def test_an_address_that_others_see_elsewhere_on_this_machine_is_wrong() -> None:
    moved = path(dialled_back="silent", seen_from="10.0.0.9:7878", is_own=True)
    finding = only(seen(peer(2, moved), peer(3, moved), address="172.17.0.1:7879"))
    assert finding.what is Ailment.ADDRESS
    assert finding.do == "Start it with `--gossip 10.0.0.9:7879`."


def test_an_address_that_others_reach_is_right_wherever_they_see_it() -> None:
    assert find(seen(peer(2, path(seen_from="10.0.0.9:41000")))) == ()


@pytest.mark.parametrize(("relays", "severity"), [(("n2", "n3"), Severity.INFO), ((), Severity.WARNING)])
def test_an_address_that_is_no_machines_own_is_translation(relays: tuple[str, ...], severity: Severity) -> None:
    outside = path(dialled_back="silent", seen_from="203.0.113.7:41000")
    finding = only(seen(peer(2, outside), peer(3, outside), address="192.168.1.2:7878", relays=relays))
    assert (finding.what, finding.severity) == (Ailment.HIDDEN, severity)
    assert "203.0.113.7" in finding.text


def test_another_machine_that_answers_at_a_hidden_nodes_address_deceives_nobody() -> None:
    outside = path(seen_from="203.0.113.7:41000")
    assert found(seen(peer(2, outside), address="192.168.1.2:7878", relays=("n2",))) == [Ailment.HIDDEN]


def test_loopback_is_no_address_for_other_machines() -> None:
    finding = only(seen(peer(2, path(dialled_back="refused", seen_from="10.0.0.1:40000")), address="127.0.0.1:7878"))
    assert finding.what is Ailment.ADDRESS
    assert "`--gossip 10.0.0.1:7878`" in finding.do
    assert "`--gossip 10.0.0.5:7878`" in only(seen(peer(2, None), address="[::1]:7878")).do


def test_a_fleet_on_loopback_is_well() -> None:
    here = Peer(name="n2", address="127.0.0.1:7880", path=path(seen_from="127.0.0.1:7878"))
    assert find(seen(here, address="127.0.0.1:7878")) == ()


def test_a_peer_that_can_not_be_connected_to_is_named_with_where_it_is_seen() -> None:
    finding = only(seen(peer(2, path(dialled="silent")), peer(3)))
    assert (finding.what, finding.nodes) == (Ailment.FIREWALL, ("n2",))
    elsewhere = peer(2, path(dialled="refused"), address="172.17.0.1:7878")
    finding = only(seen(elsewhere, peer(3)))
    assert finding.what is Ailment.ADDRESS
    assert "`--gossip 10.0.0.2:7878`" in finding.do
    assert finding.evidence == (
        "a connection to 172.17.0.1:7878 is refused",
        "n2 names 172.17.0.1:7878; its datagrams come from 10.0.0.2:7878",
    )


def test_a_hidden_peer_is_worth_knowing_and_no_fault() -> None:
    finding = only(seen(peer(2, address="172.17.0.1:7878", relays=("n3",)), peer(3)))
    assert (finding.what, finding.severity) == (Ailment.HIDDEN, Severity.INFO)
    assert find(seen(peer(2, relays=("n3",)), peer(3))) == ()


def test_an_address_of_ipv6_is_written_as_one() -> None:
    moved = path(dialled_back="silent", seen_from="[2001:db8::7]:7878", is_own=True)
    assert only(seen(peer(2, moved), address="[fd00::1]:7878")).do == "Start it with `--gossip [2001:db8::7]:7878`."


# Clocks


def with_clocks(*offsets: float | None) -> Seen:
    return seen(*(peer(i, clock_offset_s=offset) for i, offset in enumerate(offsets, 2)))


def test_clocks_that_agree_are_no_finding() -> None:
    assert find(with_clocks(0.3, -0.4, None, CLOCK_OFF / 2)) == ()


def test_the_majority_says_whose_clock_is_wrong() -> None:
    finding = only(with_clocks(3_600.0, 3_600.5, 3_599.8))
    assert "The clock of this machine is 60.0 min behind: 3 of 3 other nodes agree." in finding.text
    assert finding.nodes == ()
    finding = only(with_clocks(0.1, -7_200.0, 0.2))
    assert finding.text.startswith("The clock of n3 is off: 3 of 4 nodes agree")
    assert finding.nodes == ("n3",)
    assert finding.evidence[1] == "n3: 2.0 h behind, by this machine's"


@pytest.mark.parametrize("offsets", [(500.0,), (500.0, -500.0), (0.0, 500.0, 500.0)])
def test_without_a_majority_nobodys_clock_is_called_wrong(offsets: tuple[float, ...]) -> None:
    finding = only(with_clocks(*offsets))
    assert "no majority agrees" in finding.text


@pytest.mark.parametrize(("off", "severity"), [(CLOCK_OFF, Severity.WARNING), (CLOCK_FAR_OFF, Severity.CRITICAL)])
def test_a_clock_that_keeps_a_node_out_soon_is_worse(off: float, severity: Severity) -> None:
    assert only(with_clocks(0.0, off)).severity is severity


# Names


def test_the_one_of_two_that_is_not_believed_is_told_so() -> None:
    finding = only(seen(peer(2), usurper="10.0.0.9:7878"))
    assert (finding.what, finding.severity) == (Ailment.NAME, Severity.CRITICAL)
    assert "that one is believed" in finding.text
    assert "10.0.0.9:7878" in finding.evidence[0]
    assert found(seen(usurper="10.0.0.9:7878")) == [Ailment.NAME, Ailment.ALONE]


def test_the_one_that_is_believed_hears_of_the_other_from_its_peers() -> None:
    finding = only(seen(peer(2, path(rival="10.0.0.9:7878")), peer(3)))
    assert "this one is believed" in finding.text
    assert finding.evidence == ("n2 hears another n1 from 10.0.0.9:7878",)


@pytest.mark.parametrize(("proven", "severity"), [(True, Severity.CRITICAL), (False, Severity.WARNING)])
def test_two_processes_of_another_name_are_told_and_how_sure_that_is(proven: bool, severity: Severity) -> None:
    rivalry = Rivalry(where="10.0.0.9:7878", times=7, ago_s=150.0, proven=proven)
    finding = only(seen(peer(2, rivalry=rivalry), peer(3)))
    assert (finding.severity, finding.nodes) == (severity, ("n2",))
    assert "heard from 10.0.0.9:7878 7 times, last 2.5 min ago" in finding.evidence[0]
    assert ("passes for it" in finding.evidence[0]) is not proven


def test_the_worst_comes_first() -> None:
    told = find(seen(peer(2, path(dialled="silent"), clock_offset_s=50_000.0), peer(3)))
    assert [finding.severity for finding in told] == [Severity.CRITICAL, Severity.WARNING]
