"""The Trio driver: gives a gossip member its sockets and its clock, and itself to whoever serves or feeds it."""
