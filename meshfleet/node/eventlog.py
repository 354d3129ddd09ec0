"""What a member's events look like in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.gossip.events import CastOut, Event, Joined, Judged, NameTaken, Paced, Relayed, Stands
from meshfleet.logs import get_logger

if TYPE_CHECKING:
    from meshfleet.fleet.names import NodeName

log = get_logger("meshfleet.node")


def write(event: Event, me: NodeName, epoch: int) -> None:
    """A line, for those events that an operator wants to look up later. `epoch`: when this life began, in Unix
    milliseconds: who was thrown out before that is no news, though each life hears of it again."""
    match event:
        case Relayed(relays):
            log.info("relays", names=",".join(relays) or "none")
        case Paced(stretch) if stretch > 1.0:
            log.warning("the fleet says too much: snapshots of agents here go less often", times=round(stretch, 1))
        case Paced():
            log.info("snapshots go as often as usual")
        case Joined():
            log.info("introduced", node=event.name)
        case Judged():
            log.info("judged", node=event.name, epoch=event.epoch, now=event.verdict.presence.value,
                     certainty=event.verdict.certainty and event.verdict.certainty.value,
                     because=event.verdict.reasons[:1])  # fmt: skip
        case Stands():
            log.info("standing", now=event.now.standing.value, because=event.now.reasons[:1])
        case NameTaken():
            log.error("another process speaks under this node's name; rename one of them", name=me, at=event.where)
        case CastOut() if event.revoked.name == me:
            log.error("this node was thrown out of its fleet by the owner; nobody listens to it any more")
        case CastOut(revoked) if revoked.at_ms < epoch:
            log.info("thrown out by the fleet's owner, before this start", node=revoked.name)
        case CastOut():
            log.warning("thrown out by the fleet's owner", node=event.revoked.name)
        case _:
            pass
