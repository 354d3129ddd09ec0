"""The commands that look at a fleet, as typed."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.flags import AsJson, Ca, KeyFile, NodeUrl, StateDir


def status(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show each change until Ctrl-C.")] = False,
    wanted: Annotated[
        str | None,
        typer.Option("--filter", metavar="TEXT", help="Only agents that fit: 'opus state:waiting -node:n3'."),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--sort", metavar="KEY", help="Sort agents: cost, context, state, ...; -KEY turns.")
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FORM", help="wide, json or name.")] = None,
    line: Annotated[bool, typer.Option("--line", help="One line, for a prompt or a status bar.")] = False,
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Another zone, of a fleet on two levels, in full.")
    ] = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """What a node sees: itself first, then nodes and agents. Exits 1 if not all is well, 3 cut off, 4 unanswered."""
    from meshfleet.cli.asking import Asked
    from meshfleet.cli.status import how
    from meshfleet.cli.status import status as run_status

    shown = how(wanted, order, output, line=line, as_json=as_json)
    raise typer.Exit(run_status(Asked(node, state_dir, key_file, ca), shown, watch=watch, zone=zone))


def top(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    key_file: KeyFile = None,
    ca: Ca = None,
) -> None:
    """The fleet on a full screen, live: agents, nodes, limits, and the evidence. `?` tells the keys."""
    from meshfleet.cli.asking import Asked
    from meshfleet.cli.top.command import top as run_top

    raise typer.Exit(run_top(Asked(node, state_dir, key_file, ca)))


def why(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A node or an agent.")],
    node: NodeUrl = None,
    state_dir: StateDir = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """The evidence behind the verdict on a node or agent, oldest first."""
    from meshfleet.cli.asking import Asked
    from meshfleet.cli.why import why as run_why

    raise typer.Exit(run_why(name, Asked(node, state_dir, key_file, ca), as_json=as_json))


def events(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only of this node or agent.")] = None,
    kind: Annotated[list[str] | None, typer.Option(metavar="KIND", help="Only of this kind; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="How many of the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each further one.")] = False,
    node: NodeUrl = None,
    state_dir: StateDir = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """What happened in the fleet, as a node saw it: who joined, fell silent, died, came back."""
    from meshfleet.cli.asking import Asked
    from meshfleet.cli.events import events as run_events

    asked = Asked(node, state_dir, key_file, ca)
    code = run_events(asked, subject=name, kinds=kind or [], limit=limit, follow=follow, as_json=as_json)
    raise typer.Exit(code)
