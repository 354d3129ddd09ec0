"""Datagrams by way of a relay: sealed for whom they are meant, passed on as they are, opened there.

A relay sees who sends how much to whom, as any router does. It has the fleet's key, like every member, so it could open
what it passes on; it can no more forge or alter what others sign than any member can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshfleet.gossip.messages import Packet, Relay, Via
from meshfleet.gossip.orders import SendPacket
from meshfleet.wire.seal import FRAME_LIMIT

if TYPE_CHECKING:
    from meshfleet.node.driver import Driver

SEALED_LIMIT = FRAME_LIMIT - 5_536
"""Bytes of a datagram that is passed on by stream: a frame of the core's, sealed, with room for the frame around it."""


class Relaying:
    """The bytes of it. Whether and how much is passed on, `gossip.ways` decides."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def send(self, out: SendPacket) -> None:
        """Send by the relay that `out` names."""
        assert out.to is not None
        assert out.relay is not None
        sealed = self._driver.seal(out.messages, SEALED_LIMIT)
        if sealed is not None:
            self._driver.send(SendPacket(out.host, out.port, out.relay, out.via, (Relay(out.to, sealed),), out.size))

    def without(self, packet: Packet, via: Via, now: float) -> Packet:
        """Pass on what is for others, open what was passed on to me; the packet without either."""
        driver, member = self._driver, self._driver.member
        for message in packet.messages:
            if not isinstance(message, Relay):
                continue
            if message.to != member.name:
                record = member.ways.passes_on(message.to, len(message.sealed), member.listening.at(now))
                if record is not None:
                    driver.links.send(record.name, record.address, (message,))
            elif via is Via.STREAM and packet.source in member.membership.me.info.relays:
                self._open(message.sealed)
            else:
                driver.count("stray_relay")
        rest = tuple([message for message in packet.messages if not isinstance(message, Relay)])
        return msgspec.structs.replace(packet, messages=rest)

    def _open(self, sealed: bytes) -> None:
        """Worth what a datagram is that came by itself, and answered where its sender says that it listens. One within
        another is nobody's."""
        packet = self._driver.opened(sealed, SEALED_LIMIT)
        if packet is None:
            return
        record = self._driver.member.roster.get(packet.source)
        if record is None or any(isinstance(message, Relay) for message in packet.messages):
            self._driver.count("stray_relay")
            return
        self._driver.receive(packet, record.address, Via.RELAY)
