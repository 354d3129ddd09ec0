"""A real node of a fleet of two, served over TLS, with an API key of each scope."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio

from meshfleet.fleet.access import Scope
from meshfleet.fleet.names import Address
from meshfleet.node.certificate import for_http
from meshfleet.node.keyfile import KeyFile
from meshfleet.node.node import Node
from meshfleet.node.opening import open_node
from meshfleet.node.readers import Readers
from meshfleet.node.settings import CERTIFICATE
from meshfleet.serve import serve
from tests.node.meshing import config, notes, see, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE = 60.0


class Served(msgspec.Struct, frozen=True):
    """Where it is, and everything that lets in there."""

    node: Node
    readers: Readers
    url: str
    trusts: ssl.SSLContext
    """The node's certificate, and no other."""
    keys: dict[Scope, str]
    tokens: dict[Scope, str]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """n1, which sees n2 and the agent of each."""
    keys = KeyFile(tmp_path)
    texts = {scope: keys.create(scope, f"a-{scope}-key", "2026-11-23T20:15:05Z").text() for scope in Scope}
    tls = for_http("own", tmp_path, ("localhost", "127.0.0.1"), datetime.now(UTC))
    async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2, trio.open_nursery() as nursery:
        readers = Readers(n1.keyring, keys, time.time)
        url: str = await nursery.start(partial(serve, tls=tls), n1, readers, Address("127.0.0.1", 0))
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
            n1.publish(state("n1/a", note="mine"))
            n2.publish(state("n2/a", note="another's"))
            await notes(n1, "n2/a", "another's")
        tokens = {scope: (await readers.by_key(text, 1800))[0] for scope, text in texts.items()}
        trusts = ssl.create_default_context(cafile=str(tmp_path / CERTIFICATE))
        yield Served(n1, readers, url, trusts, texts, tokens)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def stranger(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows nothing unless told to."""
    async with httpx.AsyncClient(base_url=served.url, trust_env=False, verify=served.trusts) as opened:
        yield opened
