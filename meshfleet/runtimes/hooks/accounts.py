"""Whose limits a subscription's are: a fingerprint of the account that Claude Code is logged in with on this machine.

The status line tells limits and not whose. `.claude.json` has the account's id, a random number: its hash is the same
on all machines of that account, and nobody gets back from it. Where there is none, the machine's name stands in, so
that two machines' limits are never taken for one account's.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = ".claude.json"
FILE_LIMIT = 64 * 1024 * 1024
"""Bytes. It keeps a history of prompts in old versions, and grows to some megabytes."""


class _Account(msgspec.Struct, frozen=True):
    accountUuid: str


class _File(msgspec.Struct, frozen=True):
    oauthAccount: _Account


def account(folders: Iterable[Path], host: str) -> str:
    """`anthropic:1f3c9a02`. Reads files of some megabytes: not for the Trio thread."""
    for folder in folders:
        beside = (folder / FILE, folder.with_name(FILE))
        for path in beside if folder.name == ".claude" else beside[:1]:
            try:
                with path.open("rb") as file:
                    said = msgspec.json.decode(file.read(FILE_LIMIT), type=_File)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            return fingerprint(said.oauthAccount.accountUuid)
    return fingerprint(f"of {host}")


def fingerprint(text: str) -> str:
    """Eight digits that stand for it."""
    return f"anthropic:{blake2b(text.encode(), digest_size=4, person=b'meshfleet').hexdigest()}"
