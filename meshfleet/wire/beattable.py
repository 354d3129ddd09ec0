"""Heartbeats as one byte string: they are most of an idle fleet's traffic, so every byte of them counts.

    form      1 byte: width of counters (high four bits, 1..7 bytes); 8 where there are no proofs; width of ages (low
              three bits, 1..4 bytes)
    record    tag (5 bytes), counter, age in hundredths of a second: big-endian, widths as the form says; and the proof
              (8 bytes; zeros where the counter is 0). One per entry. Where bits beside the table say whose they are,
              as in answers to a roll call, without the tag

The writer takes the narrowest widths that hold all entries. Ages are rounded down: of two accounts of one heartbeat the
earlier is kept, so that rounded up they grew by each telling, and silence seemed longer than it was. In a fleet that
has been up for a day an entry takes 17 bytes. No entries: an empty byte string.
"""

from __future__ import annotations

from meshfleet.errors import Malformed
from meshfleet.gossip.messages import Beat

_TAG = 5
_PROOF = 8
_NONE = bytes(_PROOF)
_BARE = 8
_COUNTER_LIMIT = 2**53
AGE_LIMIT = 10**9
"""Hundredths of a second: the messages' own limit of 1e7 s."""
_AGE_LIMIT_S = AGE_LIMIT / 100


def centiseconds(age: float) -> int:
    """`age` (seconds) in hundredths, rounded down: what is read back is never more, and less than 0.01 s less."""
    whole = int(age * 100)
    return whole + 1 if (whole + 1) / 100 <= age else whole


def pack(entries: tuple[Beat, ...], at: float, *, bare: bool = False, tag: int = _TAG) -> bytes:
    """The table as bytes, told at `at`; `bare`: without proofs; `tag`: bytes of the tags, 0 or 5."""
    if not entries:
        return b""
    ages = [centiseconds(min(max(0.0, at - beat.raised_at), _AGE_LIMIT_S)) for beat in entries]
    counter_width = (max([beat.counter for beat in entries]).bit_length() + 7) // 8 or 1
    age_width = (max(ages).bit_length() + 7) // 8 or 1
    size = tag + counter_width + age_width
    after_counter = 8 * age_width
    after_tag = after_counter + 8 * counter_width
    records = [
        ((beat.tag << after_tag if tag else 0) | beat.counter << after_counter | age).to_bytes(size, "big")
        + (b"" if bare else beat.proof or _NONE)
        for beat, age in zip(entries, ages, strict=True)
    ]
    return bytes((counter_width << 4 | (_BARE if bare else 0) | age_width,)) + b"".join(records)


def unpack(table: bytes, *, tag: int = _TAG) -> tuple[tuple[Beat, ...], bool]:
    """The entries of a table that is told at 0, and whether they are bare; Malformed where it is none."""
    if not table:
        return (), False
    counter_width, bare, age_width = table[0] >> 4, bool(table[0] & _BARE), table[0] & 7
    told = tag + counter_width + age_width
    size = told + (0 if bare else _PROOF)
    if not (1 <= counter_width <= 7 and 1 <= age_width <= 4) or (len(table) - 1) % size:
        raise Malformed(f"a heartbeat table of {len(table)} bytes with form {table[0]:#04x}.")
    after_counter = 8 * age_width
    after_tag = after_counter + 8 * counter_width
    counter_mask = (1 << 8 * counter_width) - 1
    age_mask = (1 << 8 * age_width) - 1
    number = int.from_bytes
    rows = [(number(table[i : i + told], "big"), table[i + told : i + size]) for i in range(1, len(table), size)]
    beats = tuple(
        [
            Beat(row >> after_tag, counter, (row & age_mask) / -100, proof if counter else b"")
            for row, proof in rows
            for counter in (row >> after_counter & counter_mask,)
        ]
    )
    if counter_width == 7 and any(beat.counter >= _COUNTER_LIMIT for beat in beats):
        raise Malformed("a heartbeat counter of 2^53 or more.")
    if age_width == 4 and any(row & age_mask > AGE_LIMIT for row, _ in rows):
        raise Malformed("a heartbeat older than 1e7 s.")
    return beats, bare
