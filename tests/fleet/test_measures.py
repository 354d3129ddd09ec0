"""One table for two conventions: what Prometheus makes of an OpenTelemetry name is the name that Prometheus gets."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from meshfleet.fleet.fleet_measures import of_agents, of_nodes, of_the_fleet
from meshfleet.fleet.measures import Family, Kind
from meshfleet.fleet.node_measures import of_the_node
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.zone_measures import of_zones
from tests.serve.conftest import SampleFeed

UNITS = {"s": "seconds", "By": "bytes", "": "", "1": "ratio"}


def families() -> list[Family]:
    feed = SampleFeed()
    view, health = feed.fleet(), feed.health()
    told = (*of_nodes(view, lambda _: 1.0), *of_agents(view.agents), *of_the_fleet(view), *of_zones(view))
    told = (*told, *of_the_node(health, view, {"drop_unsealed": 1}))
    return [measured.family for measured in told]


def by_prometheus(family: Family) -> str:
    """As its `otlptranslator` does it: dots, then the unit, then what the type says; nothing that stands there already
    is added again."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", family.otel) if word]
    unit = "" if family.unit.startswith("{") else UNITS.get(family.unit, family.unit)
    if unit and unit not in words:
        words.append(unit)
    return "_".join(words) + ("_total" if family.kind is Kind.SUM else "")


@pytest.mark.parametrize("family", families(), ids=lambda family: family.otel)
def test_both_names_are_one(family: Family) -> None:
    suffix = {Kind.SUM: "_total", Kind.INFO: "_info"}.get(family.kind, "")
    assert by_prometheus(family) == family.name + suffix


@pytest.mark.parametrize("family", families(), ids=lambda family: family.otel)
def test_names_units_and_attributes_are_as_both_conventions_want_them(family: Family) -> None:
    assert re.fullmatch(r"meshfleet(\.[a-z][a-z0-9_]*)+", family.otel)
    assert re.fullmatch(r"meshfleet(_[a-z0-9]+)+", family.name)
    assert not family.name.endswith(("_total", "_info", "_count", "_sum", "_bucket"))
    assert family.unit in (*UNITS, "usd") or re.fullmatch(r"\{[a-z]+\}", family.unit)
    assert (family.since is not None) is (family.kind is Kind.SUM)
    assert bool(family.states) is (family.kind is Kind.STATE)
    conventions = ("gen_ai.", "host.", "service.", "network.", "meshfleet.")
    assert all(label.attribute.startswith(conventions) for label in family.labels)


def test_the_collectors_example_renames_every_attribute_to_the_label_that_federate_has() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "otel-collector" / "config.yaml").read_text()
    renamed = re.findall(
        r'- set\(attributes\["(.+?)"\], attributes\["(.+?)"\]\) where attributes\["(.+?)"\] != nil', text
    )
    assert all(attribute == asked for _, attribute, asked in renamed)
    labels = {(label.name, label.attribute) for family in families() for label in family.labels}
    assert {(label, attribute) for label, attribute, _ in renamed} == labels
    deleted = re.search(r'delete_matching_keys\(attributes, "(.+)"\)', text)
    assert deleted is not None
    assert all(re.match(deleted[1].replace("\\\\", "\\"), attribute) for _, attribute in labels)


def test_no_name_is_given_twice() -> None:
    names = [family.otel for family in families()]
    assert len(names) == len(set(names)) == len({family.name for family in families()})


def test_of_agents_that_are_not_heard_no_old_figure_is_told_as_one_of_now() -> None:
    heard, lost = SampleFeed().fleet().agents[:2]
    lost = msgspec.structs.replace(lost, presence=Presence.UNREACHABLE)
    told = {m.family.otel: [p.labels[0] for p in m.points] for m in of_agents((heard, lost), heard_only=True)}
    assert told.pop("meshfleet.agent.info") == told.pop("meshfleet.agent.presence") == [heard.agent_id, lost.agent_id]
    assert {agent for agents in told.values() for agent in agents} == {heard.agent_id}
    all_of_them = {m.family.otel: [p.labels[0] for p in m.points] for m in of_agents((heard, lost))}
    assert all_of_them["meshfleet.agent.cost"] == [heard.agent_id, lost.agent_id]
