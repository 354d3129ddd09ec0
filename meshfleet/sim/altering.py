"""Plans made smaller: without some nodes, faults or names; every one a valid plan again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshfleet.sim.faults import Fault, HostDown, Join, Partition, Suspend
from meshfleet.sim.scenario import Between, Expect, Liveness, Scenario
from meshfleet.sim.selectors import Cast, cast

if TYPE_CHECKING:
    from collections.abc import Callable

Names = tuple[str, ...]
_Listing = TypeVar("_Listing", Between, Expect, Liveness)


def joining(plan: Scenario) -> int:
    """How many nodes join later."""
    return sum(fault.count for fault in plan.fault if isinstance(fault, Join))


def explicit(plan: Scenario) -> Scenario:
    """The same plan with everybody named, instead of globs, zones and hosts."""
    who: Cast = cast(plan)

    def choose(names: Names) -> Names:
        return who.select(names, plan.name) if names else names

    plan = msgspec.structs.replace(plan, fault=tuple(_by_node(fault) for fault in plan.fault))
    return _each_list(plan, choose)


def _by_node(fault: Fault) -> Fault:
    """Hosts as what runs on them."""
    if isinstance(fault, HostDown | Suspend) and fault.hosts:
        nodes = (*fault.nodes, *(f"host:{name}" for name in fault.hosts))
        return msgspec.structs.replace(fault, hosts=(), nodes=nodes)
    return fault


def without_nodes(plan: Scenario, gone: frozenset[str]) -> Scenario:
    """An explicit plan without these nodes; the rest are numbered anew, and who is left without names goes too."""
    nodes = [f"n{i:03}" for i in range(plan.fleet.nodes + joining(plan))]
    left = [node for node in nodes if node not in gone]
    renamed = {node: f"n{i:03}" for i, node in enumerate(left)}
    first = sum(1 for node in nodes[: plan.fleet.nodes] if node not in gone)

    def choose(names: Names) -> Names:
        kept = []
        for name in names:
            node, slash, agent = name.partition("/")
            if node in renamed:
                kept.append(f"{renamed[node]}{slash}{agent}")
        return tuple(kept)

    late = len(left) - first
    faults: list[Fault] = []
    for fault in plan.fault:
        if isinstance(fault, Join):
            count, late = min(fault.count, late), late - min(fault.count, late)
            if count:
                faults.append(msgspec.structs.replace(fault, count=count))
        else:
            faults.append(fault)
    fleet = msgspec.structs.replace(plan.fleet, nodes=first)
    return _each_list(msgspec.structs.replace(plan, fleet=fleet, fault=tuple(faults)), choose)


def ending(plan: Scenario, at: float) -> Scenario:
    """The plan up to a moment: what would begin later goes, what would be undone later stays."""
    faults = tuple(
        msgspec.structs.replace(fault, until=None) if fault.until is not None and fault.until > at else fault
        for fault in plan.fault
        if fault.at <= at
    )
    expect = tuple(
        msgspec.structs.replace(each, end=None if each.end is None or each.end > at else each.end)
        for each in plan.expect
        if each.start < at
    )
    return msgspec.structs.replace(plan, duration=at, fault=faults, expect=expect, liveness=None)


def narrower(fault: Fault) -> list[Fault]:
    """The same fault with one name less, or over sooner, each once."""
    smaller: list[Fault] = []
    for field in fault.__struct_fields__:
        value = getattr(fault, field)
        if field == "groups":
            for i, group in enumerate(value):
                rest = (value[:i], value[i + 1 :])
                smaller += [
                    msgspec.structs.replace(fault, groups=(*rest[0], less, *rest[1])) for less in _one_less(group)
                ]
        elif isinstance(value, tuple):
            smaller += [msgspec.structs.replace(fault, **{field: less}) for less in _one_less(value)]
    if fault.until is not None and fault.until - fault.at > 0.5:
        smaller.append(msgspec.structs.replace(fault, until=round((fault.at + fault.until) / 2, 2)))
    return smaller


def _one_less(names: Names) -> list[Names]:
    return [names[:i] + names[i + 1 :] for i in range(len(names))] if len(names) > 1 else []


def _each_list(plan: Scenario, choose: Callable[[Names], Names]) -> Scenario:
    """The plan with `choose` applied to each list of names; what is left without names it needs is left out."""
    fleet = plan.fleet
    network = plan.network
    between = [_renamed(each, choose) for each in network.between]
    expect = [_renamed(each, choose) for each in plan.expect]
    faults = [_renamed_fault(each, choose) for each in plan.fault]
    live = plan.liveness
    return msgspec.structs.replace(
        plan,
        fleet=msgspec.structs.replace(fleet, zones=_groups(fleet.zones, choose), hosts=_groups(fleet.hosts, choose)),
        network=msgspec.structs.replace(network, between=tuple(b for b in between if b.a and b.b)),
        fault=tuple(fault for fault in faults if fault is not None),
        expect=tuple(e for e in expect if e.observers and (e.subjects or not (e.never or e.reach))),
        liveness=None if live is None or not choose(live.core) else _renamed(live, choose),
    )


def _groups(groups: dict[str, Names], choose: Callable[[Names], Names]) -> dict[str, Names]:
    chosen = {name: choose(names) for name, names in groups.items()}
    return {name: names for name, names in chosen.items() if names}


def _renamed(thing: _Listing, choose: Callable[[Names], Names]) -> _Listing:
    return msgspec.structs.replace(thing, **{field: choose(getattr(thing, field)) for field in _lists(thing)})


def _renamed_fault(fault: Fault, choose: Callable[[Names], Names]) -> Fault | None:
    if isinstance(fault, Partition):
        groups = tuple(group for group in map(choose, fault.groups) if group)
        return msgspec.structs.replace(fault, groups=groups) if len(groups) > 1 else None
    lists = [field for field in _lists(fault) if getattr(fault, field)]
    chosen = {field: choose(getattr(fault, field)) for field in lists}
    return msgspec.structs.replace(fault, **chosen) if all(chosen.values()) else None


def _lists(thing: msgspec.Struct) -> list[str]:
    return [field for field in _OF_NAMES if hasattr(thing, field)]


_OF_NAMES = ("nodes", "hosts", "agents", "source", "target", "a", "b", "observers", "subjects", "core")
"""Fields that hold names."""
