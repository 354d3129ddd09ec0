"""Inputs altered as what they are: a value of a packet replaced, a message repeated or left out. Bytes altered at
random seldom stay a packet, and hardly ever become one of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2

from tests.fuzz.members import LONGEST, NAMES, joined, split

if TYPE_CHECKING:
    from random import Random

NUMBERS = (0, 1, 2, 3, 7, 60, 256, 4_095, 4_096, 10_000, 2**32, 2**53 - 1, 2**53)
MESSAGES = 5
"""Where a packet has them."""


def altered(data: bytes, rng: Random) -> bytes:
    """An input of the member's targets with one thing in it another."""
    packets = split(data)
    if not packets:
        return data
    at = rng.randrange(len(packets))
    how, encoded = packets[at]
    match rng.randrange(10):
        case 0:
            packets.insert(rng.randrange(len(packets) + 1), packets[at])
        case 1 if len(packets) > 1:
            del packets[at]
        case 2:
            packets[at] = (rng.randrange(256), encoded)
        case 3:
            rng.shuffle(packets)
        case _:
            packets[at] = (how, _altered_packet(encoded, rng))
    return joined(packets)[:LONGEST]


def _altered_packet(encoded: bytes, rng: Random) -> bytes:
    try:
        plain: Any = cbor2.loads(encoded)
        messages: list[Any] = plain[MESSAGES]
        at = rng.randrange(len(messages))
        match rng.randrange(8):
            case 0:
                messages.insert(rng.randrange(len(messages) + 1), messages[at])
            case 1 if len(messages) > 1:
                del messages[at]
            case 2:
                room = LONGEST // 2 // len(cbor2.dumps(messages[at]))
                messages[at:at] = [messages[at]] * rng.randint(0, room)
            case 3:
                plain[rng.randrange(MESSAGES)] = _other(plain[rng.randrange(MESSAGES)], rng)
            case _:
                messages[at] = [messages[at][0], *_other(messages[at][1:], rng)]
        return cbor2.dumps(plain)
    except (cbor2.CBORDecodeError, LookupError, TypeError, ValueError, AttributeError):
        return encoded  # no packet, or none with messages


def _other(item: Any, rng: Random) -> Any:
    """Something of the same type, mostly."""
    match item:
        case bool():
            return not item
        case int():
            return rng.choice((*NUMBERS, item + 1, max(0, item - 1)))
        case str():
            return rng.choice((*NAMES, "", item * 2))
        case bytes():
            place = rng.randrange(len(item) + 1)
            return rng.choice((b"", item[:place], item + item, item[:place] + rng.randbytes(1) + item[place + 1 :]))
        case list() if item:
            place, items = rng.randrange(len(item)), [*item]
            match rng.randrange(8):
                case 0:
                    items.insert(place, items[place])
                case 1:
                    del items[place]
                case _:
                    items[place] = _other(items[place], rng)
            return items
    return rng.choice((None, *NAMES))
