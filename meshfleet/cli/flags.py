"""Flags that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

NodeUrl = Annotated[
    str | None, typer.Option("--node", metavar="URL", help="The node to ask, such as http://127.0.0.1:7879.")
]
StateDir = Annotated[str | None, typer.Option("--state-dir", metavar="DIR", help="The node's folder for its state.")]
Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="A meshfleet.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
