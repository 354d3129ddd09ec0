"""What the bands mean, drawn with the bands' own marks."""

from __future__ import annotations

from meshfleet.fleet.presence import Presence
from meshfleet.sim.report.markup import Html, element

TRUTH = (("runs", "runs"), ("apart", "cut off"), ("stopped", "stopped"), ("asleep", "asleep"), ("gone", "gone"))
OWN = (("connected", "connected"), ("split", "split, degraded, resuming"), ("isolated", "partitioned, isolated"))


def legend() -> Html:
    """Three rows, as the lanes have three bands."""
    truth = [_key(_truth(kind), word) for kind, word in TRUTH]
    said = [_key(_swatch(f"s-{said.value}"), said.value) for said in Presence]
    own = [_key(_line(f"o-{kind}"), word) for kind, word in OWN]
    return element(
        "dl",
        *(
            element("div", element("dt", name), *keys)
            for name, keys in (
                ("its process", truth),
                ("the others say, each word as high as its share of them", said),
                ("it says of itself", own),
            )
        ),
        element("p", "A lane opens to every change of a verdict, with the reasons given.", class_="soft"),
        class_="legend",
    )


def _key(mark: Html, word: str) -> Html:
    return element("dd", mark, word)


def _swatch(kind: str) -> Html:
    return _svg(element("rect", x=0, y=0, width=24, height=12, class_=kind))


def _truth(kind: str) -> Html:
    top, height = (5, 2) if kind == "runs" else (3, 6)
    marks = [element("rect", x=0, y=top, width=24, height=height, class_=f"t-{kind}")]
    if kind == "gone":
        marks.append(element("line", x1=1, x2=1, y1=2, y2=10, class_="end"))
    return _svg(*marks)


def _line(kind: str) -> Html:
    top, height = (6, 1) if kind == "o-connected" else (4, 4)
    return _svg(element("rect", x=0, y=top, width=24, height=height, class_=kind))


def _svg(*inside: Html) -> Html:
    return element("svg", *inside, width=24, height=12, class_="key", aria_hidden="true")
