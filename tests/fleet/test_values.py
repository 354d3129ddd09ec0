"""Names, addresses, timing: what is taken, and what is refused with which words."""

from __future__ import annotations

import msgspec
import pytest

from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, agent_id, node_name, parse_address
from meshfleet.fleet.timing import PRESETS, Timing


@pytest.mark.parametrize("text", ["n1", "box-2", "a.b_c", "N" * 64])
def test_names_of_nodes(text: str) -> None:
    assert node_name(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a b", "a/b", "ä", "N" * 65, "a\n"])
def test_what_is_no_name_of_a_node(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a valid node name|at most 64"):
        node_name(text)


@pytest.mark.parametrize("text", ["box-2/claude-1f3c", "a@b:c", "x" * 128])
def test_ids_of_agents(text: str) -> None:
    assert agent_id(text) == text


@pytest.mark.parametrize("text", ["", "/a", "a b", "x" * 129, "a\x00"])
def test_what_is_no_id_of_an_agent(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a valid agent id|at most 128"):
        agent_id(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7878", Address("127.0.0.1", 7878)),
        ("[::1]:7", Address("::1", 7)),
        ("box:0", Address("box", 0)),
        ("box", Address("box", 7878)),
        ("[::1]", Address("::1", 7878)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text, default_port=7878) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("box", "lacks a port"),
        ("box:x", "'x' is not a port"),
        ("box:65536", "'65536' is not a port"),
        ("box:", "'' is not a port"),
        ("box:²", "is not a port"),
        (":7878", "has no host"),
        ("a b:1", "has no host"),
        ("::1:7878", "is ambiguous"),
        ("[::1:7878", "unclosed bracket"),
        ("[::1]7878", "unclosed bracket"),
    ],
)
def test_what_is_no_address_is_named_with_its_fault(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


def test_the_presets_are_whole_and_patient_in_order() -> None:
    assert [PRESETS[p].heartbeat for p in ("local", "lan", "wan")] == [2.0, 5.0, 15.0]
    lan = PRESETS["lan"]
    assert (lan.stale_after, lan.unreachable_after, lan.presumed_after) == (5.1, 10.0, 18.0)
    assert (lan.group_hold, lan.beat_interval) == (100.0, 2.5)


@pytest.mark.parametrize("field", Timing.__struct_fields__)
def test_no_time_and_no_count_may_be_zero(field: str) -> None:
    with pytest.raises(ConfigError, match=f"timing.{field} is 0"):
        msgspec.structs.replace(PRESETS["lan"], **{field: 0}).__post_init__()


@pytest.mark.parametrize(
    ("direct", "nack", "deadline", "interval"),
    [(0.9, 0.88, 1.0, 1.0), (0.4, 1.0, 1.0, 1.0), (0.4, 0.88, 1.1, 1.0), (0.88, 0.88, 1.0, 1.0)],
)
def test_the_stages_of_a_probe_must_follow_each_other(
    direct: float, nack: float, deadline: float, interval: float
) -> None:
    with pytest.raises(ConfigError, match="direct_timeout < nack_deadline < probe_deadline <= probe_interval"):
        Timing(direct_timeout=direct, nack_deadline=nack, probe_deadline=deadline, probe_interval=interval)
