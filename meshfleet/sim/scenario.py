"""A scenario file: one outage, told as a fleet, a network, what goes wrong when, and what must be said meanwhile.

Bad files get one clear error that names the key's path and the nearest valid word; nothing runs.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from meshfleet.errors import ConfigError
from meshfleet.fleet.presence import Presence
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.timing import PRESETS, Timing
from meshfleet.sim.faults import KINDS, Delay, Fault, Join, Seconds, Share

if TYPE_CHECKING:
    from pathlib import Path


class ScenarioError(ConfigError):
    """The scenario file is wrong. Nothing ran."""


class FleetPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes are n000, n001, …; their agents n000/a0, …"""

    nodes: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    agents_per_node: Annotated[int, msgspec.Meta(ge=0, le=256)] = 1
    update_every: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    zones: dict[str, tuple[str, ...]] = {}
    hosts: dict[str, tuple[str, ...]] = {}


class Between(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Links between two sets of nodes that differ from the rest, both ways."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    delay: Delay | None = None
    loss: Share | None = None
    duplicate: Share | None = None
    reorder: Share | None = None


class NetworkPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every link, unless `between` says otherwise."""

    delay: Delay = Delay()
    loss: Share = 0.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    between: tuple[Between, ...] = ()


Word = Annotated[str, msgspec.Meta(min_length=1)]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """What observers must, or must never, say of subjects or of themselves."""

    observers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    subjects: tuple[str, ...] = ()
    start: Seconds = 0.0
    end: Seconds | None = None
    within: Seconds = 0.0
    never: tuple[Presence, ...] = ()
    reach: Presence | tuple[Presence, ...] = ()
    standing: Standing | tuple[Standing, ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    name: Word
    about: str = ""
    duration: Annotated[float, msgspec.Meta(gt=0)]
    timing: str | dict[str, str | float] = "lan"
    mode: Literal["core", "stack"] = "core"
    detector: Literal["meshfleet", "swim", "lifeguard"] = "meshfleet"
    fleet: FleetPlan
    network: NetworkPlan = NetworkPlan()
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expect, ...] = ()

    def patience(self) -> Timing:
        """The Timing that `timing` names or describes."""
        given = {"preset": self.timing} if isinstance(self.timing, str) else dict(self.timing)
        preset = given.pop("preset", "lan")
        if preset not in PRESETS:
            raise ScenarioError(f"timing.preset: {preset!r} is no preset{_nearest(str(preset), list(PRESETS))}.")
        base = msgspec.to_builtins(PRESETS[preset])
        for field in given:
            if field not in base:
                raise ScenarioError(f"timing.{field} is no field of Timing{_nearest(field, list(base))}.")
        try:
            return msgspec.convert({**base, **given}, Timing)
        except msgspec.ValidationError as error:
            raise ScenarioError(f"timing: {error}.") from error


def load(path: Path) -> Scenario:
    """The scenario in a file."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} can't be read: {error}.") from error


def parse(text: str, where: str = "scenario") -> Scenario:
    """The scenario in a text; ScenarioError names `where`, the key's path and the nearest valid word."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: not valid TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: {_explain(str(error))}") from error
    scenario.patience()
    _check_times(scenario, where)
    return scenario


def _check_times(scenario: Scenario, where: str) -> None:
    for i, fault in enumerate(scenario.fault):
        _in_time(fault.at, scenario.duration, f"{where}: fault[{i}].at")
        if fault.until is not None:
            _in_time(fault.until, scenario.duration, f"{where}: fault[{i}].until")
            if fault.until <= fault.at:
                raise ScenarioError(f"{where}: fault[{i}].until is {fault.until}, not after its at, {fault.at}.")
            if isinstance(fault, Join):
                raise ScenarioError(f"{where}: fault[{i}].until: a join can't be undone; let the nodes leave.")
    for i, expect in enumerate(scenario.expect):
        path = f"{where}: expect[{i}]"
        _in_time(expect.start, scenario.duration, f"{path}.from")
        if expect.end is not None:
            _in_time(expect.end, scenario.duration, f"{path}.to")
            if expect.end <= expect.start:
                raise ScenarioError(f"{path}.to is {expect.end}, not after its from, {expect.start}.")
        if not (expect.never or expect.reach or expect.standing):
            raise ScenarioError(f"{path} expects nothing. Give never, reach or standing.")
        if (expect.never or expect.reach) and not expect.subjects:
            raise ScenarioError(f"{path}.subjects is missing: of whom is it to be said?")


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


def _explain(error: str) -> str:
    """msgspec's words, with the path as people write it and the nearest valid word."""
    said, _, path = error.partition(" - at ")
    place = path.strip("`").removeprefix("$").removeprefix(".") or "the file"
    place = re.sub(r"\[\.\.\.\]", "[]", place)
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", said)
    if unknown:
        key = unknown.group(1)
        return f"{place}: {key!r} is no key here{_nearest(key, _keys())}."
    invalid = re.fullmatch(r"Invalid (?:enum )?value '?(.*?)'?", said)
    if invalid:
        last = re.sub(r"\[\d*\]$", "", place).rpartition(".")[2]
        word = invalid.group(1)
        return f"{place}: {word!r} is not a word for this{_nearest(word, _WORDS.get(last, []))}."
    return f"{place}: {said[:1].lower()}{said[1:]}."


def _keys() -> list[str]:
    structs = [Scenario, FleetPlan, NetworkPlan, Between, Expect, Delay, *Fault.__args__]
    return sorted({name for struct in structs for name in struct.__struct_encode_fields__})


def _nearest(word: str, words: list[str]) -> str:
    near = get_close_matches(word, words, n=1, cutoff=0.5)
    if near:
        return f"; the nearest is {near[0]!r}"
    return f"; there are {', '.join(words)}" if 0 < len(words) < 20 else ""
