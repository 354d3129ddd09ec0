"""How ill am I myself? Lifeguard's local health score, without the field's known defect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshfleet.fleet.timing import Timing


class Awareness:
    """A score from 0 (well) to `health_max`. It stretches this member's own timeouts and intervals by 1 + score.

    memberlist adds the number of missing nacks (up to 3) for one failed probe, and its helpers' nacks come after
    the deadline by construction; so healthy members around one dead member come to believe themselves ill. Here a round
    adds at most one, and only when two thirds of its helpers, all of them well a moment ago, stayed silent altogether.
    """

    def __init__(self, timing: Timing, *, enabled: bool = True) -> None:
        self._max = timing.health_max if enabled else 0
        self.score = 0

    @property
    def multiplier(self) -> int:
        """What intervals and timeouts are multiplied by."""
        return 1 + self.score

    def probe_succeeded(self) -> None:
        """A probe was answered in time: I hear well."""
        self.score = max(0, self.score - 1)

    def round_ended(self, *, asked: int, silent: int) -> None:
        """A failed probe's helpers are accounted for: `silent` of `asked` sent neither ack nor nack."""
        assert 0 <= silent <= asked
        if asked and 3 * silent >= 2 * asked:
            self._worsen()

    def was_suspected(self) -> None:
        """I had to refute a suspicion: somebody did not hear from me in time."""
        self._worsen()

    def _worsen(self) -> None:
        self.score = min(self._max, self.score + 1)
