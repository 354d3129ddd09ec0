"""`/v1/fleet/ws`: the same stream over a WebSocket, in JSON or CBOR.

Each message is `{"event": "snapshot"|"update"|"alive", "id": …, "data": …}`, as the events of `/v1/fleet/events` are.
What the client says is read and dropped: nothing that reads can command.

A browser can't set the Authorization header of a WebSocket, and a URL ends up in histories. So the token may come as
one of the offered subprotocols, `bearer.TOKEN`, which is never the one that is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.serve.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from meshfleet.serve.gate import Client
    from meshfleet.serve.stream import Broadcast, Follower, Told

JSON_PROTOCOL = "meshfleet.v1.json"
CBOR_PROTOCOL = "meshfleet.v1.cbor"

GOING_AWAY = 1001
"""RFC 6455, section 7.4.1: the node ends."""

NORMAL = 1000


class Sockets:
    """Answers WebSockets from a broadcast."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._cbor: tuple[Told | None, bytes] = (None, b"")

    async def plain(self, _request: Request) -> Response:
        """`GET /v1/fleet/ws` without the upgrade."""
        raise Refusal(
            426,
            f"This is a WebSocket: ask with Upgrade: websocket, and {JSON_PROTOCOL} or {CBOR_PROTOCOL} as subprotocol. "
            "GET /v1/fleet/events gives the same as server-sent events.",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )

    async def answer(self, socket: WebSocket, client: Client) -> None:
        """One WebSocket, until either side or its reader's session ends. Refusal before it is accepted."""
        offered = socket.scope["subprotocols"]
        known = [protocol for protocol in offered if protocol in (JSON_PROTOCOL, CBOR_PROTOCOL)]
        if not known and any(not protocol.startswith("bearer.") for protocol in offered):
            raise Refusal(400, f"None of these subprotocols is known here. Offer {JSON_PROTOCOL} or {CBOR_PROTOCOL}.")
        in_cbor = known[:1] == [CBOR_PROTOCOL]
        with self._broadcast.follow(client.name, socket.query_params.get("since"), client.holds) as follower:
            await socket.accept(subprotocol=known[0] if known else None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, socket, nursery.cancel_scope)
                code = await self._tell(socket, follower, in_cbor, client.seconds)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                    await socket.close(code, "the node ends" if code == GOING_AWAY else "the session is over")

    async def _tell(self, socket: WebSocket, follower: Follower, in_cbor: bool, seconds: float) -> int:
        """Send until there is nothing more to send; the code to close with."""
        told: Told | None = follower.first
        end = trio.current_time() + seconds
        while True:
            if in_cbor:
                await socket.send_bytes(self._as_cbor(told))
            else:
                await socket.send_text(_as_json(told).decode())
            with trio.move_on_at(end) as session:
                try:
                    told = await follower.next()
                except trio.EndOfChannel:
                    return NORMAL if follower.over else GOING_AWAY
            if session.cancelled_caught:
                return NORMAL

    def _as_cbor(self, told: Told | None) -> bytes:
        """Encoded once for all that are told the same."""
        if told is None or self._cbor[0] is not told:
            self._cbor = (told, _dumps()(msgspec.json.decode(_as_json(told))))
        return self._cbor[1]


def _as_json(told: Told | None) -> bytes:
    if told is None:
        return b'{"event":"alive"}'
    return b'{"event":"%b","id":"%b","data":%b}' % (told.event.encode(), told.id.encode(), told.data)


def _dumps() -> Callable[[object], bytes]:
    from cbor2 import dumps  # who reads JSON does not pay for it

    return dumps


async def _until_gone(socket: WebSocket, all_of_it: trio.CancelScope) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    all_of_it.cancel()
