"""`meshfleet up`: a node, its agents, its view and its local socket, in one nursery."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from meshfleet import __version__
from meshfleet.cli.ending import until_signalled, working_until
from meshfleet.cli.files import RUNNING, Running, point_to, pointer_to, remove, write_json
from meshfleet.cli.handover import read_handover
from meshfleet.cli.memory import keep_what_is_loaded
from meshfleet.cli.outcome import run_to_exit_code
from meshfleet.cli.room import may_open_many
from meshfleet.cli.saying import print_plain
from meshfleet.cli.telling_systemd import Systemd
from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address, parse_address
from meshfleet.logs import PlainFormatter
from meshfleet.node.admin import serve_admin
from meshfleet.node.billing import Billing
from meshfleet.node.checking import HOST_NAME
from meshfleet.node.chronicle import Chronicle
from meshfleet.node.config import NodeConfig
from meshfleet.node.entering import enter_once
from meshfleet.node.invites import read_invite
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.node.settings import CERTIFICATE, default_state_base, machine_name
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.viewing import rfc3339
from meshfleet.serve import serve
from meshfleet.wire.identity import OBSERVER

if TYPE_CHECKING:
    import ssl

    from meshfleet.cli.handover import Extras
    from meshfleet.discovery.source import Source
    from meshfleet.node.node import Node
    from meshfleet.node.settings import LogLevel, Settings
    from meshfleet.runtimes.desk import Desk
    from meshfleet.runtimes.hooks.intake import Hooks
    from meshfleet.runtimes.otlp.intake import Telemetry
    from meshfleet.runtimes.settings import RuntimesSettings

FAREWELL_PATIENCE = 5.0
"""Seconds that the goodbyes may take. After them the node ends anyway, and the fleet finds out by itself."""


LOOK_AROUND = 2.0
"""Seconds after which what was found on this machine is told. Thousands of old session files are listed in less."""


def run_up(settings: Settings, extras: Extras) -> int:
    """Run a node until a signal, `leave`, or the end of standard input; returns the exit code."""
    log_to_stderr(settings.log_level)
    may_open_many()
    trio.run(until_signalled, partial(_up, settings, extras), lambda: remove(settings.state_dir / RUNNING))
    return 0


async def _up(settings: Settings, extras: Extras, asked: trio.Event) -> None:
    seeds, opened = settings.join, _open_sources(settings)
    async with working_until(asked):
        await _check_peers(settings)
        seeds = await _seeds(settings)
    if asked.is_set():
        return
    async with open_node(_node_config(settings, extras, seeds)) as node:
        node.attending.exited_shown = settings.exited_shown
        left = trio.Event()
        systemd = Systemd(os.environ)
        told = _told(node, settings) if settings.discover else None
        try:
            async with working_until(asked) as nursery:
                running, link = await _serve(node, settings, told, left, nursery)
                if opened:
                    nursery.start_soon(node.supervise, "discovery", partial(_discover, node, opened))
                _introduce(running, link, settings, extras)
                systemd.tell("READY=1")
                nursery.start_soon(systemd.signs_of_life, lambda: node.health().standing.value)
                observes = node.member.membership.me.info.role == OBSERVER
                if observes and not extras.as_json:
                    print_plain("An observer: it shows the fleet, and carries no agents.", flush=True)
                if not observes:
                    nursery.start_soon(_carry_agents, node, settings, told, extras)
                if settings.discover and not observes and not extras.as_json:
                    nursery.start_soon(_tell_what_was_found, node)
                if extras.with_stdin:
                    nursery.start_soon(_ask_with_stdin, asked)
                keep_what_is_loaded()
                await left.wait()
        finally:
            systemd.tell("STOPPING=1")
            remove(settings.state_dir / RUNNING)
            remove(pointer_to(default_state_base(), settings.state_dir))
            if not left.is_set():
                with trio.move_on_after(FAREWELL_PATIENCE, shield=True):
                    await node.leave()


def _node_config(settings: Settings, extras: Extras, seeds: tuple[Address, ...]) -> NodeConfig:
    return NodeConfig(
        name=settings.name,
        gossip=settings.gossip,
        state_dir=settings.state_dir,
        seeds=seeds,
        zone=settings.zone,
        levels=settings.levels,
        above=settings.above,
        host=settings.host,
        role=settings.role,
        timing=settings.timing,
        version=__version__,
        billing=Billing(day=settings.billing_day, zone=settings.billing_zone),
        attention=settings.attention,
        delivery=settings.deliver,
        otel=settings.otel,
        demo=extras.demo,
    )


async def _serve(
    node: Node, settings: Settings, told: _Told | None, left: trio.Event, nursery: trio.Nursery
) -> tuple[Running, str]:
    """Start view and local socket, and tell where they are: the fleet, and whoever looks into the state dir. Also a
    first link to the page."""
    keys = KeyFile(settings.state_dir)
    await trio.to_thread.run_sync(keys.local_key, rfc3339(time.time()))
    readers = Readers(node.keyring, keys, time.time)
    tls = _tls(settings)
    chronicle = Chronicle(node, time.time, settings.state_dir)
    nursery.start_soon(node.supervise, "events", chronicle.run)
    start = partial(
        serve,
        tls=tls,
        names=_names(settings),
        history=chronicle,
        intake=told.telemetry if told is not None else None,
        hooks=told.hooks if told is not None else None,
    )
    base_url: str = await nursery.start(start, node, readers, settings.http)
    node.advertise(_for_others(base_url, settings))

    def new_link() -> str:
        return f"{_for_others(base_url, settings)}/#code={readers.new_code()}"

    await nursery.start(partial(serve_admin, new_link=new_link), node, settings.state_dir, left)
    running = Running(node.name, base_url, str(node.address), os.getpid())
    write_json(settings.state_dir / RUNNING, running)
    point_to(default_state_base(), settings.state_dir)
    return running, new_link()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    from meshfleet.node.certificate import for_http  # 2 MB, which a node without it does not need

    return for_http(settings.tls, settings.state_dir, _names(settings), datetime.now(UTC))


def _names(settings: Settings) -> tuple[str, ...]:
    """Under which the view may be asked: on this machine, by the address it is bound to, as others know the machine."""
    bound, gossip = settings.http.host, settings.gossip.host
    names = ["localhost", "127.0.0.1", "::1", *settings.http_name]
    if not _is_loopback(bound):
        names += [name for name in (machine_name(), platform.node()) if HOST_NAME.fullmatch(name)]
        # Where all addresses are bound, of these the one by which the fleet knows the machine.
        names += [name for name in (bound, gossip) if not _is_unspecified(name)][:1]
    return tuple(dict.fromkeys(name.lower() for name in names if name))


def _for_others(base_url: str, settings: Settings) -> str:
    """The address that the fleet is told: where all are bound, by the name that others have for this machine."""
    if _is_loopback(settings.http.host) or not ip_address(settings.http.host).is_unspecified:
        return base_url
    name = (*settings.http_name, machine_name())[0]
    scheme, _, place = base_url.partition("://")
    return f"{scheme}://{Address(name, parse_address(place).port)}"


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        raise ConfigError(f"--http {host}: give an IP address of this machine, or 0.0.0.0 for all.") from None


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


async def _check_peers(settings: Settings) -> None:
    """Whether the names of peers can be resolved at all. A misspelt one is better told now than logged every minute."""
    for peer in settings.join:
        try:
            await trio.socket.getaddrinfo(peer.host, peer.port)
        except OSError as error:
            raise ConfigError(
                f"--join {peer}: {peer.host!r} can't be resolved ({error.strerror}). Check its spelling, or give its "
                "IP address."
            ) from error


def _open_sources(settings: Settings) -> tuple[Source, ...]:
    if not settings.find:
        return ()
    from meshfleet.cli.discovering import sources

    return sources(settings.find)


async def _discover(node: Node, opened: tuple[Source, ...]) -> None:
    from meshfleet.cli.discovering import discover

    await discover(node, opened)


async def _carry_agents(node: Node, settings: Settings, told: _Told | None, extras: Extras) -> None:
    """Publish what the agents of this machine do, and made-up ones if asked for."""
    async with trio.open_nursery() as nursery:
        if told is not None:
            nursery.start_soon(node.supervise, "runtimes", partial(_watch_agents, node, settings, told))
            nursery.start_soon(node.supervise, "accounts", told.hooks.run)
        if extras.sample:
            nursery.start_soon(node.supervise, "sample", partial(_make_up_agents, node, settings, extras.sample))


class _Told(NamedTuple):
    """Where runtimes tell of their sessions, and where they keep their files."""

    desk: Desk
    hooks: Hooks
    telemetry: Telemetry
    found: RuntimesSettings


def _told(node: Node, settings: Settings) -> _Told:
    from meshfleet.runtimes.desk import Desk
    from meshfleet.runtimes.hooks.intake import Hooks
    from meshfleet.runtimes.otlp.intake import Telemetry
    from meshfleet.runtimes.settings import find_runtimes

    found = find_runtimes(os.environ, Path.home())
    found = msgspec.structs.replace(
        found,
        exited_shown=settings.exited_shown,
        windows=settings.windows,
        opencode=found.opencode if settings.opencode is None else settings.opencode,
        ollama=found.ollama if settings.ollama is None else settings.ollama or None,
    )
    desk = Desk(node.counts)
    hooks = Hooks(desk, host=settings.host, counts=node.counts, wall=time.time, folders=found.claude_dirs)
    # `host.name` says which machine telemetry is from: this one has several names.
    telemetry = Telemetry(desk, {settings.host, machine_name(), platform.node()}, node.counts)
    return _Told(desk, hooks, telemetry, found)


async def _watch_agents(node: Node, settings: Settings, told: _Told) -> None:
    from meshfleet.node.hosting import Hosting
    from meshfleet.runtimes.machine import watch_machine

    await watch_machine(Hosting(node), host=settings.host, settings=told.found, counts=node.counts, desk=told.desk)


async def _make_up_agents(node: Node, settings: Settings, count: int) -> None:
    from meshfleet.node.hosting import MadeUp
    from meshfleet.runtimes.sample import sample_agents

    await sample_agents(MadeUp(node), host=settings.host, count=count)


async def _tell_what_was_found(node: Node) -> None:
    """Once the first look at the machine is over."""
    await trio.sleep(LOOK_AROUND)
    runtimes = Counter(agent.state.runtime for agent in node.own_agents())
    if runtimes:
        counted = ", ".join(f"{number} {runtime}" for runtime, number in sorted(runtimes.items()))
        print_plain(f"Agents here: {counted}.", flush=True)
    else:
        print_plain("No agents here yet; they are shown as soon as they do something.", flush=True)


async def _ask_with_stdin(asked: trio.Event) -> None:
    """End when standard input does: whoever started this holds its other end, and is gone."""
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        while await stdin.receive_some(4096):
            pass
    asked.set()


async def _seeds(settings: Settings) -> tuple[Address, ...]:
    """Where to join; with an invitation, the fleet is entered first, and joined through who invited."""
    if settings.invite is None:
        return settings.join
    invite = read_invite(settings.invite)
    await enter_once(RealNetwork(), invite, settings.name, settings.state_dir, time.time)
    return (*settings.join, *invite.where())


def log_to_stderr(level: LogLevel) -> None:
    """One line per event on standard error, from `level` on: time in UTC, level, part, what happened."""
    form = PlainFormatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(form)
    log = logging.getLogger("meshfleet")
    log.addHandler(stream)
    log.setLevel(level.upper())


def _introduce(running: Running, link: str, settings: Settings, extras: Extras) -> None:
    """What an operator wants to know first: where to look."""
    if extras.as_json:
        print_plain(msgspec.json.encode(running).decode(), flush=True)
        return
    print_plain(f"meshfleet {__version__}: node {running.name}")
    print_plain(f"  view    {link}")
    print_plain(f"  gossip  {running.gossip}")
    print_plain(f"  state   {settings.state_dir}")
    if settings.tls is not None:
        from meshfleet.node.certificate import fingerprint

        print_plain(f"  tls     {fingerprint(settings.state_dir / CERTIFICATE)}")
    print_plain("The link works once, within 5 minutes; `meshfleet link` makes another.")
    print_plain("Ctrl-C leaves the fleet; a second one ends at once.", flush=True)


if __name__ == "__main__":
    sys.exit(run_to_exit_code(lambda: run_up(*read_handover())))
