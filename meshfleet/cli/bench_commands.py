"""`meshfleet bench …` as typed."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from meshfleet.cli.flags import AsJson
from meshfleet.cli.saying import print_plain

app = typer.Typer(help="Measures what the mesh costs and how fast it is, on this machine.", rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Measure what the mesh costs and how fast it is, on this machine."""


@app.command("mesh")
def bench_mesh(
    nodes: Annotated[int, typer.Option(min=2, max=512, metavar="N", help="Node processes.")] = 16,
    update_every: Annotated[float, typer.Option(min=1.0, metavar="S", help="Seconds between a node's updates.")] = 2.0,
    seconds: Annotated[float, typer.Option(min=1.0, metavar="S", help="How long each phase is measured.")] = 20.0,
    payload: Annotated[int, typer.Option(min=200, max=4096, metavar="BYTES", help="Size of a snapshot.")] = 400,
    runs: Annotated[int, typer.Option(min=1, max=99, metavar="N", help="How often, for medians.")] = 1,
    sealed_only: Annotated[bool, typer.Option("--sealed-only", help="No unsealed mesh to compare with.")] = False,
    peer: Annotated[Literal["serf"] | None, typer.Option(help="Run the same load on this as well, to compare.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bytes, datagrams, CPU and memory of each node, and how late news arrives, over loopback."""
    from functools import partial

    import msgspec
    import trio

    from meshfleet.cli.bench import mesh, summary

    def say(text: str) -> None:
        print_plain(text, file=sys.stderr, flush=True)

    run = partial(mesh, nodes, update_every=update_every, seconds=seconds, payload=payload, runs=runs)
    result = trio.run(partial(run, beside_unsealed=not sealed_only, beside_serf=peer == "serf", say=say))
    print_plain(msgspec.json.encode(result).decode() if as_json else summary(result))


@app.command("growth")
def bench_growth(
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Numbers of nodes. [simulated: 8 to 1,000; real: 8 to 128]")
    ] = None,
    only: Annotated[Literal["simulated", "real"] | None, typer.Option(help="Fleets of this kind alone. [both]")] = None,
    runs: Annotated[
        int, typer.Option(min=0, max=99, metavar="N", help="Of each size, for medians; 0 only shows what is there.")
    ] = 5,
    results: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep each run here; what is there is not measured again.")
    ] = None,
    picture: Annotated[str | None, typer.Option(metavar="FILE.svg", help="Draw the curves.")] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables between the marks of FILE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How all of it grows with the fleet: virtual time up to 1,000 nodes, real processes up to 128.

    Exits 1 where a node that ran was called anything but fresh, a state did not arrive, or a death went unnoticed.
    """
    from pathlib import Path

    from meshfleet.cli.growth.command import growth

    kept, drawn, page = (None if given is None else Path(given) for given in (results, picture, write))
    raise typer.Exit(growth(sizes, runs, only, results=kept, picture=drawn, page=page, as_json=as_json))


@app.command("sim")
def bench_sim(
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes, without 1,000 nodes.")] = False,
    as_json: AsJson = False,
) -> None:
    """How fast virtual time passes in the simulator, on one core, and in how much memory."""
    import msgspec

    from meshfleet.cli.bench_sim import CASES, QUICK, bench, summary

    def say(text: str) -> None:
        print_plain(text, file=sys.stderr, flush=True)

    results = bench(QUICK if quick else CASES, say)
    print_plain(msgspec.json.encode(results).decode() if as_json else summary(results))


@app.command("pace")
def bench_pace(
    seeds: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="Runs of each fleet.")] = 5,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes. [one for each core]")] = None,
    as_json: AsJson = False,
) -> None:
    """What agents that say too much cost, and whether deaths are seen as soon: in the simulator."""
    import msgspec

    from meshfleet.cli.bench_pace import bench, summary

    def say(text: str) -> None:
        print_plain(text, file=sys.stderr, flush=True)

    results = bench(range(seeds), jobs, say)
    print_plain(msgspec.json.encode(results).decode() if as_json else summary(results))


@app.command("zones")
def bench_zones(
    zones: Annotated[int, typer.Option(min=3, max=128, metavar="N", help="Zones.")] = 20,
    size: Annotated[int, typer.Option(min=5, max=1_000, metavar="N", help="Nodes of each.")] = 100,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="What chance does.")] = 0,
    as_json: AsJson = False,
) -> None:
    """What a node costs in a fleet on two levels, and how soon each zone is seen by others: in the simulator."""
    import msgspec

    from meshfleet.cli.bench_zones import bench, progress, summary

    result = bench(zones, size, seed, progress)
    print_plain(msgspec.json.encode(result).decode() if as_json else summary(result))
    raise typer.Exit(0 if result.ok else 1)


@app.command("view")
def bench_view(
    agents: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Agents in the fleet.")] = 1_000,
    readers: Annotated[int, typer.Option(min=1, max=500, metavar="N", help="Readers of the event stream.")] = 500,
    as_json: AsJson = False,
) -> None:
    """How long a node takes to show a large fleet, to one reader and to hundreds."""
    import msgspec

    from meshfleet.cli.bench_view import bench, summary

    def say(text: str) -> None:
        print_plain(text, file=sys.stderr, flush=True)

    result = bench(agents, readers, say)
    print_plain(msgspec.json.encode(result).decode() if as_json else summary(result))


@app.command("runtimes")
def bench_runtimes(
    files: Annotated[int, typer.Option(min=1, max=250, metavar="N", help="Session files.")] = 200,
    size: Annotated[float, typer.Option(min=0.1, metavar="MB", help="Size of each, in a temporary folder.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What following session files costs, and how soon a new line shows."""
    import msgspec

    from meshfleet.cli.bench_runtimes import bench, summary

    def say(text: str) -> None:
        print_plain(text, file=sys.stderr, flush=True)

    result = bench(files, size, say)
    print_plain(msgspec.json.encode(result).decode() if as_json else summary(result))
