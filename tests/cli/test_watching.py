"""`status --watch` while its node is gone: it says so, where it is seen, and does not pass old ages for new ones."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from meshfleet.cli.showing import PlainConsole
from meshfleet.cli.status import How, render_moment
from meshfleet.cli.watching import Moment, moments

if TYPE_CHECKING:
    from tests.cli.top.site import Site, Sites


def lines_of(moment: Moment) -> list[str]:
    out = io.StringIO()
    PlainConsole(file=out, width=100, highlight=False).print(render_moment(moment, "http://box:7879", 100, How()))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_node_that_died_is_told_in_the_first_line_and_again_each_second(made: Sites, site: Site) -> None:
    shown = moments(made.client(site.url).reader, every=0.01)
    first = next(shown)
    assert lines_of(first)[0].startswith("n1 is connected")
    site.end()
    silent = next(moment for moment in shown if moment.is_silent)
    later = next(moment for moment in shown if moment.quiet > silent.quiet)
    for moment in (silent, later):
        assert moment.view == first.view
        line = lines_of(moment)[0]
        assert line.startswith("NO NODE ANSWERS at http://box:7879 since ")
        assert "all below is as of " in line


def test_a_node_that_says_nothing_more_is_told_too(made: Sites, site: Site) -> None:
    view = next(moments(made.client(site.url).reader)).view
    assert lines_of(Moment(view, 5.0, None))[0].startswith("n1 is connected")
    assert "as of 9.0 s ago" in lines_of(Moment(view, 9.0, None))[0]
