"""`meshfleet keys` and its subcommands, as typed."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.flags import AsJson, NodeUrl, StateDir

app = typer.Typer(help="The fleet's keys and certificates.", rich_markup_mode=None)


@app.callback()
def keys() -> None:
    """The fleet's keys and certificates."""


@app.command("list")
def list_keys(node: NodeUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Who holds the authority, which keys are in use, who was let in and who thrown out."""
    from meshfleet.cli.trusting import keys as run_keys

    run_keys(node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def rotate(node: NodeUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Give the fleet a new datagram key, in steps that lose nothing."""
    from meshfleet.cli.trusting import rotate as run_rotate

    run_rotate(node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NODE", help="The node to throw out. For good: its name too.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first, as is done on a terminal.")] = False,
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Throw a node out everywhere: its certificate, its streams, and, with a new key, its datagrams."""
    from meshfleet.cli.trusting import revoke as run_revoke

    run_revoke(name, sure=yes, node=node, state_dir=state_dir, as_json=as_json)


@app.command("export-ca")
def export_ca(
    private: Annotated[bool, typer.Option("--private", help="The private key, to keep a copy of it.")] = False,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write it there; never over a file.")] = None,
    node: NodeUrl = None,
    state_dir: StateDir = None,
) -> None:
    """Print the certificate of the fleet's authority."""
    from meshfleet.cli.trusting import export_ca as run_export

    run_export(private, out, node=node, state_dir=state_dir)
