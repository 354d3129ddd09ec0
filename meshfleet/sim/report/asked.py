"""What was asked of a run, and whether it held; what went wrong, as the scenario's file has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.sim.network import MICROSECONDS
from meshfleet.sim.report.markup import Html, element, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.sim.faults import Fault
    from meshfleet.sim.running import Report
    from meshfleet.sim.scenario import Expect, Scenario


def expectations(scenario: Scenario, report: Report) -> Html:
    """A table: who was to say what of whom, when; what did not hold says why below its row."""
    if not scenario.expect:
        return element("p", "The scenario expects nothing.", class_="soft")
    rows: list[Html] = []
    for expect, held in zip(scenario.expect, report.expect, strict=True):
        word = element("b", "✓ held" if held.ok else "✕ no", class_="good" if held.ok else "bad")
        until = expect.end if expect.end is not None else scenario.duration
        when = f"{expect.start:g}–{until:g} s"
        rows.append(
            element(
                "tr",
                element("td", word),
                element("td", " ".join(expect.observers), class_="mono"),
                element("td", asked_for(expect)),
                element("td", when, class_="n"),
            )
        )
        if held.detail:
            rows.append(element("tr", element("td"), element("td", held.detail, colspan=3, class_="detail")))
    head = element("tr", *(element("th", word, scope="col") for word in ("", "observers", "what they must say", "when")))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Expectations")


def asked_for(expect: Expect) -> Html:
    """One expectation in words."""
    parts: list[object] = []
    whom = joined("of ", element("span", " ".join(expect.subjects), class_="mono"))
    if expect.never:
        parts.append(joined("never ", _any(expect.never), " ", whom))
    if expect.reach:
        parts.append(joined(_any(expect.reach), " ", whom, _within(expect)))
    if expect.standing:
        parts.append(joined("of themselves: ", _any(expect.standing), _within(expect)))
    shown: list[object] = []
    for i, part in enumerate(parts):
        shown += [element("br"), part] if i else [part]
    return joined(*shown)


def _within(expect: Expect) -> str:
    return f", within {expect.within:g} s" if expect.within else ""


def _any(words: object) -> Html:
    given = [words] if isinstance(words, str) else list(words) if isinstance(words, tuple) else []
    return joined(*(part for i, word in enumerate(given) for part in (" or " if i else "", element("b", word.value))))


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


SHOWN = 6


def amiss(report: Report) -> Html:
    """Who was wrongly called down, when and why; nothing where nobody was."""
    details = [element("li", detail) for detail in report.details]
    if not details:
        return Html()
    more = element("details", element("summary", f"{len(details) - SHOWN} more"), element("ul", *details[SHOWN:]))
    return element(
        "div", element("h3", "What was amiss"), element("ul", *details[:SHOWN]), more if len(details) > SHOWN else "",
        class_="details",
    )  # fmt: skip
