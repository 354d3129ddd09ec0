"""The fleet's view as bytes: encoded once, served to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meshfleet.fleet.view import FleetView
    from meshfleet.serve.feed import Feed


class Encoded(msgspec.Struct, frozen=True, eq=False):
    """One view as the JSON that travels. Two of them are the same only if they are the same object."""

    version: str
    body: bytes

    @property
    def etag(self) -> str:
        """The version as an entity tag. Weak (RFC 9110, section 8.8.1): ages may differ between two of one version."""
        return etag(self.version)


class Encoding:
    """Keeps the newest view encoded. Whoever asks in between gets the same bytes."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._view: FleetView | None = None
        self._encoded = Encoded("", b"")

    def current(self) -> Encoded:
        """The view of now, encoded on its first request."""
        return self.of(self._feed.fleet())

    def of(self, view: FleetView) -> Encoded:
        """A view of the feed, encoded if it is not the one that was last."""
        # By identity: the feed hands out one object until something changed, so nothing has to be compared.
        if view is not self._view:
            self._view, self._encoded = view, Encoded(view.version, msgspec.json.encode(view))
        return self._encoded


def etag(version: str) -> str:
    """`version` as a weak entity tag."""
    return f'W/"{version}"'


TAGS = 64
"""Versions that are looked at in an If-None-Match header: who keeps more of them gets the newest."""


def names_version(if_none_match: str, version: str) -> bool:
    """Whether an If-None-Match header names `version`, compared weakly, as RFC 9110, section 13.1.2 asks for."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(",", TAGS))
    return any(tag in ("*", f'"{version}"') for tag in tags)
