"""What is asked of the kernel for each stream."""

from __future__ import annotations

import socket
import sys

import pytest
import trio

from meshfleet.fleet.names import Address
from meshfleet.node.sockets import GIVEN_UP_S, RXT_CONNDROPTIME, RealNetwork, TcpStream


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
