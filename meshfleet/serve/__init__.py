"""HTTP: the fleet's view for programs and people, from any node, on this machine's loopback.

    async with trio.open_nursery() as nursery:
        base_url = await nursery.start(serve, feed, Address("127.0.0.1", 7879))

Sees the node through `Feed` alone. docs/api.md tells what is served.
"""

from meshfleet.serve.feed import Feed
from meshfleet.serve.server import serve

__all__ = ["Feed", "serve"]
