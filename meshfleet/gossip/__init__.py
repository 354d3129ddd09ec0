"""SWIM with Lifeguard, and the spread of agents' snapshots, as a state machine without I/O.

Read in this order: messages, roster, prober, suspicion, awareness, listening, beats, rumors, replica, spread, member.
Nothing in here reads a clock, draws from a global random generator, opens a socket or knows Trio: `now` (monotonic
seconds) and `rng` are passed in, and what is to be sent is handed out.
"""
