"""The deterministic simulator: the node's own gossip and judge, in virtual time, on a virtual network, through outages.

Read in this order: scenario and faults (what a file says), selectors (whom it means), kernel and network (what a host
and the links between hosts do), world (what happens next), truth, score and expect (what was so, and what was said of
it). Stack mode has the real node instead of the world's members: fabric, attachment and connection (a network for any
Trio program), scheduling (what is private to Trio), stack.
"""
