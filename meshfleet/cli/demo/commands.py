"""`meshfleet demo` and its subcommands, as typed."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.flags import AsJson

app = typer.Typer(
    help="A mesh of real node processes on this machine; Ctrl-C ends all. Play with it from a second terminal.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DemoDir = Annotated[str | None, typer.Option("--state-dir", metavar="DIR", help="The demo's folder.")]
Names = Annotated[list[str], typer.Argument(metavar="NAMES", help="Nodes: n1,n2 or n1 n2.")]


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    nodes: Annotated[int, typer.Option(min=1, max=32, metavar="N", help="How many nodes.")] = 5,
    base_port: Annotated[
        int, typer.Option(min=1024, max=65_000, metavar="PORT", help="First port; each node takes two.")
    ] = 7878,
    timing: Annotated[str, typer.Option(metavar="PRESET", help="local, lan or wan.")] = "local",
    state_dir: DemoDir = None,
    as_json: AsJson = False,
) -> None:
    """Start a mesh of real node processes on this machine. Ctrl-C ends all of them."""
    context.obj = state_dir
    if context.invoked_subcommand is None:
        from meshfleet.cli.demo.run import run_demo

        raise typer.Exit(run_demo(nodes, base_port, timing, state_dir, as_json=as_json))


@app.command()
def cut(context: typer.Context, names: Names, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """Lose all traffic between these nodes and all others, without a word to either."""
    _play(context, "cut", names, state_dir, as_json)


@app.command()
def heal(context: typer.Context, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """End all cuts."""
    _play(context, "heal", [], state_dir, as_json)


@app.command()
def kill(context: typer.Context, names: Names, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """Kill nodes (SIGKILL): no goodbye, as in a crash."""
    _play(context, "kill", names, state_dir, as_json)


@app.command()
def start(context: typer.Context, names: Names, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """Start killed nodes again, each in its state dir."""
    _play(context, "start", names, state_dir, as_json)


@app.command()
def pause(context: typer.Context, names: Names, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """Stop nodes (SIGSTOP): their processes are there and do nothing."""
    _play(context, "pause", names, state_dir, as_json)


@app.command()
def resume(context: typer.Context, names: Names, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """Let paused nodes go on (SIGCONT)."""
    _play(context, "resume", names, state_dir, as_json)


@app.command()
def status(context: typer.Context, state_dir: DemoDir = None, as_json: AsJson = False) -> None:
    """What the demo's processes do, which need not be what the mesh sees."""
    _play(context, "status", [], state_dir, as_json)


def _play(context: typer.Context, op: str, names: list[str], state_dir: str | None, as_json: bool) -> None:
    from meshfleet.cli.demo.asking import play

    given = state_dir or (context.obj if isinstance(context.obj, str) else None)
    play(op, tuple(name for words in names for name in words.split(",") if name), given, as_json=as_json)
