"""The detectors that meshfleet is compared with: SWIM, and Lifeguard, both as memberlist has them.

They run on the same member, with the same messages, of which they use SWIM's: pings, helpers, suspicions, refutations,
deaths. A suspicion that ran out means down; who finds so tells everybody, and all believe it until the member itself
refutes it. Members are probed in turn and never beside it. After a stop of one's own timers run first, then what came
meanwhile is read. Ages, groups, kernels' answers, witnesses, sleep, errors of one's own and one's own standing are
not looked at.

The one differs from the other by what the Lifeguard paper (arXiv 1707.00788) adds: a local health score, a suspicion
that begins long and shrinks with confirmations, and the buddy system. docs/simulator.md says where both differ from
memberlist.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import msgspec

from meshfleet.fleet.presence import Certainty, Presence, Verdict
from meshfleet.gossip.messages import Nack, Trouble
from meshfleet.gossip.prober import Prober
from meshfleet.gossip.rules import MESHFLEET, Rules
from meshfleet.gossip.suspicion import shortest

if TYPE_CHECKING:
    from meshfleet.fleet.evidence import Evidence
    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.fleet.standing import Standing
    from meshfleet.fleet.timing import Timing
    from meshfleet.gossip.messages import Ping, Via
    from meshfleet.gossip.record import Record


def suspicion_means_down(evidence: Evidence, standing: Standing, timing: Timing) -> Verdict:
    """Down when the suspicion has run out, here or with anybody else, and not before."""
    if evidence.goodbye is not None:
        return Verdict(Presence.LEFT, (evidence.goodbye.detail,))
    if evidence.ended is not None:
        return Verdict(Presence.DOWN, (evidence.ended.detail,), Certainty.PRESUMED, (evidence.ended,))
    if evidence.suspicion_expired:
        return Verdict(Presence.DOWN, ("the suspicion ran out",), Certainty.PRESUMED, evidence.recent)
    return Verdict(Presence.FRESH)


def fixed(confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float:
    """SWIM's suspicion: as long whoever confirms it."""
    return shortest(members, timing)


def shrinking(confirmed_by: int, could_confirm: int, members: int, timing: Timing) -> float:
    """memberlist's: from the longest to the shortest by confirmations; the shortest at once where none could come."""
    low = shortest(members, timing)
    high = timing.suspicion_beta * low
    k = timing.confirmations
    if could_confirm < k:
        return low
    confirmations = max(0, confirmed_by - 1)
    return max(low, high - (high - low) * log(confirmations + 1) / log(k + 1))


class InTurn(Prober):
    """Probes one member each interval and nobody beside it, and takes a timer that ran out for the end of the round.

    A round that failed makes the health score worse by its missing nacks, or by one where no helper was asked, as in
    memberlist. An answer that comes later, or was there and not read yet, changes nothing.
    """

    def probe(self, record: Record, now: float) -> None:
        """Nobody is looked at out of turn, whatever was heard."""

    def on_ping(self, ping: Ping, source: Address, sender: NodeName, epoch: int, via: Via) -> None:
        """Answer, and tell whoever is held for dead that it is, so that it can refute. memberlist goes on gossiping
        to the dead for half a minute; here nobody is drawn for gossip who is down."""
        super().on_ping(ping, source, sender, epoch, via)
        record = self._roster.get(sender)
        if record is not None and record.known.is_buried:
            self._outbox.datagram_to(source, sender, record.known.obituaries[0])

    def on_nack(self, nack: Nack, sender: NodeName, now: float) -> None:
        """Kernels' answers to helpers are not looked at, nor is a helper asked again for one."""
        super().on_nack(msgspec.structs.replace(nack, trouble=Trouble.SILENT), sender, now)

    def _give_up(self, seq: int, now: float) -> None:
        probing = self._rounds.pop(seq)
        for _ in range(len(probing.helpers) - probing.nacks if probing.helpers else 1):
            self._awareness.round_ended(asked=1, silent=1)
        if probing.record.epoch == probing.epoch:
            self._outcome.probe_failed(probing.record, now, nacks=probing.nacks, asked=len(probing.helpers))


DETECTORS: dict[str, Rules] = {
    "meshfleet": MESHFLEET,
    "swim": Rules(
        judge=suspicion_means_down,
        patience=fixed,
        health=False,
        buddy=False,
        listening=False,
        prober=InTurn,
        hearsay=True,
        suspects_early=True,
    ),
    "lifeguard": Rules(
        judge=suspicion_means_down,
        patience=shrinking,
        listening=False,
        prober=InTurn,
        hearsay=True,
        suspects_early=True,
    ),
}
