"""What is asked of the kernel for each stream."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.names import Address
from meshfleet.gossip.messages import Connect
from meshfleet.node.links import knock
from meshfleet.node.network import whose_error
from meshfleet.node.sockets import GIVEN_UP_S, RXT_CONNDROPTIME, RealNetwork, TcpStream

if TYPE_CHECKING:
    from meshfleet.node.network import Stream


@pytest.mark.trio
async def test_a_stream_into_silence_is_given_up_though_something_is_under_way() -> None:
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    async with await RealNetwork().dial(Address("127.0.0.1", port)) as stream, listener[0]:
        assert isinstance(stream, TcpStream)
        sock = stream._stream.socket
        asked = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if sys.platform == "darwin":
            given_up = sock.getsockopt(socket.IPPROTO_TCP, RXT_CONNDROPTIME)
        else:
            given_up = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
    assert asked
    assert given_up == GIVEN_UP_S


def _refuse_options(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """As XNU does, with EINVAL, once a peer's RST came: no Linux kernel can be brought to it."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with trio.socket.socket() as sock:
        monkeypatch.setattr(type(sock), "setsockopt", refuse)


@pytest.mark.trio
async def test_a_stream_whose_socket_takes_no_options_any_more_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        stream = await RealNetwork().dial(Address(*listener.socket.getsockname()))
        _refuse_options(monkeypatch, errno.EINVAL)
        await trio.aclose_forcefully(stream)
        assert stream._stream.socket.fileno() == -1


@pytest.mark.trio
async def test_who_resets_a_stream_before_it_is_looked_at_ends_no_dial_and_no_knock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    there = Address(*listener.socket.getsockname())
    _refuse_options(monkeypatch, errno.EINVAL)
    async with listener:
        assert await knock(RealNetwork(), there, trio.lowlevel.checkpoint) is Connect.ACCEPTED
        async with await RealNetwork().dial(there):
            pass


@pytest.mark.trio
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOBUFS])
async def test_a_listener_goes_on_where_a_stream_takes_no_options(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = RealNetwork()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            taken = trio.Event()

            async def accept(_stream: Stream, _source: Address) -> None:
                await trio.lowlevel.checkpoint()
                taken.set()

            there = await nursery.start(network.listen, Address("127.0.0.1", 0), accept)
            with monkeypatch.context() as patched:
                _refuse_options(patched, number)
                async with await trio.open_tcp_stream(*there) as stream:
                    assert await stream.receive_some() == b""
            assert taken.is_set() == (number == errno.EINVAL)
            async with await trio.open_tcp_stream(*there):
                await taken.wait()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("number", "whose"),
    [
        (errno.ECONNREFUSED, Connect.REFUSED),
        (errno.EHOSTUNREACH, Connect.NO_ROUTE),
        (errno.ETIMEDOUT, Connect.SILENT),
        (errno.ENETDOWN, Connect.OWN_ERROR),
        (errno.EMFILE, Connect.OWN_ERROR),
        (errno.ENFILE, Connect.OWN_ERROR),
    ],
)
def test_an_error_speaks_about_whom_it_is_of(number: int, whose: Connect) -> None:
    assert whose_error(OSError(number, "")) is whose
