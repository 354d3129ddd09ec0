"""The commands and their flags. What they do is imported when they run, so that each starts fast.

Typer reads the annotations while the program runs: what they name is imported for real.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from meshfleet import __version__
from meshfleet.cli.api_keys import app as api_keys_app
from meshfleet.cli.demo.commands import app as demo_app
from meshfleet.cli.flags import AsJson, Ca, Config, Detector, KeyFile, NodeUrl, Ollama, Opencode, StateDir, chosen
from meshfleet.cli.keys import app as keys_app
from meshfleet.cli.outcome import INTERRUPTED, WRONG_USAGE, complain, run_to_exit_code
from meshfleet.cli.run.command import run as run_command
from meshfleet.cli.sim_commands import check, lifeguard, shrink, sweep

app = typer.Typer(
    help="Shows every AI agent of a fleet, from any node, without a hub.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(demo_app, name="demo")
app.command("run", context_settings={"allow_interspersed_args": False})(run_command)
keys_app.add_typer(api_keys_app, name="api")
app.add_typer(keys_app, name="keys")
bench_app = typer.Typer(help="Measures what the mesh costs and how fast it is, on this machine.", rich_markup_mode=None)
app.add_typer(bench_app, name="bench")


@bench_app.callback()
def bench() -> None:
    """Measure what the mesh costs and how fast it is, on this machine."""


@bench_app.command("mesh")
def bench_mesh(
    nodes: Annotated[int, typer.Option(min=2, max=512, metavar="N", help="Node processes.")] = 16,
    update_every: Annotated[float, typer.Option(min=0.05, metavar="S", help="Seconds between a node's updates.")] = 2.0,
    seconds: Annotated[float, typer.Option(min=1.0, metavar="S", help="How long each phase is measured.")] = 20.0,
    payload: Annotated[int, typer.Option(min=200, max=4096, metavar="BYTES", help="Size of a snapshot.")] = 400,
    runs: Annotated[int, typer.Option(min=1, max=99, metavar="N", help="How often, for medians.")] = 1,
    sealed_only: Annotated[bool, typer.Option("--sealed-only", help="No unsealed mesh to compare with.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bytes, datagrams, CPU and memory of each node, and how late news arrives, over loopback."""
    from functools import partial

    import msgspec
    import trio

    from meshfleet.cli.bench import mesh, summary

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    run = partial(mesh, nodes, update_every=update_every, seconds=seconds, payload=payload, runs=runs)
    result = trio.run(partial(run, beside_unsealed=not sealed_only, say=say))
    print(msgspec.json.encode(result).decode() if as_json else summary(result))


@bench_app.command("sim")
def bench_sim(
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes, without 1,000 nodes.")] = False,
    as_json: AsJson = False,
) -> None:
    """How fast virtual time passes in the simulator, on one core, and in how much memory."""
    import msgspec

    from meshfleet.cli.bench_sim import CASES, QUICK, bench, summary

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    results = bench(QUICK if quick else CASES, say)
    print(msgspec.json.encode(results).decode() if as_json else summary(results))


@bench_app.command("view")
def bench_view(
    agents: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Agents in the fleet.")] = 1_000,
    readers: Annotated[int, typer.Option(min=1, max=500, metavar="N", help="Readers of the event stream.")] = 500,
    as_json: AsJson = False,
) -> None:
    """How long a node takes to show a large fleet, to one reader and to hundreds."""
    import msgspec

    from meshfleet.cli.bench_view import bench, summary

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    result = bench(agents, readers, say)
    print(msgspec.json.encode(result).decode() if as_json else summary(result))


sim_app = typer.Typer(help="Runs outages in virtual time.", rich_markup_mode=None)
app.add_typer(sim_app, name="sim")


@sim_app.callback()
def sim() -> None:
    """Run outages in virtual time, and see whether the truth was told of them."""


@sim_app.command("run")
def sim_run(
    scenario: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A scenario file, or a name from `sim list`.")],
    seed: Annotated[int | None, typer.Option(metavar="N", help="What everything random is drawn from. [0]")] = None,
    detector: Detector = None,
    mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="core or stack (the real node), instead of the file's.")
    ] = None,
    report: Annotated[str | None, typer.Option(metavar="FILE.html", help="Write a page of what happened.")] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw the swimlanes in characters.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run one scenario. Exits 1 where an expectation did not hold or somebody alive was called dead."""
    from pathlib import Path

    from meshfleet.cli.sim import run as run_sim

    if mode not in (None, "core", "stack"):
        complain(f"--mode: {mode!r} is neither core nor stack.")
        raise typer.Exit(WRONG_USAGE)
    if timeline and as_json:
        complain("--timeline is drawn for people, and --json prints one object: give one of them.")
        raise typer.Exit(WRONG_USAGE)
    page = None if report is None else Path(report)
    raise typer.Exit(run_sim(scenario, seed, chosen(detector), mode, as_json=as_json, page=page, timeline=timeline))


@sim_app.command("list")
def sim_list(as_json: AsJson = False) -> None:
    """The scenarios that come with the project."""
    from meshfleet.cli.sim import catalogue

    catalogue(as_json=as_json)


@sim_app.command("table")
def sim_table(
    seeds: Annotated[str, typer.Option(metavar="FROM:TO", help="Which seeds: from the first up to before TO.")] = "0:3",
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes. [one for each core]")] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table between the marks of FILE.")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Also the scenarios that take minutes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the catalogue with every detector, and put them side by side. Exits 1 where meshfleet did not hold."""
    from pathlib import Path

    from meshfleet.cli.sim_table import table

    target = None if write is None else Path(write)
    raise typer.Exit(table(seeds, jobs, target, slow=slow, as_json=as_json))


sim_app.command("sweep")(sweep)
sim_app.command("check")(check)
sim_app.command("shrink")(shrink)
sim_app.command("lifeguard")(lifeguard)


@app.command()
def up(
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The node's name, unique in its fleet.")] = None,
    join: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="A node to join through; may be given again.")
    ] = None,
    gossip: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where gossip listens, UDP and TCP. [127.0.0.1:7878]")
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the view is served. [127.0.0.1:7879]")
    ] = None,
    tls: Annotated[
        str | None, typer.Option(metavar="own|CERT,KEY", help="HTTPS; needed where --http is not loopback.")
    ] = None,
    http_name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="A name that the view is asked under; may be given again.")
    ] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="What the node shares its fate with.")] = None,
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
        gossip=gossip,
        http=http,
        tls=tls,
        http_name=http_name,
        zone=zone,
        host=host,
        role=role,
        state_dir=state_dir,
        invite=invite,
        timing=None if timing is None else {"preset": timing},
        discover=discover,
        opencode=opencode,
        ollama=ollama,
        log_level=log_level,
    )
    settings = load(flags, os.environ, None if config is None else Path(config))
    become_node(settings, Extras(sample=sample, demo=demo, with_stdin=with_stdin, as_json=as_json))


@app.command()
def status(
    node: NodeUrl = None,
    state_dir: StateDir = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show each change until Ctrl-C.")] = False,
    key_file: KeyFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """What a node sees: itself first, then nodes and agents. Exits 1 if not all is well, 3 cut off, 4 unanswered."""
    from meshfleet.cli.asking import Asked
    from meshfleet.cli.status import status as run_status

    raise typer.Exit(run_status(Asked(node, state_dir, key_file, ca), as_json=as_json, watch=watch))


@app.command()
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


@app.command()
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


@app.command()
def doctor(node: NodeUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """How a node on this machine is: what it dropped and why, and who sent it forgeries."""
    from meshfleet.cli.doctor import doctor as run_doctor

    run_doctor(node=node, state_dir=state_dir, as_json=as_json)


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
    node: NodeUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print one line that lets another machine into the fleet: `meshfleet up --invite LINE`."""
    from meshfleet.cli.trusting import invite as run_invite

    run_invite(role, expires, uses, node=node, state_dir=state_dir, as_json=as_json)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    print(json.dumps({"version": __version__}) if as_json else f"meshfleet {__version__}")


def run(arguments: list[str]) -> int:
    """Run the command with `arguments`; returns its exit code. Errors of ours come out as one line."""

    def command() -> int:
        code = app(args=arguments or ["--help"], prog_name="meshfleet", standalone_mode=False)
        return code if isinstance(code, int) else 0

    try:
        return run_to_exit_code(command)
    except typer.TyperException as error:  # the operator's words don't fit
        said = error.format_message().rstrip(".")
        complain(f"{said}{'' if said.endswith('?') else '.'} See `{_meant(error, arguments)} --help`.")
        return WRONG_USAGE
    except typer.Abort:
        return INTERRUPTED


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
