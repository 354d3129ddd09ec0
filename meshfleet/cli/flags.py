"""Flags that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from meshfleet.cli.outcome import WRONG_USAGE, complain

NodeUrl = Annotated[
    str | None, typer.Option("--node", metavar="URL", help="The node to ask, such as http://127.0.0.1:7879.")
]
StateDir = Annotated[str | None, typer.Option("--state-dir", metavar="DIR", help="The node's folder for its state.")]
KeyFile = Annotated[
    str | None, typer.Option("--key-file", metavar="FILE", help="An API key. [the state dir's, or MESHFLEET_API_KEY]")
]
Ca = Annotated[
    str | None, typer.Option("--ca", metavar="FILE", help="What vouches for the node's TLS certificate: its http.crt.")
]
Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="A meshfleet.toml.")]
Tls = Annotated[str | None, typer.Option(metavar="own|CERT,KEY", help="HTTPS; needed where --http is not loopback.")]
Find = Annotated[
    list[str] | None,
    typer.Option(metavar="PLACE", help="Where nodes are found: dns:NAME, dns-sd, consul, file:PATH; repeatable."),
]
Otel = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A collector of OpenTelemetry to tell; `env`: the one that OTEL_ variables name."),
]
Opencode = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="An opencode server of this machine, or off; may be given again. [port 4096]"),
]
Ollama = Annotated[
    str | None, typer.Option(metavar="URL", help="This machine's Ollama, or off. [OLLAMA_HOST, port 11434]")
]
Gossip = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where gossip listens, UDP and TCP. [127.0.0.1:7878]")
]
Http = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where the view is served. [127.0.0.1:7879]")]
Levels = Annotated[
    int | None, typer.Option(metavar="N", help="2 makes each zone a mesh of its own, for large fleets. [1]")
]
Above = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="On two levels: where it listens to other zones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Detector = Annotated[
    str | None,
    typer.Option("--detector", metavar="NAME", help="meshfleet, swim or lifeguard, instead of the file's."),
]


def chosen(detector: str | None) -> str | None:
    """A detector's name, if it is one; else the command ends."""
    if detector not in (None, "meshfleet", "swim", "lifeguard"):
        complain(f"--detector: {detector!r} is none of meshfleet, swim, lifeguard.")
        raise typer.Exit(WRONG_USAGE)
    return detector
