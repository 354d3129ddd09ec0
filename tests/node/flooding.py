"""Throws garbage at a UDP port: `python -m tests.node.flooding HOST PORT COUNT SAMPLE [RATE]`, as fast as one process
can, or so many datagrams a second.

A third is any bytes, as strangers send. A third has the version and key id of the fleet, and a salt that nobody drew:
it costs the receiver a derivation. A third looks like a later one of SAMPLE's sender, a datagram that opens
(hexadecimal): it costs an opening under a known key. Prints how long it took.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time

VARIETY = 3 * 1_024
"""Different datagrams, sent over and over: to make them costs more than to send them."""

COUNTER_BYTES = 5
KEY_ID, SENDER = slice(0, 3), slice(0, 15)


def garbage(sample: bytes, rng: random.Random) -> list[bytes]:
    """All three kinds, in turn."""
    made: list[bytes] = []
    for _ in range(VARIETY // 3):
        made.append(rng.randbytes(rng.randrange(1, 1_450)))
        made.append(sample[KEY_ID] + rng.randbytes(rng.randrange(33, 600)))
        counter = rng.randbytes(COUNTER_BYTES)
        made.append(sample[SENDER] + counter + rng.randbytes(max(16, len(sample) - 20)))
    return made


def main() -> None:
    """Sends them all, and says how long it took."""
    host, port, count, sample = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
    rate = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    made = garbage(sample, random.Random(11))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        began = time.monotonic()
        sock.send(sample)  # from here on its sender is known
        for i in range(count):
            while rate and i > (time.monotonic() - began) * rate:
                os.sched_yield()
            try:
                sock.send(made[i % VARIETY])
            except OSError:  # this machine's own buffers are full
                continue
        print(time.monotonic() - began)


if __name__ == "__main__":
    main()
