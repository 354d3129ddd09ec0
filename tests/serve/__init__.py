"""The HTTP side: the real application over real loopback sockets, before a small feed of real fleet objects."""
