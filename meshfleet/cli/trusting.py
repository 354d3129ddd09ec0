"""`invite` and `keys`: what the fleet's owner asks of a node on the socket in its state dir."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshfleet.cli.asking import elsewhere, socket_dir
from meshfleet.cli.local import administer
from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError, Refused, StateDirError
from meshfleet.fleet.names import node_name, parse_address
from meshfleet.node.admin import Invite, Keys, Reply, Request, Revoke, Rotate
from meshfleet.node.invites import read_invite
from meshfleet.node.vault import CA_CERTIFICATE, CA_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshfleet.node.office import KeysTold

UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def invite(
    role: str,
    expires: str,
    uses: int,
    at: Sequence[str],
    *,
    node: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Print the line that lets a machine into the fleet."""
    where = tuple(str(parse_address(text)) for text in at)
    reply = _ask(Invite(role, seconds(expires), uses, where), node, state_dir)
    if as_json:
        _print_json(reply)
        return
    assert reply.invite is not None
    print_plain(reply.invite)
    hosts = {address.host for address in read_invite(reply.invite).where()}
    if hosts & {"127.0.0.1", "::1"}:
        print_plain(
            "This line says loopback, so it is good on this machine alone. Start the node with --gossip and an address "
            "that the others reach, or name one that leads to it with --at.",
            file=sys.stderr,
        )


def keys(*, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Show how a node stands with its fleet's keys."""
    reply = _ask(Keys(), node, state_dir)
    assert reply.keys is not None
    print_plain(msgspec.json.encode(reply.keys).decode() if as_json else _shown(reply.keys))


def rotate(*, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Begin a rotation of the datagram key."""
    reply = _ask(Rotate(), node, state_dir)
    _tell(reply, "A new key goes round; `meshfleet keys list` shows how far it is.", as_json)


def revoke(name: str, *, sure: bool, node: str | None, state_dir: str | None, as_json: bool) -> None:
    """Throw a node out. Whoever types it is asked first, unless `sure`: nothing takes it back."""
    request = Revoke(node_name(name))
    if not sure and sys.stdin.isatty() and not _confirmed(name):
        raise Refused(f"{name} was not thrown out. Nothing was changed.")
    reply = _ask(request, node, state_dir)
    _tell(reply, f"{name} is thrown out, for good, and a new key goes round to all others.", as_json)


def export_ca(private: bool, out: str | None, *, node: str | None, state_dir: str | None) -> None:
    """Print the authority's certificate, or write its private key into a file of its own."""
    folder = socket_dir(node, state_dir)
    if private and out is None:
        raise ConfigError("--private writes a secret: give --out a file for it, not the terminal.")
    path = folder / (CA_KEY if private else CA_CERTIFICATE)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        why = "this node does not hold the fleet's authority" if private else "no node ever ran there"
        raise ConfigError(f"{path} is not there: {why}. `meshfleet keys list` says who does.") from None
    except OSError as error:
        raise StateDirError(f"{path} can't be read: {error.strerror}.") from error
    if out is None:
        print_plain(content.decode("ascii"), end="")
        return
    _write_new(Path(out), content)
    print_plain(f"Wrote {out}. Who has it can let anybody into the fleet: keep it where only you can." if private
          else f"Wrote {out}.")  # fmt: skip


def seconds(text: str) -> float:
    """`90s`, `30m`, `1h`, `7d`, as seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    if found is None:
        raise ConfigError(f"--expires: {text!r} is not a time such as 30m, 1h or 7d.")
    return int(found[1]) * UNITS[found[2]]


def _write_new(path: Path, content: bytes) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"--out {path} is there already. Nothing was overwritten; choose another.") from None
    except OSError as error:
        raise ConfigError(f"--out {path} can't be written: {error.strerror}.") from error
    try:
        with os.fdopen(file, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)  # half a key would pass for one until it is needed
        raise StateDirError(f"--out {path} can't be written: {error.strerror}. Nothing was left there.") from error


def _ask(request: Request, node: str | None, state_dir: str | None) -> Reply:
    folder = socket_dir(node, state_dir)
    return administer(folder, request, f"no node runs in {folder}. {elsewhere()}")


def _confirmed(name: str) -> bool:
    """Whether who sits at the terminal says yes."""
    print_plain(
        f"Throw {name} out of the fleet? For good, its name included. [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(reply: Reply, said: str, as_json: bool) -> None:
    if as_json:
        _print_json(reply)
    else:
        print_plain(said)


def _print_json(reply: Reply) -> None:
    print_plain(msgspec.json.encode(reply).decode())


def _shown(told: KeysTold) -> str:
    holder = "this node" if told.holds_authority else ", ".join(told.issuers) or "nobody that is seen from here"
    lines = [
        f"fleet {told.fleet}",
        f"authority SHA-256 {told.authority}, held by {holder}",
        f"{told.node}'s certificate is good until {told.certificate_until}",
        "",
        "KEY   ADDED",
        *(f"{key.id}  {key.added}{'  seals' if key.seals else ''}" for key in told.keys),
    ]
    if len(told.keys) > 1:
        waits = f"; {', '.join(told.stragglers)} still to follow" if told.stragglers else ""
        lines.append(f"A rotation is under way{waits}.")
    if told.nodes:
        width = max(4, *(len(node.name) for node in told.nodes))
        lines += ["", f"{'NODE':{width}}  ROLE      CERTIFICATE UNTIL"]
        lines += [
            f"{node.name:{width}}  {node.role:8}  {'revoked' if node.revoked else node.until}" for node in told.nodes
        ]
    elif told.revoked:
        lines += ["", f"revoked: {', '.join(told.revoked)}"]
    return "\n".join(lines)
