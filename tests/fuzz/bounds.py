"""What an input may cost beyond its own size."""

from __future__ import annotations

from dataclasses import dataclass

from meshfleet.node.entering import VIEW_LIMIT
from meshfleet.serve.limits import INFLATED_LIMIT


@dataclass(frozen=True)
class Cost:
    """What an input may cost beyond its own size: so much whatever it is, and so much for each of its bytes."""

    seconds: float
    seconds_per_byte: float
    memory: int
    memory_per_byte: int

    def allows(self, size: int, seconds: float, memory: int) -> bool:
        """Whether an input of `size` bytes may take `seconds` of processor time, and `memory` bytes at its highest."""
        return (
            seconds <= self.seconds + self.seconds_per_byte * size
            and memory <= self.memory + (1 + self.memory_per_byte) * size
        )


ROOM = 65_536 + 4_096
"""64 KiB, which the CBOR reader takes at once where a text that a member sends claims to be longer, and an error."""

STRANGERS = Cost(1e-3, 0.0, ROOM, 1)
"""Of bytes that anybody may send: 1 ms and 64 KiB, however many they are. One copy of them is their own size, and
one more is what a decoder may need to cut them up."""

MEMBERS = Cost(1e-3, 0.5e-6, ROOM, 80)
"""Of bytes that only members may send, in frames of up to 64 KiB, and agents of this machine or with a key: a frame is
as dear as the datagrams that would bring the same. A value in Python takes up to 72 bytes where CBOR has one (an empty
list), and 8 more in the list that holds it: hence 80. Half a microsecond is what a message of four bytes takes, for
each of them. What matters is that both are constants: no input is dearer than its size allows."""

LOCAL = Cost(20e-3, 4e-6, 256 * 1024, 160)
"""Of telemetry, from programs of this machine or with a key, read in a thread of its own: 4 us for each of its bytes,
which is what the smallest record takes that means nothing (3 bytes), up to OBJECTS_LIMIT of them."""

INFLATING = Cost(60e-3, 0.1e-6, 2 * INFLATED_LIMIT + 1024 * 1024, 2)
"""Of gzip: what it takes to inflate as much as is ever inflated."""

VIEWED = Cost(60e-3, 2e-6, 2 * VIEW_LIMIT + 1024 * 1024, 2)
"""Of another zone's view: the same, in a thread of its own, once for each reader who asks for it."""

VOUCHED = Cost(15e-3, 0.5e-6, ROOM, 80)
"""Of bodies of accounts: up to three signatures for each of 24 statements are looked at, some 10 ms, and once in their
life."""

HEARD = Cost(60e-3, 20e-6, 4 * 1024 * 1024, 400)
"""Of packets that a member hears: a new member for each input, some of its rounds, signatures that are looked at (50 us
for 70 bytes, and as much for the authority's), heartbeats that are hashed, and whatever it says in answer. What it
holds then has bounds of its own in `gossip/limits.py`."""

DRIVEN = Cost(300e-3, 20e-6, 8 * 1024 * 1024, 400)
"""The same, with a driver and some ten virtual seconds."""

RUN = Cost(20e-3, 4e-6, 1024 * 1024, 160)
"""Of answers that are waited for: a run of Trio for each."""
