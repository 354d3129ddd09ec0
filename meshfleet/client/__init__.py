"""Reading a fleet from Python: `Reader("http://127.0.0.1:7879", key)`. The command is made with it.

Plain blocking calls of the standard library: one GET needs no more.
"""

from meshfleet.client.reader import Reader

__all__ = ["Reader"]
