"""Reading a fleet from Python: `Client("http://127.0.0.1:7879", key=key)` turns to another node when its own goes away;
`Reader` asks one. The command is made with it.

Plain blocking calls of the standard library: one GET needs no more.
"""

from meshfleet.client.client import Client
from meshfleet.client.reader import Reader

__all__ = ["Client", "Reader"]
