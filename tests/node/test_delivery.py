"""Delivered once for the fleet, by whoever's turn it is, and by the next where that one goes. Real nodes."""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError
from meshfleet.fleet import telling
from meshfleet.fleet.attention import Rules
from meshfleet.fleet.notice import Notice, Severity
from meshfleet.fleet.state import Status
from meshfleet.fleet.telling import Teller, Told, place, short
from meshfleet.node import delivering
from meshfleet.node.config import check
from meshfleet.node.delivering import read
from meshfleet.node.delivery import Delivery, check_delivery
from meshfleet.node.opening import open_node
from meshfleet.node.sending import Delivered, delivered, send
from meshfleet.node.trust import seeded
from meshfleet.wire import cbor
from meshfleet.wire.accounts import NOTICES
from tests.node.meshing import FLEET, config, counted, notes, see, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meshfleet.node.config import NodeConfig
    from meshfleet.node.node import Node

PATIENCE = 60.0
APPEND = "import os, sys; f = open(sys.argv[1], 'ab'); f.write(sys.stdin.buffer.read()); f.close()"


def writes_to(path: Path) -> Delivery:
    """Delivers by a command that appends to a file."""
    return Delivery(command=(sys.executable, "-c", APPEND, str(path)))


def told(path: Path) -> list[Delivered]:
    """What was delivered of agents: on a machine that has much to do a node may be silent for a moment, too."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [each for line in lines if "/" in (each := msgspec.json.decode(line, type=Delivered)).subject]


def delivers(name: str, path: Path, *seeds: Node, **more: object) -> NodeConfig:
    plain = config(name, *(seed.address for seed in seeds))
    return msgspec.structs.replace(plain, delivery=writes_to(path), **more)


async def told_by(path: Path, count: int, node: Node) -> list[Delivered]:
    """Until so many were delivered."""
    while len(told(path)) < count:
        await node.changed(node.version())
    return told(path)


def quick(*nodes: Node) -> None:
    for node in nodes:
        node.heeding.every = 0.1


async def passes(node: Node, seconds: float) -> None:
    """While `node` goes on for so long."""
    with trio.move_on_after(seconds):
        while True:
            await node.changed(node.version())


async def test_of_two_nodes_that_are_set_up_one_delivers_and_when_it_is_killed_the_other_does(tmp_path: Path) -> None:
    log = tmp_path / "told"
    with trio.fail_after(PATIENCE):
        async with open_node(config("n3")) as n3, trio.open_nursery() as nursery:
            nodes: dict[str, tuple[Node, trio.CancelScope]] = {}
            for name in ("n1", "n2"):
                nodes[name] = await nursery.start(_live, delivers(name, log, n3))
            n1, n2 = (node for node, _ in nodes.values())
            quick(n1, n2)
            for node in (n1, n2, n3):
                await see(node, 3)
            n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
            (first,) = await told_by(log, 1, n3)
            assert (first.event, first.rule, first.subject) == ("raised", "error", "n3/a")
            await passes(n3, 5 * n1.member.timing.heartbeat)
            assert len(told(log)) == 1, "once for the fleet, however long it lasts"

            nodes[first.told_by][1].cancel()  # without a goodbye
            other = next(node for name, (node, _) in nodes.items() if name != first.told_by)
            n3.publish(state("n3/b", note="stuck", status=Status.ERROR))
            later = await told_by(log, 2, n3)
            assert [(each.told_by, each.subject) for each in later[1:]] == [(other.name, "n3/b")]
            nursery.cancel_scope.cancel()


async def _live(config: NodeConfig, *, task_status: trio.TaskStatus[tuple[Node, trio.CancelScope]]) -> None:
    with trio.CancelScope() as scope:
        async with open_node(config) as node:
            task_status.started((node, scope))
            await trio.sleep_forever()


async def test_the_next_in_turn_delivers_what_the_first_does_not(tmp_path: Path) -> None:
    log = tmp_path / "told"
    with trio.fail_after(PATIENCE):
        async with open_node(config("n3")) as n3:
            fails = Delivery(command=(sys.executable, "-c", "raise SystemExit(3)"))
            first, second = _in_turn("error:n3/a")
            async with (
                open_node(msgspec.structs.replace(delivers(first, log, n3), delivery=fails)) as bad,
                open_node(delivers(second, log, n3)) as good,
            ):
                quick(bad, good)
                for node in (bad, good, n3):
                    await see(node, 3)
                n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
                (only,) = await told_by(log, 1, n3)
                assert only.told_by == second
                assert bad.counters()["failed_command"] >= 1
                assert bad.counters().get("fault", 0) == 0


@asynccontextmanager
async def beside_a_liar(honest: str, liar: str, log: Path) -> AsyncIterator[tuple[Node, Node]]:
    """A node that delivers, which believes an observer to be set up, too, and to have told all that can be guessed;
    and one with an agent."""
    observer = seeded(FLEET, liar, time.time(), role="observer")
    async with (
        open_node(config("n3")) as n3,
        open_node(msgspec.structs.replace(config(liar, n3.address), identity=observer)) as turned,
        open_node(delivers(honest, log, n3)) as good,
    ):
        quick(good)
        for node in (n3, turned, good):
            await see(node, 3)
        claims = [
            [short(key), severity, int(time.time())] for key in ("error:n3/a", "error:n3/b") for severity in (2, 99)
        ]
        turned.tell_beside(NOTICES, cbor.dump([1, claims]))
        assert good.heeding._delivering is not None
        while not any(teller.told for teller in good.heeding._delivering._tellers()):
            await good.changed(good.version())
        yield good, n3


async def test_an_observer_that_claims_to_have_told_it_silences_nobody_who_comes_before_it(tmp_path: Path) -> None:
    log = tmp_path / "told"
    honest, liar = _in_turn("error:n3/a")
    with trio.fail_after(PATIENCE):
        async with beside_a_liar(honest, liar, log) as (_, n3):
            n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
            (only,) = await told_by(log, 1, n3)
            assert only.told_by == honest


async def test_an_observer_that_claims_to_have_told_it_and_comes_first_holds_it_back_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "told"
    liar, honest = _in_turn("error:n3/a")
    with trio.fail_after(PATIENCE):
        async with beside_a_liar(honest, liar, log) as (good, n3):
            n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
            await notes(good, "n3/a", "stuck")
            await passes(n3, 5 * good.member.timing.heartbeat)
            assert told(log) == []
            monkeypatch.setattr(telling, "HELD", 0.1)  # an hour later
            (only,) = await told_by(log, 1, n3)
            assert only.told_by == honest


async def test_who_failed_too_often_tries_again_though_others_claim_to_be_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "RETRY", 0.1)
    monkeypatch.setattr(delivering, "HELD", 0.5)
    monkeypatch.setattr(telling, "HELD", 0.5)
    log, honest, liar = tmp_path / "not there yet" / "told", *_in_turn("error:n3/a")
    with trio.fail_after(PATIENCE):
        async with beside_a_liar(honest, liar, log) as (good, n3):
            n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
            await counted(good, "failed_command", delivering.TRIES)
            log.parent.mkdir()
            (only,) = await told_by(log, 1, n3)
            assert only.told_by == honest


def test_what_is_told_as_more_severe_than_anything_is_counts_for_nothing() -> None:
    assert read(cbor.dump([1, [[b"8 bytes.", 2, 7], [b"another.", 3, 7]]])) == {b"8 bytes.": Told(2, 7)}


def _in_turn(key: str) -> tuple[str, str]:
    notice = Notice(rule="", severity=Severity.WARNING, subject="", since="", text="", key=key)
    tellers = [Teller(name, True, {}) for name in ("n1", "n2")]
    return ("n1", "n2") if place(notice, "n1", tellers) == 0 else ("n2", "n1")


async def test_more_that_is_open_than_is_said_to_be_told_is_delivered_once_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "told"
    monkeypatch.setattr(delivering, "SAID", 1)
    with trio.fail_after(PATIENCE):
        async with open_node(delivers("n1", log)) as n1:
            quick(n1)
            for agent in ("n1/a", "n1/b", "n1/c"):
                n1.publish(state(agent, note="stuck", status=Status.ERROR))
            await told_by(log, 3, n1)
            await passes(n1, 3 * n1.member.timing.heartbeat)
            assert sorted(each.subject for each in told(log)) == ["n1/a", "n1/b", "n1/c"]
            said = n1.member.replica.shelf(n1.name)
            assert said is not None
            assert len(read(said.held[NOTICES].body)) == 1  # type: ignore[index]  # no agent's id


async def test_after_a_restart_nothing_is_delivered_again(tmp_path: Path) -> None:
    log, with_state = tmp_path / "told", {"state_dir": tmp_path / "n1"}
    with trio.fail_after(PATIENCE):
        async with open_node(config("n3")) as n3:
            n3.publish(state("n3/a", note="stuck", status=Status.ERROR))
            async with open_node(delivers("n1", log, n3, **with_state)) as n1:
                quick(n1)
                await told_by(log, 1, n3)
                while not (tmp_path / "n1" / "told.json").exists():
                    await trio.lowlevel.checkpoint()
            async with open_node(delivers("n1", log, n3, **with_state)) as n1:
                quick(n1)
                await notes(n1, "n3/a", "stuck")
                await passes(n3, 3 * n1.member.timing.heartbeat)
                assert [each.subject for each in told(log)] == ["n3/a"]


async def test_what_is_less_severe_than_wanted_and_what_is_off_is_not_delivered(tmp_path: Path) -> None:
    log = tmp_path / "told"
    with trio.fail_after(PATIENCE):
        async with open_node(delivers("n1", log, attention=Rules(off=("error", "standing")))) as n1:
            quick(n1)
            n1.publish(state("n1/a", status=Status.ERROR))
            n1.publish(msgspec.structs.replace(state("n1/b", status=Status.WAITING), timestamp="now"))
            while not n1.fleet().attention:
                await n1.changed(n1.version())
            await passes(n1, 3 * n1.member.timing.heartbeat)
            assert [notice.key for notice in n1.fleet().attention] == ["waiting:n1/b"]
            assert told(log) == []


NOTICE = Notice(
    rule="error",
    severity=Severity.WARNING,
    subject="n1/a",
    since="2026-11-25T00:00:00.000Z",
    text="-x",
    key="error:n1/a",
)


async def test_a_webhook_gets_the_notice_as_json_and_its_address_is_in_no_message() -> None:
    pytest.importorskip("httpx")
    got = bytearray()

    async def answer(stream: trio.SocketStream) -> None:
        while b"}" not in got:
            got.extend(await stream.receive_some(4096))
        status = b"204 No Content" if b"/ok" in got else b"500 No"
        await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            ok = Delivery(webhook=f"http://127.0.0.1:{port}/ok")
            assert await send("webhook", ok, delivered(NOTICE, "n1")) is None
            body = bytes(got).partition(b"\r\n\r\n")[2]
            assert msgspec.json.decode(body, type=Delivered) == delivered(NOTICE, "n1")
            got.clear()
            bad = Delivery(webhook=f"http://127.0.0.1:{port}/secret")
            assert await send("webhook", bad, delivered(NOTICE, "n1")) == "it answered 500"
            nursery.cancel_scope.cancel()
        gone = Delivery(webhook=f"http://127.0.0.1:{port}/secret")
        why = await send("webhook", gone, delivered(NOTICE, "n1"))
        assert why is not None
        assert "secret" not in why


async def test_a_command_that_hangs_is_ended(autojump_clock: trio.testing.MockClock) -> None:
    hangs = Delivery(command=(sys.executable, "-c", "import time; time.sleep(600)"))
    assert await send("command", hangs, delivered(NOTICE, "n1")) == "nothing came of it within 10 s"


async def test_a_program_that_is_not_there_is_told_without_more() -> None:
    assert await send("command", Delivery(command=("/no/such/program",)), delivered(NOTICE, "n1"))


@pytest.mark.parametrize(
    ("delivery", "why"),
    [
        (Delivery(command=("no-such-program-anywhere",)), "no program"),
        (Delivery(webhook="ftp://user:secret@example.org/"), "This is none"),
    ],
)
def test_what_can_not_work_is_refused_at_the_start(delivery: Delivery, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        check_delivery(delivery)
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigError, match=why):
        check(msgspec.structs.replace(config("n1"), delivery=delivery))
