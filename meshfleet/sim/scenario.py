"""A scenario file: one outage, told as a fleet, a network, what goes wrong when, and what must be said meanwhile.

Bad files get one clear error that names the key's path and the nearest valid word; nothing runs.
"""

from __future__ import annotations

import re
import tomllib
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.sim.faults import (
    KINDS,
    LONGEST,
    Degrade,
    Delay,
    Fault,
    Join,
    Move,
    Names,
    Seconds,
    Share,
    Some,
    Span,
    Starve,
)
from meshfleet.sim.mistakes import explain, nearest

if TYPE_CHECKING:
    from pathlib import Path


class ScenarioError(ConfigError):
    """The scenario file is wrong. Nothing ran."""


class FleetPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes are n000, n001, …; their agents n000/a0, …"""

    nodes: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    agents_per_node: Annotated[int, msgspec.Meta(ge=0, le=256)] = 1
    update_every: Annotated[float, msgspec.Meta(ge=0.001, le=LONGEST)] = 2.0
    zones: dict[str, Names] = {}
    hosts: dict[str, Names] = {}
    bandwidth: Annotated[float, msgspec.Meta(ge=1_000, le=1e12)] | None = None
    """Bytes a second out of each node's machine; None: no end of it."""
    buffer: Annotated[float, msgspec.Meta(ge=1_500, le=1e9)] = 262_144.0
    """Bytes that wait there; what comes then is lost."""
    packet_cost: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Seconds that a node's process takes to read one packet. 600 wait; what comes then is lost."""


class Between(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Links between two sets of nodes that differ from the rest, both ways."""

    a: Names
    b: Names
    delay: Delay | None = None
    loss: Some | None = None
    duplicate: Share | None = None
    reorder: Share | None = None


class NetworkPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every link, unless `between` says otherwise."""

    delay: Delay = Delay()
    loss: Some = 0.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    between: tuple[Between, ...] = ()


Word = Annotated[str, msgspec.Meta(min_length=1)]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """What observers must, or must never, say of subjects or of themselves."""

    observers: Names
    subjects: tuple[str, ...] = ()
    start: Seconds = 0.0
    end: Seconds | None = None
    within: Seconds = 0.0
    never: tuple[Presence, ...] = ()
    reach: Presence | tuple[Presence, ...] = ()
    standing: Standing | tuple[Standing, ...] = ()


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """How often snapshots of agents must leave for the mesh, how evenly, how soon they must be everywhere, and at what
    cost."""

    agents: Names
    start: Seconds = 0.0
    end: Seconds | None = None
    every: tuple[Span, Span] | None = None
    """The shortest and the longest mean interval that any of them may have."""
    uneven: Annotated[float, msgspec.Meta(ge=1, le=1_000)] | None = None
    """How many times as long as the fastest of them the slowest may wait, in the mean."""
    late: Span | None = None
    """Seconds in which 99 of 100 of their snapshots must be at each other node."""
    bytes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """What a node may send in a second, in the mean, whatever it is."""
    says: bool | None = None
    """Whether the nodes that carry them must say, at the end, that they slow them down; false: none may."""


class Liveness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """What must come right after the faults: from `from` on the core runs, and its nodes reach each other well."""

    core: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    start: Seconds
    within: Seconds
    """Seconds until all of the core see each other fresh, and hold each other's newest snapshots."""
    deaths_within: Seconds
    """Seconds until all of the core have noticed whoever is dead, wherever enough of them are left to tell."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    name: Word
    about: str = ""
    duration: Span
    timing: str | dict[str, str | int | float] = "lan"
    mode: Literal["core", "stack"] = "core"
    detector: Literal["meshfleet", "swim", "lifeguard"] = "meshfleet"
    fleet: FleetPlan
    network: NetworkPlan = NetworkPlan()
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expect, ...] = ()
    pace: tuple[Pace, ...] = ()
    liveness: Liveness | None = None
    seed: int = 0
    """The seed that it is run with where none is given: for plans that are kept because of what one seed showed."""

    def patience(self) -> Timing:
        """The Timing that `timing` names or describes."""
        given = {"preset": self.timing} if isinstance(self.timing, str) else dict(self.timing)
        preset = given.pop("preset", "lan")
        if preset not in PRESETS:
            raise ScenarioError(f"timing.preset: {preset!r} is no preset{nearest(str(preset), PRESETS)}.")
        base = msgspec.to_builtins(PRESETS[preset])
        for field in given:
            if field not in base:
                raise ScenarioError(f"timing.{field} is no field of Timing{nearest(field, base)}.")
        try:
            return msgspec.convert({**base, **given}, Timing)
        except msgspec.ValidationError as error:
            said, _, place = str(error).partition(" - at `$")
            raise ScenarioError(f"timing{place.rstrip('`')}: {said[:1].lower()}{said[1:]}.") from error


def load(path: Path) -> Scenario:
    """The scenario in a file."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path} is not UTF-8: byte {error.start} can't be read. TOML is.") from error
    except OSError as error:
        raise ScenarioError(f"{path} can't be read: {error.strerror or error}.") from error


def parse(text: str, where: str = "scenario") -> Scenario:
    """The scenario in a text; ScenarioError names `where`, the key's path and the nearest valid word."""
    data: dict[str, object] = {}
    try:
        data = tomllib.loads(text)
        scenario = msgspec.convert(data, Scenario)
        scenario.patience()
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: not valid TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: {explain(str(error), data, partial(_keys, data), _WORDS)}") from error
    except ConfigError as error:
        raise ScenarioError(f"{where}: {error}") from error
    _check_times(scenario, where)
    return scenario


def _check_times(scenario: Scenario, where: str) -> None:
    for i, fault in enumerate(scenario.fault):
        _check_fault(fault, f"{where}: fault[{i}]")
        _in_time(fault.at, scenario.duration, f"{where}: fault[{i}].at")
        if fault.until is not None:
            _in_time(fault.until, scenario.duration, f"{where}: fault[{i}].until")
            if fault.until <= fault.at:
                raise ScenarioError(f"{where}: fault[{i}].until is {fault.until}, not after its at, {fault.at}.")
            if isinstance(fault, Join | Move):
                kind = type(fault).__name__.lower()
                raise ScenarioError(f"{where}: fault[{i}].until: a {kind} can't be undone; write another fault.")
    _check_delay(scenario.network.delay, f"{where}: network.delay")
    for i, between in enumerate(scenario.network.between):
        if between.delay is not None:
            _check_delay(between.delay, f"{where}: network.between[{i}].delay")
    for i, expect in enumerate(scenario.expect):
        path = f"{where}: expect[{i}]"
        _in_time(expect.start, scenario.duration, f"{path}.from")
        if expect.end is not None:
            _in_time(expect.end, scenario.duration, f"{path}.to")
            if expect.end <= expect.start:
                raise ScenarioError(f"{path}.to is {expect.end}, not after its from, {expect.start}.")
        end = scenario.duration if expect.end is None else expect.end
        due = expect.start + (expect.within if expect.reach or expect.standing else 0.0)
        if expect.start >= end:
            raise ScenarioError(f"{path}.from is {expect.start}, not before the end at {end}: nothing would be asked.")
        if due >= end:
            raise ScenarioError(f"{path}.within reaches to {due}, not before the end at {end}: nothing would be asked.")
        if not (expect.never or expect.reach or expect.standing):
            raise ScenarioError(f"{path} expects nothing. Give never, reach or standing.")
        if (expect.never or expect.reach) and not expect.subjects:
            raise ScenarioError(f"{path}.subjects is missing: of whom is it to be said?")
    for i, pace in enumerate(scenario.pace):
        _check_pace(pace, scenario.duration, f"{where}: pace[{i}]")
    if (live := scenario.liveness) is not None:
        _in_time(live.start + max(live.within, live.deaths_within), scenario.duration, f"{where}: liveness")


def _check_pace(pace: Pace, duration: float, path: str) -> None:
    end = duration if pace.end is None else pace.end
    _in_time(end, duration, f"{path}.to")
    if pace.start >= end:
        raise ScenarioError(f"{path}.from is {pace.start}, not before the end at {end}: nothing would be measured.")
    if pace.every is not None and pace.every[0] > pace.every[1]:
        raise ScenarioError(f"{path}.every is from {pace.every[0]} to {pace.every[1]}: the shorter one comes first.")
    if {pace.every, pace.uneven, pace.late, pace.bytes, pace.says} == {None}:
        raise ScenarioError(f"{path} expects nothing. Give every, uneven, late, bytes or says.")


def _check_fault(fault: Fault, path: str) -> None:
    delay = getattr(fault, "delay", None)
    if isinstance(delay, Delay):
        _check_delay(delay, f"{path}.delay")
    match fault:
        case Starve() if fault.slice > fault.every:
            raise ScenarioError(f"{path}.slice is {fault.slice}, more than its `of`, {fault.every}.")
        case Degrade(loss=None, delay=None, duplicate=None, reorder=None):
            raise ScenarioError(f"{path} degrades nothing. Give loss, delay, duplicate or reorder.")
        case _:
            pass


def _check_delay(delay: Delay, path: str) -> None:
    """ScenarioError for a 99th percentile below the median."""
    if delay.p99 < delay.median:
        raise ScenarioError(f"{path}.p99 is {delay.p99}, less than its median, {delay.median}.")


def _in_time(value: float, duration: float, path: str) -> None:
    if value > duration:
        raise ScenarioError(f"{path} is {value}, after the end of the scenario at {duration}.")


_WORDS = {
    "kind": list(KINDS),
    "never": [p.value for p in Presence],
    "reach": [p.value for p in Presence],
    "standing": [s.value for s in Standing],
    "mode": ["core", "stack"],
    "detector": ["meshfleet", "swim", "lifeguard"],
}


def _keys(data: dict[str, object], place: str) -> list[str]:
    """The keys that there are at a place of the file."""
    if place.endswith("delay"):
        return list(Delay.__struct_encode_fields__)
    table = re.sub(r"\[\d+\]$", "", place)
    if table == "fault":
        faults = data.get("fault")
        given = faults[int(place[len("fault[") : -1])] if isinstance(faults, list) else {}
        kind = next((k for k in Fault.__args__ if k.__struct_config__.tag == given.get("kind")), None)
        return ["kind", *(kind.__struct_encode_fields__ if kind is not None else ())]
    structs = {
        "": Scenario,
        "fleet": FleetPlan,
        "network": NetworkPlan,
        "network.between": Between,
        "expect": Expect,
        "pace": Pace,
    }
    return list(structs[table].__struct_encode_fields__) if table in structs else []
