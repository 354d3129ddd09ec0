"""What a fleet is, and how it is judged: pure data, pure functions.

Nothing in here reads a clock, draws a random number, opens a socket or imports another part of meshfleet
(errors apart). Times are seconds on the observer's own monotonic clock unless a name says otherwise.
"""
