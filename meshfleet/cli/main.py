"""The commands and their flags. What they do is imported when they run, so that each starts fast.

Typer reads the annotations while the program runs: what they name is imported for real.
"""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from typing import Annotated

import typer

from meshfleet import __version__
from meshfleet.cli.api_keys import app as api_keys_app
from meshfleet.cli.bench_commands import app as bench_app
from meshfleet.cli.cost import cost
from meshfleet.cli.demo.commands import app as demo_app
from meshfleet.cli.flags import (
    Above,
    AsJson,
    Config,
    Find,
    Gossip,
    Http,
    Levels,
    NodeUrl,
    Ollama,
    Opencode,
    Otel,
    StateDir,
    Tls,
)
from meshfleet.cli.keys import app as keys_app
from meshfleet.cli.looking_commands import events, status, top, why
from meshfleet.cli.outcome import INTERRUPTED, WRONG_USAGE, complain, run_to_exit_code
from meshfleet.cli.run.command import run as run_command
from meshfleet.cli.saying import print_plain
from meshfleet.cli.sim_commands import app as sim_app

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(demo_app, name="demo")
app.command("run", context_settings={"allow_interspersed_args": False})(run_command)
keys_app.add_typer(api_keys_app, name="api")
app.add_typer(keys_app, name="keys")
app.add_typer(bench_app, name="bench")
app.add_typer(sim_app, name="sim")


OF_THE_PARSER = (
    (r"Value error, ", ""),
    (r"Input should be greater than or equal to (\S+)", r"it must be at least \1"),
    (r"Input should be less than or equal to (\S+)", r"it must be at most \1"),
    (r"Input should be a valid integer, .*", "it must be a whole number"),
    (r"Input should be a valid number, .*", "it must be a number"),
    (r"(No such command 'stop')\..*", r"\1. Did you mean 'leave'?"),
)
"""How the parser says what is wrong, and how we do. By its letters `stop` is near `top`, which ends nothing."""


def _version_and_out(wanted: bool) -> None:
    if wanted:
        _print_version(as_json=False)
        raise typer.Exit


@app.callback()
def every_command(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version.", is_eager=True, callback=_version_and_out),
    ] = False,
) -> None:
    """Shows every AI agent of a fleet, from any node, without a hub."""


@app.command()
def up(
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The node's name, unique in its fleet.")] = None,
    join: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="A node to join through; may be given again.")
    ] = None,
    find: Find = None,
    gossip: Gossip = None,
    http: Http = None,
    tls: Tls = None,
    http_name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="A name that the view is asked under; may be given again.")
    ] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="What the node shares its fate with.")] = None,
    levels: Levels = None,
    above: Above = None,
    host: Annotated[str | None, typer.Option(metavar="NAME", help="What counts as one machine.")] = None,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="agent or observer. [agent]")] = None,
    state_dir: StateDir = None,
    invite: Annotated[
        str | None, typer.Option(metavar="LINE", help="What `meshfleet invite` printed: which fleet to enter.")
    ] = None,
    timing: Annotated[str | None, typer.Option(metavar="PRESET", help="local, lan or wan. [lan]")] = None,
    discover: Annotated[
        bool | None, typer.Option("--discover/--no-discover", help="Find and carry the agents of this machine.")
    ] = None,
    opencode: Opencode = None,
    ollama: Ollama = None,
    otel: Otel = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error. [warning]")
    ] = None,
    config: Config = None,
    sample: Annotated[
        int, typer.Option(metavar="N", min=0, max=64, help="Carry N made-up agents, to try things out.")
    ] = 0,
    demo: Annotated[bool, typer.Option("--demo", help="Allow `demo cut` to cut this node off.")] = False,
    with_stdin: Annotated[bool, typer.Option("--with-stdin", help="Leave when standard input ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a node in the foreground: find the agents of this machine, join, serve the view. Ctrl-C leaves the fleet."""
    from pathlib import Path

    from meshfleet.cli.handover import Extras, become_node
    from meshfleet.node.settings import load, read_flags

    flags = read_flags(
        name=name,
        join=join,
        find=find,
        gossip=gossip,
        http=http,
        tls=tls,
        http_name=http_name,
        zone=zone,
        levels=levels,
        above=above,
        host=host,
        role=role,
        state_dir=state_dir,
        invite=invite,
        timing=None if timing is None else {"preset": timing},
        discover=discover,
        opencode=opencode,
        ollama=ollama,
        otel=None if otel is None else {"endpoint": otel},
        log_level=log_level,
    )
    settings = load(flags, os.environ, None if config is None else Path(config))
    become_node(settings, Extras(sample=sample, demo=demo, with_stdin=with_stdin, as_json=as_json))


for look in (status, top, cost, why, events):
    app.command()(look)


@app.command()
def doctor(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    no_test: Annotated[bool, typer.Option("--no-test", help="Only what the node knows; test no paths.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is wrong around a node on this machine: UDP, MTU, firewalls, addresses, clocks, names; what it dropped."""
    from meshfleet.cli.doctor import doctor as run_doctor

    raise typer.Exit(run_doctor(node=node, state_dir=state_dir, as_json=as_json, tries=not no_test))


@app.command()
def connect(
    runtime: Annotated[str, typer.Argument(metavar="RUNTIME", help="claude, codex, gemini or opencode.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: settings are as they were.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set a runtime up to tell a node of this machine what it does, and leave the rest of its settings as they are."""
    from meshfleet.cli.connect.command import connect as run_connect

    raise typer.Exit(run_connect(runtime, undo=undo, dry_run=dry_run, node=node, as_json=as_json))


@app.command()
def link(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link that opens a node's page. It works once, within five minutes."""
    from meshfleet.cli.administering import link as run_link

    run_link(node=node, state_dir=state_dir, browser=browser, as_json=as_json)


@app.command()
def join(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where a node of the fleet listens for gossip.")],
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Have the node join through another one."""
    from meshfleet.cli.administering import join as run_join

    run_join(address, node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def leave(node: NodeUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Have the node say goodbye and end."""
    from meshfleet.cli.administering import leave as run_leave

    run_leave(node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A node that is gone for good.")],
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Have the fleet count a node that won't come back as left."""
    from meshfleet.cli.administering import forget as run_forget

    run_forget(name, node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def invite(
    role: Annotated[str, typer.Option(metavar="ROLE", help="What the newcomer may be: agent or observer.")] = "agent",
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it is good: 30m, 1h, 7d.")] = "1h",
    uses: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="For how many machines.")] = 1,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Where the newcomer reaches this node; may be given again. [--gossip]"),
    ] = None,
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print one line that lets another machine into the fleet: `meshfleet up --invite LINE`."""
    from meshfleet.cli.trusting import invite as run_invite

    run_invite(role, expires, uses, at or (), node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def proxy(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where it listens; loopback only.")
    ] = "127.0.0.1:7880",
    to: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URL", help="One more upstream: /NAME/… goes to URL/…")
    ] = None,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Pass agents' requests to their model providers on, and show what is left of each API key."""
    from meshfleet.cli.proxying import proxy as run_proxy

    raise typer.Exit(run_proxy(listen, to or (), node, as_json=as_json))


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version, and whether the core is compiled."""
    _print_version(as_json=as_json)


def _print_version(*, as_json: bool) -> None:
    found = find_spec("meshfleet.gossip.member")
    compiled = found is not None and found.origin is not None and not found.origin.endswith(".py")
    if as_json:
        print_plain(json.dumps({"version": __version__, "compiled": compiled}))
    else:
        print_plain(f"meshfleet {__version__}{', compiled' if compiled else ''}")


def run(arguments: list[str]) -> int:
    """Run the command with `arguments`; returns its exit code. Errors of ours come out as one line."""

    def command() -> int:
        code = app(args=arguments or ["--help"], prog_name="meshfleet", standalone_mode=False)
        return code if isinstance(code, int) else 0

    try:
        return run_to_exit_code(command)
    except typer.TyperException as error:  # the operator's words don't fit
        said = _said(error.format_message().rstrip("."))
        complain(f"{said}{'' if said.endswith('?') else '.'} See `{_meant(error, arguments)} --help`.")
        return WRONG_USAGE
    except typer.Abort:
        return INTERRUPTED


def _said(message: str) -> str:
    """The parser's words, in ours. What it finds near a word by its letters is not always what is meant."""
    for its, ours in OF_THE_PARSER:
        message = re.sub(its, ours, message)
    return message


def _meant(error: typer.TyperException, arguments: list[str]) -> str:
    """The command that `error` is about, as typed. Not every error of the parser knows."""
    context = getattr(error, "ctx", None)
    if context is not None:
        return str(context.command_path)
    words = ["meshfleet"]
    below = getattr(typer.main.get_command(app), "commands", {})
    while arguments and arguments[0] in below:
        words.append(arguments[0])
        below, arguments = getattr(below[arguments[0]], "commands", {}), arguments[1:]
    return " ".join(words)
