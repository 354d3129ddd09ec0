"""What serving needs of whoever takes in what other programs send: telemetry, and what else comes to be sent.

`meshfleet.runtimes` has it, which serving does not know; `meshfleet up` brings the two together.
"""

from __future__ import annotations

from typing import Protocol


class Taken(Protocol):
    """How much of a request was of no use."""

    @property
    def rejected(self) -> int:
        """Records that were dropped, though the request could be read."""

    @property
    def why(self) -> str:
        """What was wrong with the first of them."""


class Intake(Protocol):
    """Takes in what is sent, and never waits for anybody but its own reading."""

    async def telemetry(self, signal: str, body: bytes, *, protobuf: bool) -> Taken:
        """The body of an OTLP request to export `metrics`, `logs` or `traces`. TelemetryError where it can't be read,
        NotInstalled where its encoding can't be read here, Busy where too much is waiting."""

    def tells_itself(self, instance: str) -> None:
        """A program, by its telemetry's `service.instance.id`, tells by states what its telemetry would tell again."""
