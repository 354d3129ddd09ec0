"""HTTP: the fleet's view for programs and people with a token, from any node.

    async with trio.open_nursery() as nursery:
        base_url = await nursery.start(serve, feed, access, Address("127.0.0.1", 7879))

Sees the node through `Feed` and `Access` alone. docs/api.md tells what is served, docs/readers.md to whom.
"""

from meshfleet.serve.access import Access
from meshfleet.serve.feed import Feed
from meshfleet.serve.server import serve

__all__ = ["Access", "Feed", "serve"]
