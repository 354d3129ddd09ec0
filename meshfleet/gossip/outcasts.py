"""Who was thrown out by the fleet's owner: kept for ever, passed on to everybody, and heard no more.

That the owner said so is checked by whoever has the keys, before it gets here: the core knows no signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.gossip.limits import REVOKED, Counts

if TYPE_CHECKING:
    from meshfleet.gossip.messages import Revoked


class Outcasts:
    """Revoked names. Only ever grows, so any order of the same news gives the same set."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.by_name: dict[str, Revoked] = {}
        """To be read only: each packet asks whether its source is among them."""

    def add(self, revoked: Revoked) -> bool:
        """Whether that is news. Of two revocations of one name the earlier is kept."""
        known = self.by_name.get(revoked.name)
        if known is not None and known.at_ms <= revoked.at_ms:
            return False
        if known is None and len(self.by_name) >= REVOKED:
            self._counts["refused_revoked"] += 1
            return False
        self.by_name[revoked.name] = revoked
        return True

    def holds(self, revoked: Revoked) -> bool:
        """Whether this very one is known."""
        return self.by_name.get(revoked.name) == revoked

    def all(self) -> tuple[Revoked, ...]:
        """All of them, in the order in which they were heard."""
        return tuple(self.by_name.values())
