"""Who is at the other end of a Unix socket, as the kernel tells: the same on Linux and macOS."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Protocol

_UCRED = struct.Struct("3i")
"""struct ucred (unix(7)): pid, uid, gid."""

_XUCRED_HEAD = struct.Struct("2I")
"""Head of macOS's struct xucred (sys/ucred.h): version, uid. What getpeereid(3) reads there."""

_XUCRED_BYTES = 76
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
"""sys/un.h of macOS."""


class Connection(Protocol):
    """A socket of the standard library or of Trio."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """As in the standard library."""
        ...


def peer_uid(connection: Connection) -> int | None:
    """User id of the process that connected; None where the kernel doesn't say."""
    try:
        if sys.platform == "darwin":
            told = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
            version, uid = _XUCRED_HEAD.unpack_from(told)
            return int(uid) if version == 0 else None
        _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except (OSError, struct.error):
        return None
    return int(uid)


def may_command(uid: int | None) -> bool:
    """Whether that user may tell this process what to do: its own user, and root, who could anyway."""
    return uid is not None and uid in (0, os.geteuid())
