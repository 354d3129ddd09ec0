"""`join`, `leave`, `forget` and `link`: what is asked of a node on the socket in its state dir."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.asking import elsewhere, socket_dir
from meshfleet.cli.local import administer
from meshfleet.cli.saying import print_plain
from meshfleet.fleet.names import node_name, parse_address
from meshfleet.node.admin import Forget, Join, Leave, Link, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable


def join(address: str, *, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Have the node join through the one at `address`."""
    parse_address(address)
    _ask(Join(address), node, state_dir, as_json, lambda reply: f"Joined through {reply.name}.")


def leave(*, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Have the node say goodbye and end."""
    _ask(Leave(), node, state_dir, as_json, lambda _: "It said goodbye and ends.")


def forget(name: str, *, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Have the fleet forget the node `name`."""
    _ask(Forget(node_name(name)), node, state_dir, as_json, lambda _: f"{name} is forgotten.")


def link(*, node: str | None, state_dir: str | None, browser: bool, as_json: bool) -> None:
    """Have the node make a link to its page; print it, and open it if asked to."""
    reply = _ask(Link(), node, state_dir, as_json, lambda reply: reply.link or "")
    if browser and reply.link:
        import webbrowser

        webbrowser.open(reply.link)


def _ask(
    request: Request, node: str | None, state_dir: str | None, as_json: bool, say: Callable[[Reply], str]
) -> Reply:
    folder = socket_dir(node, state_dir)
    reply = administer(folder, request, f"no node runs in {folder}. {elsewhere()}")
    print_plain(msgspec.json.encode(reply).decode() if as_json else say(reply))
    return reply
