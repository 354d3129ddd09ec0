"""What was asked of a run, and whether it held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.sim.report.markup import Html, element, joined

if TYPE_CHECKING:
    from meshfleet.fleet.presence import Presence
    from meshfleet.fleet.standing import Standing
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
    words = ("", "observers", "what they must say", "when")
    head = element("tr", *(element("th", word, scope="col", class_="n" if word == "when" else None) for word in words))
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


def _any(words: Presence | Standing | tuple[Presence | Standing, ...]) -> Html:
    given = words if isinstance(words, tuple) else (words,)
    return joined(*(part for i, word in enumerate(given) for part in (" or " if i else "", element("b", word.value))))


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
