"""`meshfleet connect RUNTIME`, and whether what it set up still leads to a node."""

from __future__ import annotations

import os
import shutil
from ipaddress import ip_address
from pathlib import Path

import msgspec

from meshfleet.cli.asking import not_running, url_of
from meshfleet.cli.connect import files, telling
from meshfleet.cli.connect.jsontext import Text
from meshfleet.cli.connect.plan import RUNTIMES, Plan, connecting, undoing
from meshfleet.cli.connect.runtime import Runtime, Target
from meshfleet.cli.saying import print_plain
from meshfleet.errors import ConfigError, MeshfleetError
from meshfleet.fleet.names import parse_address
from meshfleet.node.settings import HTTP_PORT, Given, default_state_base, load


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What the command did, or would do."""

    runtime: str
    path: str
    node: str | None
    changed: bool
    diff: str | None = None
    """With `--dry-run`."""
    backup: str | None = None
    notes: tuple[str, ...] = ()


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How a runtime of this machine is connected."""

    runtime: str
    connected: bool
    problem: str | None = None
    """What keeps it from reaching the node, and what to do."""


def connect(runtime: str, *, undo: bool, dry_run: bool, node: str | None, as_json: bool) -> int:
    """Set it up, or take it back. Prints what was done; ConfigError where it can't be, and then nothing was."""
    found = RUNTIMES.get(runtime)
    if found is None:
        raise ConfigError(f"{runtime!r} is none of {', '.join(RUNTIMES)}.")
    path = found.settings(os.environ, Path.home())
    folder = scripts()
    now, memory = files.read(path), files.recall(folder, runtime)
    if undo:
        plan, target = undoing(found, path, now, memory), None
    else:
        _must_be_here(found, path)
        target = _target(node)
        plan = connecting(found, path, now, memory, target)
    backup = None
    if not dry_run and target is None:
        _undo(runtime, plan)
    elif not dry_run:
        backup = _connect(runtime, found, plan)
    notes = _notes(found, plan, target)
    done = Done(
        runtime=runtime,
        path=str(path),
        node=target.url if target is not None else None,
        changed=plan.changes,
        diff=plan.diff() if dry_run else None,
        backup=str(backup) if backup is not None else None,
        notes=tuple(notes),
    )
    print_plain(msgspec.json.encode(done).decode() if as_json else _told(done, found, undo=undo))
    return 0


def connections(node_url: str) -> list[Connection]:
    """Those runtimes that are on this machine, and whether they tell the node at `node_url`."""
    told = []
    folder = scripts()
    for name, runtime in RUNTIMES.items():
        if not runtime.needs_script:
            continue
        path = runtime.settings(os.environ, Path.home())
        memory = files.recall(folder, name)
        if not _is_here(runtime, path) and memory is None:
            continue
        try:
            now = files.read(path)
            plan = undoing(runtime, path, now, memory)
            if not plan.changes:
                told.append(Connection(runtime=name, connected=False))
                continue
            problem = _problem(name, runtime, path, now, memory, node_url)
        except MeshfleetError as error:
            told.append(Connection(runtime=name, connected=False, problem=str(error)))
            continue
        told.append(Connection(runtime=name, connected=True, problem=problem))
    return told


def scripts() -> Path:
    """Where the script and what is remembered are."""
    return default_state_base() / files.FOLDER


def _problem(
    name: str, runtime: Runtime, path: Path, now: bytes | None, memory: files.Memory | None, node_url: str
) -> str | None:
    again = f"run `meshfleet connect {name}` again"
    if not os.access(scripts() / telling.SCRIPT, os.X_OK):
        return f"its hooks' script is gone: {again}"
    try:
        target = _target(node_url)
    except ConfigError:
        return None  # the node is reached by another name here: nothing to compare with
    if connecting(runtime, path, now, memory, target).changes:
        return f"it is set up for another node or by another version: {again}"
    return None


def _connect(runtime: str, found: Runtime, plan: Plan) -> Path | None:
    folder = scripts()
    if found.needs_script:
        telling.install(folder)
    if not plan.changes or plan.then is None:
        return None
    memory = files.Memory(str(plan.path), plan.before, files.fingerprint(plan.then))
    backup = files.remember(folder, runtime, memory)
    files.write(plan.path, plan.then)
    return backup


def _undo(runtime: str, plan: Plan) -> None:
    if plan.changes:
        files.write(plan.path, plan.then)
    folder = scripts()
    files.forget(folder, runtime)
    if not any(files.recall(folder, name) for name in RUNTIMES):
        telling.remove(folder)


def _is_here(runtime: Runtime, path: Path) -> bool:
    return path.parent.is_dir() or shutil.which(runtime.program) is not None


def _must_be_here(runtime: Runtime, path: Path) -> None:
    if not _is_here(runtime, path):
        raise ConfigError(
            f"{runtime.name} is not on this machine: there is no {path.parent}, and no `{runtime.program}` in PATH. "
            "Install it first, or start it once."
        )


def _target(node: str | None) -> Target:
    url = url_of(node)
    scheme, _, place = url.partition("://")
    address = parse_address(place, HTTP_PORT)
    host = "127.0.0.1" if address.host == "localhost" else address.host
    try:
        near = ip_address(host).is_loopback
    except ValueError:
        near = False
    if scheme != "http" or not near:
        raise ConfigError(
            f"{url} is no node of this machine over plain HTTP. Hooks carry what agents work on, which leaves no "
            "machine: start a node here with `meshfleet up`, and name it: --node http://127.0.0.1:7879."
        )
    return Target(host, address.port, load(Given(), os.environ).host, scripts())


def _notes(found: Runtime, plan: Plan, target: Target | None) -> list[str]:
    if target is None:
        return []
    others = not_running(target.url)
    warning = [] if others is None else [f"No node runs here at {target.url}. {others}"]
    return warning + found.notes(Text(files.text_of(plan.then, plan.path), str(plan.path)), target)


def _told(done: Done, found: Runtime, *, undo: bool) -> str:
    if done.diff is not None:
        return done.diff.rstrip("\n") if done.changed else f"{done.path}: nothing would change."
    if undo:
        what = "is as it was before" if done.changed else "has nothing of meshfleet"
        return f"{done.path} {what}."
    lines = [f"{found.name} tells {done.node}: {done.path}"]
    if not done.changed:
        lines = [f"{done.path}: nothing had to be changed."]
    if done.backup is not None:
        lines.append(f"As it was before: {done.backup}. `meshfleet connect {done.runtime} --undo` takes it back.")
    return "\n".join([*lines, *done.notes])
