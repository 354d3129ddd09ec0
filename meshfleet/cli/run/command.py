"""`meshfleet run`, as the command's parser knows it: for its help, and for what can't be read faster."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.flags import NodeUrl  # noqa: TC001 - Typer reads the annotations while the program runs


def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run, with its arguments.")],
    agent: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The agent's id. [HOST/ and the command's name]")
    ] = None,
    node: NodeUrl = None,
) -> None:
    """Run a command with the mesh beside it: what it does is shown, its exit code passed on."""
    from meshfleet.cli.run.arguments import Arguments
    from meshfleet.cli.run.running import run as run_it

    raise typer.Exit(run_it(Arguments(tuple(command), agent, node)))
