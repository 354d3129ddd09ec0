"""`meshfleet demo`: a mesh of real node processes on this machine, and outages to play with.

The demo's own process starts and ends every node, so that it knows at any time which of them run; whoever plays from a
second terminal asks it on a Unix socket in its state dir.
"""
