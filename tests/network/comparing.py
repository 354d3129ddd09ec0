"""What real nodes said beside what the simulator's said, for the same scenario file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.presence import Certainty, Presence
from meshfleet.fleet.standing import Standing
from meshfleet.sim.expect import Held, check
from meshfleet.sim.record import Record
from meshfleet.sim.running import Run
from meshfleet.sim.selectors import cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.sim.scenario import Scenario
    from tests.network.fleet import Fleet
    from tests.network.playing import Player


class Said(msgspec.Struct, frozen=True):
    """One verdict: seconds after the start, who of whom, what."""

    at: float
    observer: str
    subject: str
    word: Presence | Standing
    certainty: Certainty | None = None
    because: str = ""


class Story(msgspec.Struct, frozen=True):
    """All that was said from second 0 on, of others and of oneself, and which expectations held."""

    said: tuple[Said, ...]
    held: tuple[Held, ...]

    def first(self, word: Presence | Standing) -> dict[tuple[str, str], float]:
        """When each observer first said that, of whom: seconds."""
        found: dict[tuple[str, str], float] = {}
        for said in self.said:
            if said.word is word:
                found.setdefault((said.observer, said.subject), said.at)
        return found


class _Told:
    """What `sim.expect` reads, filled with what real nodes said."""

    def __init__(self, fleet: Fleet, began: float) -> None:
        self._words = {
            (int(observer[1:]), subject): [(_us(word.at, began), word.said) for word in words]
            for (observer, subject), words in fleet.words.items()
        }
        self.stood = {
            int(name[1:]): [(_us(each.at, began), each.standing) for each in told] for name, told in fleet.stood.items()
        }
        self.reasons: dict[tuple[int, str, int], tuple[str, ...]] = {
            (int(observer[1:]), subject, _us(word.at, began)): (word.because,)
            for (observer, subject), words in fleet.words.items()
            for word in words
            if word.because
        }

    def told(self, observer: int, subject: str) -> Sequence[tuple[int, Presence | None]]:
        """Of one by another."""
        return self._words.get((observer, subject), [])


def _us(at: float, began: float) -> int:
    return round((at - began) * 1e6)


def real(scenario: Scenario, fleet: Fleet, player: Player) -> Story:
    """What the real ones said."""
    said = [
        Said(word.at - player.began, observer, subject, word.said, word.certainty, word.because)
        for (observer, subject), words in fleet.words.items()
        for word in words
        if word.said is not None and word.at >= player.began and observer != subject
    ]
    said += [
        Said(each.at - player.began, name, name, each.standing, because=each.because)
        for name, told in fleet.stood.items()
        for each in told
        if each.at >= player.began
    ]
    score, end = _Told(fleet, player.began), round(scenario.duration * 1e6)
    held = tuple(
        check(i, expect, cast(scenario), score, player.silent, end)  # type: ignore[arg-type]  # all that it reads
        for i, expect in enumerate(scenario.expect)
        if not any("/" in name for name in expect.subjects)
    )
    return Story(tuple(sorted(said, key=lambda s: s.at)), held)


def simulated(scenario: Scenario, seed: int) -> Story:
    """What the simulator's said."""
    record = Record()
    report = Run(scenario, seed, record=record).run()
    said = [
        Said(
            word.at_us / 1e6,
            f"n{word.observer:03}",
            f"n{subject:03}",
            word.said,
            word.certainty,
            " ".join(word.reasons),
        )
        for subject, words in record.words.items()
        for word in words
        if word.said is not None
    ]
    said += [
        Said(each.at_us / 1e6, f"n{number:03}", f"n{number:03}", each.standing, because=" ".join(each.reasons))
        for number, told in record.stood.items()
        for each in told
    ]
    return Story(tuple(sorted(said, key=lambda s: s.at)), report.expect)


WORDS: tuple[Presence | Standing, ...] = (
    Presence.STALE, Presence.UNREACHABLE, Presence.DOWN, Presence.LEFT,
    Standing.SPLIT, Standing.PARTITIONED, Standing.ISOLATED,
)  # fmt: skip
"""What is compared. Whether a node was `degraded` for a moment says something of the machine that the test ran on."""


def compared(one: Story, other: Story) -> list[str]:
    """A row for each word that either said: pairs that said it, and when first and last did, in the one and the other;
    and in how many pairs one said what the other did not."""
    rows: list[str] = []
    for word in WORDS:
        a, b = one.first(word), other.first(word)
        if a or b:
            apart = len(a.keys() ^ b.keys())
            rows.append(f"| {word.value} | {_spread(a)} | {_spread(b)} | {apart or '·'} |")
    return rows


def _spread(first: dict[tuple[str, str], float]) -> str:
    if not first:
        return "·"
    times = sorted(first.values())
    return f"{len(times)}: {times[0]:.1f} to {times[-1]:.1f} s"


def lost(story: Story) -> list[str]:
    """Expectations that did not hold, in words."""
    return [f"expect[{held.index}]: {held.detail}" for held in story.held if not held.ok]
