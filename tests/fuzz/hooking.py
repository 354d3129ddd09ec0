"""What runtimes post while they work: hooks, and Claude Code's status line. Neither ever raises."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st

from meshfleet.runtimes.desk import Desk
from meshfleet.runtimes.hooks.intake import PARSERS, Hooks

NOW = 1_795_650_700.0
RUNTIMES = tuple(PARSERS)
RECORDED = Path(__file__).parents[1] / "runtimes" / "data" / "hooks"


def hook(data: bytes) -> object:
    """Hooks of one runtime, one a line; the first byte says of which."""
    counts: Counter[str] = Counter()
    hooks = Hooks(Desk(counts), host="box", counts=counts, wall=lambda: NOW)
    which = RUNTIMES[data[0] % len(RUNTIMES)] if data else "none"
    for body in data[1:].split(b"\n", 8):
        hooks.hook(which, body)
    return counts


def statusline(data: bytes) -> object:
    """One status line."""
    counts: Counter[str] = Counter()
    Hooks(Desk(counts), host="box", counts=counts, wall=lambda: NOW).statusline(data)
    return counts


def _recorded(path: str) -> list[bytes]:
    """Bodies that were posted to `path` and below."""
    posts = [json.loads(line) for place in sorted(RECORDED.glob("*.jsonl")) for line in place.read_text().splitlines()]
    return [json.dumps(post["body"]).encode() for post in posts if post["path"] == path]


def _posts(which: int) -> st.SearchStrategy[bytes]:
    bodies = st.lists(st.sampled_from(_recorded(f"/hooks/{RUNTIMES[which]}")), min_size=1, max_size=4)
    return bodies.map(lambda those: bytes((which,)) + b"\n".join(those))


hooks: st.SearchStrategy[bytes] = st.one_of([_posts(which) for which in range(len(RUNTIMES))])
statuslines: st.SearchStrategy[bytes] = st.sampled_from(_recorded("/hooks/claude/statusline"))
