"""Faults and expectations in the words of the scenario's file, for whoever shows a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.network import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.fleet.presence import Presence
    from meshfleet.fleet.standing import Standing
    from meshfleet.sim.faults import Fault
    from meshfleet.sim.scenario import Expect, Scenario


def fault_words(fault: Fault) -> tuple[str, str]:
    """Kind and whom, in the words of the scenario's file."""
    fields = msgspec.to_builtins(fault)
    parts: list[str] = []
    for key, value in fields.items():
        if key in ("kind", "at", "until") or value in (None, [], (), False, ""):
            continue
        if key == "groups":
            parts.append(" | ".join(" ".join(group) for group in value))
        elif key in ("nodes", "hosts", "agents"):
            parts.append(" ".join(value))
        elif key in ("from", "to"):
            parts.append(f"{key} {' '.join(value)}")
        elif isinstance(value, dict):
            parts.append(f"{key} " + " ".join(f"{name} {number:g} s" for name, number in value.items()))
        else:
            parts.append(key if value is True else f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}")
    return str(fields["kind"]).replace("_", " "), ", ".join(parts)


def alike(faults: Sequence[Fault], duration: float) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Faults with the same words as one, each with when it lasted (microseconds)."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for fault in sorted(faults, key=lambda f: f.at):
        end = duration if fault.until is None else fault.until
        if msgspec.to_builtins(fault)["kind"] == "join":
            end = fault.at
        found.setdefault(fault_words(fault), []).append((round(fault.at * MICROSECONDS), round(end * MICROSECONDS)))
    return [(kind, whom, spans) for (kind, whom), spans in found.items()]


def asked(expect: Expect, scenario: Scenario) -> str:
    """One expectation as a sentence: who is to say what of whom, from when to when."""
    whom = " ".join(expect.subjects)
    within = f" within {expect.within:g} s" if expect.within else ""
    parts: list[str] = []
    if expect.never:
        parts.append(f"never {_any(expect.never)} of {whom}")
    if expect.reach:
        parts.append(f"{_any(expect.reach)} of {whom}{within}")
    if expect.standing:
        parts.append(f"{_any(expect.standing)} of themselves{within}")
    until = scenario.duration if expect.end is None else expect.end
    return f"{' '.join(expect.observers)} must say {', and '.join(parts)}, from {expect.start:g} to {until:g} s"


def _any(words: Presence | Standing | tuple[Presence | Standing, ...]) -> str:
    given = words if isinstance(words, tuple) else (words,)
    return " or ".join(word.value for word in given)
