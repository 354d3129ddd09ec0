"""How often one address may try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshfleet.serve import rate
from meshfleet.serve.limits import EXCHANGE_BURST, EXCHANGE_SECONDS
from meshfleet.serve.rate import OTHERS, Buckets, network_of

if TYPE_CHECKING:
    import pytest


@given(st.lists(st.floats(0, 30), max_size=200))
def test_in_no_time_are_there_more_tries_than_the_burst_and_what_time_gives(pauses: list[float]) -> None:
    buckets, now, taken = Buckets(), 0.0, []
    for pause in pauses:
        now += pause
        if not buckets.wait("192.0.2.1", now):
            taken.append(now)
    for i, begin in enumerate(taken):
        for j, end in enumerate(taken[i:], 1):
            assert j <= EXCHANGE_BURST + (end - begin) / EXCHANGE_SECONDS + 1e-6


def test_who_is_told_to_wait_gets_in_after_that_and_not_before() -> None:
    buckets = Buckets()
    assert [buckets.wait("a", 0.0) for _ in range(EXCHANGE_BURST)] == [0.0] * EXCHANGE_BURST
    wait = buckets.wait("a", 0.0)
    assert wait == EXCHANGE_SECONDS
    assert buckets.wait("a", wait - 0.01) > 0
    assert buckets.wait("a", wait) == 0
    assert buckets.wait("a", wait) > 0


def test_one_address_takes_nothing_from_another() -> None:
    buckets = Buckets()
    while not buckets.wait("192.0.2.1", 0.0):
        pass
    assert buckets.wait("192.0.2.2", 0.0) == 0


def test_the_table_has_an_end_and_those_who_find_it_full_share_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "ADDRESSES_LIMIT", 3)
    buckets = Buckets()
    for last in range(3):
        assert buckets.wait(f"192.0.2.{last}", 0.0) == 0
    tries = 0
    while not buckets.wait(f"198.51.100.{tries % 200}", 0.0):
        tries += 1
    assert tries == EXCHANGE_BURST
    assert buckets.wait("192.0.2.1", 0.0) == 0
    assert len(buckets._filled) == 4
    assert buckets.wait("203.0.113.1", 1000.0) == 0
    assert len(buckets._filled) <= 2


def test_an_ipv6_subscriber_is_one_however_many_addresses_it_has() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("") == network_of("unix") == OTHERS
