"""`meshfleet why`: the evidence behind one verdict, oldest first."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meshfleet.cli import showing
from meshfleet.cli.asking import Asked, path_of, reader
from meshfleet.cli.saying import print_plain
from meshfleet.cli.unknown import in_words
from meshfleet.serve.answers import Story


def why(name: str, asked: Asked, *, as_json: bool) -> int:
    """Print what the node that is asked knows about `name`, a node or an agent; returns the exit code."""
    node = reader(asked)
    with in_words(node, elsewhere=True):
        body = node.get(path_of("/v1/why", name))
    story = node.understood(body, Story)
    if as_json:
        print_plain(body.decode())
    else:
        showing.console().print(render(story))
    return 0


def render(story: Story) -> RenderableType:
    """The verdict, then its facts."""
    line = Text.assemble((story.name, "bold"), " is ", showing.presence(story.presence, story.certainty))
    line.append(f", says {story.served_by}, which is {story.standing.value}; heard of {showing.age(story.age_s)} ago")
    parts: list[RenderableType] = [line, *(Text(f"  {reason}") for reason in story.reasons)]
    if story.node != story.name:
        parts.append(Text(f"  It is carried by {story.node}; these are the facts about that node."))
    if not story.facts:
        return Group(*parts, Text("  Nothing is kept about it: a node has no evidence about itself."))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("AT", justify="right", no_wrap=True)
    table.add_column("WHAT", no_wrap=True)
    table.add_column("BY", no_wrap=True)
    table.add_column("DETAIL")
    for fact in story.facts:
        # As Text: `top` shows this too, whose console takes a string for markup, and ends where it is wrong.
        table.add_row(*map(Text, (showing.clock(fact.at, fact.age_s), fact.kind.value, fact.by, fact.detail)))
    return Group(*parts, Text(), table)
