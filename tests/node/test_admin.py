"""The local socket: who can open it, what it does, and that nothing that comes in ends the node."""

from __future__ import annotations

import json
import os
import resource
import stat
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.errors import ConfigError, JoinError, StateDirError
from meshfleet.fleet.names import Address, Epoch, NodeName
from meshfleet.fleet.standing import Standing
from meshfleet.fleet.view import Health
from meshfleet.node.admin import CONNECTIONS_LIMIT, IDLE_SECONDS, LINE_LIMIT, SOCKET, serve_admin, short_path
from meshfleet.node.diagnosis import Diagnosis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from meshfleet.node.office import Office

PEER = Address("127.0.0.1", 7878)


class Recorder:
    """Something that can be administered, and remembers how it was."""

    name = NodeName("n1")

    def __init__(self) -> None:
        self.done: list[object] = []

    @property
    def office(self) -> Office:
        raise AssertionError("tests/node/test_trust.py asks the real one")

    def health(self) -> Health:
        return Health(node=self.name, epoch=Epoch(7), heartbeat=3, standing=Standing.CONNECTED, version="0")

    async def examine(self, *, tries: bool = True) -> Diagnosis:
        return Diagnosis(node=self.name, standing=Standing.CONNECTED, reasons=(), drops={"fault": 1}, forgeries=())

    async def join(self, address: Address) -> NodeName:
        if address != PEER:
            raise JoinError(f"{address}: connection refused.")
        self.done.append(("join", address))
        return NodeName("n2")

    async def leave(self) -> None:
        self.done.append("leave")

    def forget(self, name: NodeName) -> None:
        if name == "fresh":
            raise ConfigError("fresh is there.")
        if name == "bug":
            raise RuntimeError("a mistake of ours")
        self.done.append(("forget", name))

    def block(self, names: Sequence[NodeName]) -> None:
        self.done.append(("block", list(names)))

    def unblock(self) -> None:
        self.done.append("unblock")


@asynccontextmanager
async def administered(folder: Path) -> AsyncIterator[tuple[Recorder, trio.Event]]:
    node, left = Recorder(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_admin, node, folder, left)
        yield node, left
        nursery.cancel_scope.cancel()


async def connect(folder: Path) -> trio.SocketStream:
    with short_path(folder / SOCKET) as path:
        return await trio.open_unix_socket(path)


async def read_line(stream: trio.SocketStream) -> dict[str, object] | None:
    """The next reply; None where the other side ended the conversation."""
    line = b""
    with trio.fail_after(10):
        while not line.endswith(b"\n"):
            byte = await stream.receive_some(1)
            if not byte:
                return None
            line += byte
    reply = json.loads(line)
    assert isinstance(reply, dict)
    return reply


async def ask(folder: Path, line: str) -> dict[str, object] | None:
    async with await connect(folder) as stream:
        await stream.send_all(line.encode() + b"\n")
        return await read_line(stream)


async def test_each_operation_reaches_the_node(tmp_path: Path) -> None:
    async with administered(tmp_path) as (node, left):
        assert await ask(tmp_path, '{"op": "join", "address": "127.0.0.1:7878"}') == {"ok": True, "name": "n2"}
        assert await ask(tmp_path, '{"op": "forget", "name": "n9"}') == {"ok": True}
        assert await ask(tmp_path, '{"op": "block", "names": ["n2", "n3"]}') == {"ok": True}
        assert await ask(tmp_path, '{"op": "unblock"}') == {"ok": True}
        assert node.done == [("join", PEER), ("forget", "n9"), ("block", ["n2", "n3"]), "unblock"]
        assert not left.is_set()


async def test_status_tells_what_health_tells(tmp_path: Path) -> None:
    async with administered(tmp_path):
        reply = await ask(tmp_path, '{"op": "status"}')
    health = {"node": "n1", "epoch": 7, "heartbeat": 3, "standing": "connected", "version": "0"}
    assert reply == {"ok": True, "name": "n1", "health": health}


async def test_a_link_is_made_where_a_page_is_served(tmp_path: Path) -> None:
    async with administered(tmp_path):
        assert await ask(tmp_path, '{"op": "link"}') == {"ok": False, "error": "this node serves no page."}
    async with trio.open_nursery() as nursery:
        start = partial(serve_admin, new_link=lambda: "http://127.0.0.1:7879/#code=abc")
        await nursery.start(start, Recorder(), tmp_path, trio.Event())
        assert await ask(tmp_path, '{"op": "link"}') == {"ok": True, "link": "http://127.0.0.1:7879/#code=abc"}
        nursery.cancel_scope.cancel()


async def test_who_asks_to_leave_hears_of_it_before_the_end(tmp_path: Path) -> None:
    async with administered(tmp_path) as (node, left):
        assert await ask(tmp_path, '{"op": "leave"}') == {"ok": True}
        with trio.fail_after(10):
            await left.wait()
        assert node.done == ["leave"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hello", "not a request: "),
        ("", "not a request: "),
        ("[]", "not a request: "),
        ('{"op": "shutdown"}', "not a request: "),
        ('{"op": "forget"}', "not a request: "),
        ('{"op": "forget", "name": 3}', "not a request: "),
        ('{"op": "forget", "name": "n1", "force": true}', "not a request: "),
        ('{"op": "forget", "name": "a b"}', "not a valid node name"),
        ('{"op": "forget", "name": "fresh"}', "fresh is there."),
        ('{"op": "join", "address": "127.0.0.1"}', "lacks a port"),
        ('{"op": "join", "address": "127.0.0.1:9"}', "127.0.0.1:9: connection refused."),
    ],
)
async def test_what_cannot_be_done_is_answered_with_the_reason(tmp_path: Path, line: str, said: str) -> None:
    async with administered(tmp_path) as (node, _):
        reply = await ask(tmp_path, line)
        assert reply is not None
        assert reply["ok"] is False
        assert said in str(reply["error"])
        assert node.done == []


async def test_several_requests_go_over_one_connection(tmp_path: Path) -> None:
    async with administered(tmp_path), await connect(tmp_path) as stream:
        await stream.send_all(b'{"op": "unblock"}\nnonsense\n{"op": "unb')
        assert await read_line(stream) == {"ok": True}
        refused = await read_line(stream)
        assert refused is not None
        assert refused["ok"] is False
        await stream.send_all(b'lock"}\n')
        assert await read_line(stream) == {"ok": True}


async def test_an_endless_line_is_refused_and_costs_no_more_than_its_bound(tmp_path: Path) -> None:
    async with administered(tmp_path):
        async with await connect(tmp_path) as stream:
            await stream.send_all(b"x" * (LINE_LIMIT + 1))
            reply = await read_line(stream)
            assert reply is not None
            assert f"at most {LINE_LIMIT} bytes" in str(reply["error"])
            assert await read_line(stream) is None
        assert await ask(tmp_path, '{"op": "unblock"}') == {"ok": True}


async def test_a_mistake_of_ours_ends_the_conversation_and_not_the_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with administered(tmp_path):
        assert await ask(tmp_path, '{"op": "forget", "name": "bug"}') is None
        assert await ask(tmp_path, '{"op": "unblock"}') == {"ok": True}
    assert "a request on the local socket failed" in caplog.text


async def test_bytes_that_are_no_text_are_answered(tmp_path: Path) -> None:
    async with administered(tmp_path), await connect(tmp_path) as stream:
        await stream.send_all(b"\xff\xfe\x00\n")
        reply = await read_line(stream)
        assert reply is not None
        assert reply["ok"] is False


async def test_whoever_says_nothing_is_sent_away_so_that_the_owner_gets_in(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with administered(tmp_path):
        silent = [await connect(tmp_path) for _ in range(CONNECTIONS_LIMIT)]
        began = trio.current_time()
        async with await connect(tmp_path) as owner:
            await owner.send_all(b'{"op": "unblock"}\n')
            assert await owner.receive_some(100) == b'{"ok":true}\n'
        assert trio.current_time() - began >= IDLE_SECONDS
        for stream in silent:
            await stream.aclose()


@contextmanager
def no_file_left() -> Iterator[None]:
    """This process may open nothing more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 1, limits[1]))
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in opened:
            os.close(each)


async def test_where_no_file_is_left_for_a_connection_it_waits_and_the_node_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with administered(tmp_path):
        with trio.socket.socket(trio.socket.AF_UNIX) as ours, short_path(tmp_path / SOCKET) as path:
            with no_file_left():
                await ours.connect(path)
                await ours.send(b'{"op": "unblock"}\n')
                with trio.fail_after(10):
                    while "nobody can be let in at the local socket" not in caplog.text:
                        await trio.lowlevel.checkpoint()
            with trio.fail_after(10):
                assert await ours.recv(100) == b'{"ok":true}\n'


async def test_only_the_owner_can_open_the_socket(tmp_path: Path) -> None:
    async with administered(tmp_path):
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600
    assert not (tmp_path / SOCKET).exists()


async def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    async with administered(tmp_path):
        (tmp_path / SOCKET).rename(tmp_path / "left")
    (tmp_path / "left").rename(tmp_path / SOCKET)
    async with administered(tmp_path):
        assert await ask(tmp_path, '{"op": "unblock"}') == {"ok": True}


async def test_a_state_dir_may_have_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with administered(deep):
        assert await ask(deep, '{"op": "unblock"}') == {"ok": True}


async def test_a_state_dir_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match=r"admin\.sock can't be made: No such file"):
        await serve_admin(Recorder(), tmp_path / "none", trio.Event())


async def test_the_doctor_tells_what_was_dropped_and_who_forged(tmp_path: Path) -> None:
    async with administered(tmp_path):
        reply = await ask(tmp_path, '{"op": "doctor"}')
    told = {"node": "n1", "standing": "connected", "reasons": [], "drops": {"fault": 1}, "forgeries": []}
    assert reply == {
        "ok": True,
        "diagnosis": {**told, "exports": None, "sources": [], "peers": 0, "tested": [], "findings": []},
    }
