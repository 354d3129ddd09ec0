"""What is wrong with a node itself, whatever the paths to others are like: how it stands, its disk, its place in the
fleet. A part of `fleet.doctoring`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.fleet.findings import Ailment, Finding
from meshfleet.fleet.notice import Severity
from meshfleet.fleet.standing import Standing

if TYPE_CHECKING:
    from meshfleet.fleet.findings import Seen

_MEANS = {
    Standing.ISOLATED: (
        "it hears nobody, and what it shows of others is old",
        "Look at this machine's own network: address, cable, VPN, firewall. If others hear each other, ask there: "
        "`meshfleet why {node}`, and `meshfleet keys list` says whether it was thrown out of the fleet.",
    ),
    Standing.PARTITIONED: (
        "half of the fleet or more fell silent together, and what it shows of them is old",
        "Look at the network between this node and those that are named. `meshfleet doctor` on one of them says more.",
    ),
    Standing.SPLIT: (
        "others fell silent together, and this node is with the majority",
        "Look at the network between this node and those that are named. `meshfleet doctor` on one of them says more.",
    ),
    Standing.DEGRADED: (
        "it or its network is too slow for what it is to see in time",
        "Give this machine, or the container, more of the processor; over slow links start all nodes with "
        "`--timing wan`.",
    ),
    Standing.RESUMING: (
        "its clock jumped or its process stood still, and all ages begin anew",
        "Wait for one heartbeat interval and ask again. If it is so often: something stops this machine or process.",
    ),
}


def of_itself(seen: Seen) -> list[Finding]:
    """What is wrong with the node, if anything."""
    return [*_revoked(seen), *_disk(seen), *_standing(seen)]


def _standing(seen: Seen) -> list[Finding]:
    if seen.standing is Standing.CONNECTED:
        return []
    means, do = _MEANS[seen.standing]
    return [
        Finding(
            what=Ailment.STANDING,
            severity=Severity.WARNING,
            text=f"{seen.node} is {seen.standing.value}: {means}.",
            evidence=seen.reasons,
            do=do.format(node=seen.node),
        )
    ]


def _disk(seen: Seen) -> list[Finding]:
    if not seen.unwritten:
        return []
    return [
        Finding(
            what=Ailment.DISK,
            severity=Severity.CRITICAL,
            text=f"The state dir of {seen.node} can't be written. It goes on; what is new, costs too, "
            "is lost when it ends.",
            evidence=seen.unwritten,
            do="Make room on that disk, or let the node's user write there. It is tried again by itself.",
        )
    ]


def _revoked(seen: Seen) -> list[Finding]:
    if not seen.revoked:
        return []
    return [
        Finding(
            what=Ailment.REVOKED,
            severity=Severity.CRITICAL,
            text=f"{seen.node} was thrown out of its fleet by the owner: nobody listens to it any more.",
            evidence=("this node was told so by the fleet, with the authority's signature",),
            do="Stop it. If this machine is to come back: remove its state dir, and let it in anew under another name, "
            "by `meshfleet invite`.",
        )
    ]
