"""The deterministic simulator: the node's own gossip and judge, in virtual time, on a virtual network, through outages.

Read in this order: scenario and faults (what a file says), selectors (whom it means), kernel and network (what a host
and the links between hosts do), world (what happens next), truth, score and expect (what was so, and what was said of
it). Stack mode has the real node instead of the world's members: fabric, attachment and connection (a network for any
Trio program), scheduling (what is private to Trio), stack. Then invariants,
liveness and marks (what must hold, and what was put to the test), swarm (plans that are drawn), sweep (many runs),
determinism, and shrink with altering and writing (what is left of a plan that failed).
"""
