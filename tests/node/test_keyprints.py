"""What the fleet calls an API key: short, the same at every node of the fleet, and nothing without the fleet's key."""

from __future__ import annotations

import msgspec

from meshfleet.fleet.state import RateLimit
from meshfleet.node.keyprints import with_short_keys
from meshfleet.node.opening import open_node
from meshfleet.runtimes.keyprint import fingerprint
from meshfleet.wire.keyring import Keyring
from tests.node.meshing import config, state

WHOLE = fingerprint("anthropic", "sk-ant-api03-x")
FLEET_ID = b"f" * 16


def limited(key: str) -> RateLimit:
    return RateLimit(key=key, window="5h", used_pct=38.0)


def short(key: str, ring: Keyring) -> str:
    told = with_short_keys(msgspec.structs.replace(state("a"), rate_limits=(limited(key),)), ring)
    return told.rate_limits[0].key


def test_a_key_is_the_same_at_every_node_of_a_fleet_and_another_in_another_fleet() -> None:
    one, same = Keyring(b"k" * 32, FLEET_ID), Keyring(b"k" * 32, FLEET_ID)
    assert short(WHOLE, one) == short(WHOLE, same)
    assert short(WHOLE, one) != short(WHOLE, Keyring(b"o" * 32, FLEET_ID))
    assert short(WHOLE, one) != short(WHOLE, Keyring(b"k" * 32, b"g" * 16))


def test_it_is_six_digits_that_are_no_part_of_the_hash_that_came() -> None:
    name, _, digits = short(WHOLE, Keyring(b"k" * 32, FLEET_ID)).partition(":")
    assert (name, len(digits)) == ("anthropic", 6)
    assert digits not in WHOLE


def test_what_is_no_whole_hash_stays_as_it_is() -> None:
    ring = Keyring(b"k" * 32, FLEET_ID)
    for key in ("codex:account", "anthropic:9f2e", "x" * 200, "anthropic:" + "g" * 64):
        assert short(key, ring) == key


async def test_no_node_spreads_the_hash_that_an_agent_told_it() -> None:
    async with open_node(config("n1")) as node:
        node.publish(msgspec.structs.replace(state("box/a"), rate_limits=(limited(WHOLE),)))
        (agent,) = node.fleet().agents
        (limit,) = agent.state.rate_limits
        assert limit.key == short(WHOLE, node.keyring)
        (told,) = node.fleet().totals.rate_limits
        assert (told.key, told.used_pct, told.agents) == (limit.key, 38.0, 1)
