"""Who listens at an address that two names tell.

A container's address, or a fixed port, is another node's once its last holder died. That node's kernel accepts whatever
is meant for the dead, which says nothing of the dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.names import Address

if TYPE_CHECKING:
    from meshfleet.gossip.messages import NodeInfo
    from meshfleet.gossip.record import Record
    from meshfleet.gossip.roster import Roster


class Addresses:
    """Whether a connection that is accepted at a member's address was accepted by that member's kernel."""

    def __init__(self, roster: Roster, me: NodeInfo) -> None:
        self._roster = roster
        self._holders: dict[Address, Record] | None = None
        self.listen(me)

    def listen(self, me: NodeInfo) -> None:
        """I listen where `me` says."""
        self._mine = Address(me.gossip_host, me.gossip_port)

    def look_anew(self) -> None:
        """Members may have come, gone or moved: at each review, for it takes a look at all of them."""
        self._holders = None

    def are_anothers(self, record: Record) -> bool:
        """Whether somebody else listens where that member says that it does.

        It is I; or a stream that was meant for it met another, by its certificate, after the last word of it; or
        another member names the same address and is heard from there, later than it. To name it is not enough: then
        any member could take away what keeps a stopped one from being presumed dead.
        """
        if record.address == self._mine:
            return True
        usurped = record.life.usurped
        if usurped is not None and usurped[0] == record.address and usurped[1] > record.heard_at:
            return True
        if self._holders is None:
            self._holders = self._all_holders()
        return self._holders.get(record.address, record) is not record

    def _all_holders(self) -> dict[Address, Record]:
        """Of each address from which datagrams come: whose came last, if it can be reached there by all."""
        holders: dict[Address, Record] = {}
        for record in self._roster.hopeful:
            if record.delivery.source != record.address or record.info.relays:
                continue
            holder = holders.setdefault(record.address, record)
            if record.delivery.received_at > holder.delivery.received_at:
                holders[record.address] = record
        return holders
