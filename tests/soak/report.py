"""What a soak came to, in tables; and what of it is an error where a soak is not merely a test."""

from __future__ import annotations

import os
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from tests.soak.measuring import MB, Served, share, slope
from tests.soak.soaking import WITHIN
from tests.soak.truth import Call

if TYPE_CHECKING:
    from tests.soak.plan import Plan
    from tests.soak.soaking import Outcome

P99 = 0.1
"""Seconds within which 99 of 100 views are to be there."""
SLOPE = 1.0
"""MB an hour that a process may grow after its warm-up."""
WARM_UP = 1_800.0
"""Seconds of it; of short soaks half. Until then tables that have a limit fill up: under this load the 4,000 lines of
what happened after 27 minutes."""
JUDGED_FROM = 1_200.0
"""Seconds of weighing after the warm-up from which on a slope is judged: a heap that settles by some
hundred kB makes several MB an hour of a few minutes."""
FDS_FROM = 9
"""Rounds from which on descriptors are judged."""
FDS = 3
"""File descriptors by which the least of the last third of rounds may lie above the most of the first: standing streams
come and go."""


class Line(msgspec.Struct, frozen=True):
    """One node."""

    name: str
    lives: int
    asked: int
    failed: int
    p50: float | None
    p99: float | None
    worst: float | None
    mb: float | None
    """Of the process that lives now."""
    slope: float | None
    """MB an hour; of those alone whose process was never ended."""
    fds: tuple[int, int] | None
    """At the first and at the last mending."""


def lines(plan: Plan, outcome: Outcome) -> list[Line]:
    """Of all nodes."""
    warm = outcome.began + min(WARM_UP, outcome.seconds / 2)
    made: list[Line] = []
    for name in plan.names:
        served, lives = outcome.served.get(name, Served()), outcome.weights.get(name, {})
        last = lives[max(lives)] if lives else []
        counted = [each.fds[name] for each in outcome.settled if name in each.fds]
        times = (share(served.took, 0.5), share(served.took, 0.99), max(served.took, default=None))
        mb = last[-1].rss / MB if last else None
        grows = slope(last, warm) if name in plan.steady else None
        fds = (counted[0], counted[-1]) if counted else None
        made.append(Line(name, len(lives), len(served.took), len(served.failed), *times, mb, grows, fds))
    return made


def judged(plan: Plan, outcome: Outcome) -> list[str]:
    """What broke, besides what did so while it ran: times, memory, descriptors. They say something where the machine
    had nothing else to do."""
    wrong: list[str] = []
    weighed_for = outcome.seconds - min(WARM_UP, outcome.seconds / 2)
    for line in lines(plan, outcome):
        if line.p99 is not None and line.p99 > P99:
            wrong.append(f"{line.name} served within {line.p99 * 1000:.0f} ms at p99; {P99 * 1000:.0f} are allowed")
        if line.failed:
            wrong.append(f"{line.name} did not serve {line.failed} times: {outcome.served[line.name].failed[0]}")
        if line.slope is not None and line.slope > SLOPE and weighed_for >= JUDGED_FROM:
            wrong.append(f"{line.name} grew by {line.slope:.2f} MB an hour; {SLOPE:g} is allowed")
    third = len(outcome.settled) // 3 if len(outcome.settled) >= FDS_FROM else 0
    for name in plan.steady if third else ():
        fds = [each.fds[name] for each in outcome.settled if name in each.fds]
        if min(fds[-third:]) > max(fds[:third]) + FDS:
            wrong.append(f"{name} had at most {max(fds[:third])} file descriptors at first, and at least "
                         f"{min(fds[-third:])} in the end")  # fmt: skip
    late = [each.after for each in outcome.settled if each.after is not None and each.after > WITHIN]
    wrong += [f"the views were right after {after:.0f} s, not within {WITHIN:.0f}" for after in late]
    return wrong


def told(plan: Plan, outcome: Outcome) -> str:
    """For people."""
    after = [each.after for each in outcome.settled if each.after is not None]
    calls = ", ".join(f"{call.value} {len(outcome.calls.get(call, []))}" for call in Call)
    done = ", ".join(f"{what} {count}" for what, count in sorted(outcome.done.items()))
    spread = f"{median(after):.0f} s in the middle, {max(after):.0f} s at the most" if after else "never"
    rows = [
        f"seed {plan.seed}: {outcome.seconds / 60:.1f} minutes, {len(outcome.settled)} rounds",
        f"done: {done}" + ("" if outcome.can_step else "; no clock was stepped, as libfaketime is not installed"),
        f"down said: {calls}",
        f"all views right after the mending: {spread}, of {len(after)} of {len(outcome.settled)} rounds",
        f"load: {outcome.agents} agents, {outcome.words} words, ${outcome.spent:.2f}",
        f"machine: {os.cpu_count()} cores, load {' '.join(f'{load:.1f}' for load in os.getloadavg())} in the end",
        f"with libfaketime: {', '.join(plan.clocks)}; small disk: {plan.small_disk}",
        "",
        "| node | lives | views | none | p50 ms | p99 ms | max ms | MB | MB/h | fds |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(line) for line in lines(plan, outcome)),
        "",
        *(f"{count} × {what}" for what, count in _kinds(outcome.complaints).most_common(12)),
    ]
    return "\n".join(rows)


def _row(line: Line) -> str:
    times = " | ".join("-" if t is None else f"{t * 1000:.0f}" for t in (line.p50, line.p99, line.worst))
    slope_ = "-" if line.slope is None else f"{line.slope:+.2f}"
    mb = "-" if line.mb is None else f"{line.mb:.1f}"
    fds = "-" if line.fds is None else f"{line.fds[0]}, {line.fds[1]}"
    return f"| {line.name} | {line.lives} | {line.asked} | {line.failed} | {times} | {mb} | {slope_} | {fds} |"


def _kinds(complaints: list[str]) -> Counter[str]:
    """Warnings by their first words: `WARNING  meshfleet.node: the disk is full`."""
    return Counter(
        line.partition("Z ")[2].partition("=")[0].rpartition(" ")[0] if "=" in line else line.partition("Z ")[2]
        for line in complaints
        if "Z " in line
    )
