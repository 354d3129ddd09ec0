"""What is shown to an endpoint, and to nobody else: tokens, sessions, certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trio

from meshfleet.fleet.endpoint import Transport, Trouble
from meshfleet.runtimes.endpoints import reading
from meshfleet.runtimes.endpoints.reading import Nonsense, read_session
from tests.runtimes.asking_alone import IDLE, asked, hasten, served
from tests.runtimes.serving import Stub

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere() -> None:
    elsewhere = Stub()
    elsewhere.answers["/state"] = IDLE
    async with elsewhere.running(), trio.open_nursery() as nursery:

        async def redirect(stream: trio.SocketStream) -> None:
            head = await stream.receive_some()
            body = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
            if head.startswith(b"GET /state"):
                where = elsewhere.url.encode()
                body = b"HTTP/1.1 307 X\r\nLocation: %s/state\r\nContent-Length: 0\r\n\r\n" % where
            await stream.send_all(body)
            await stream.aclose()

        async with asked(await served(redirect, nursery=nursery), "s3cret") as told:
            await told.duties.until((Trouble.STATUS, 307), 2)
        assert elsewhere.asked == []
        nursery.cancel_scope.cancel()


def used_twice(asked: list[str]) -> bool:
    """Whether `/state` was asked for twice between two exchanges."""
    uses = "".join({"/auth/session": "|", "/state": "s"}.get(path, "") for path in asked)
    return any(len(span) >= 2 for span in uses.split("|")[1:])


async def test_where_tokens_are_exchanged_the_session_is_shown_and_renewed_at_four_fifths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "LEAST_LIFE", 0.1)
    stub = Stub()
    stub.answers |= {"/state": IDLE, "/auth/session": {"token": "mfs_one", "scope": "read", "expires_in_s": 0.5}}
    async with stub.running(), asked(stub.url, "s3cret") as told:
        await stub.until("/auth/session", 3)
        await told.until_shown(lambda state: True)
        by_path: dict[str, set[str]] = {}
        for path, head in zip(stub.asked, stub.heads, strict=True):
            shown = [line[22:].decode() for line in head.split(b"\r\n") if line.startswith(b"Authorization: Bearer ")]
            by_path.setdefault(path, set()).update(shown)
        assert by_path["/state"] == {"mfs_one"}
        assert by_path["/auth/session"] == {"s3cret"}
        for sessions in range(4, 40):  # on a busy machine one may end before its second use
            if used_twice(stub.asked):
                break
            await stub.until("/auth/session", sessions)
        assert used_twice(stub.asked), "a session is used more than once"


async def test_where_nothing_is_exchanged_the_token_is_the_bearer() -> None:
    stub = Stub()
    stub.answers["/state"] = IDLE
    async with stub.running(), asked(stub.url, "s3cret") as told:
        await told.duties.until(Transport.POLL, 3)
        states = [head for path, head in zip(stub.asked, stub.heads, strict=True) if path == "/state"]
        assert all(b"Authorization: Bearer s3cret" in head for head in states)
        assert stub.asked.count("/auth/session") == 1


async def test_a_session_that_is_refused_is_exchanged_anew_once() -> None:
    stub = Stub()
    stub.answers |= {"/state": IDLE, "/auth/session": {"token": "mfs_one", "expires_in_s": 1800}}
    async with stub.running(), asked(stub.url, "s3cret") as told:
        await told.duties.until(Transport.POLL, 2)
        stub.statuses["/state"] = 401
        await told.duties.until((Trouble.STATUS, 401))
        assert stub.asked.count("/auth/session") >= 2
        stub.statuses["/state"] = 200
        await told.duties.until(Transport.POLL)


@pytest.mark.parametrize("session", [b"{}", b"[]", b'{"token": "a\\r\\nX: y", "expires_in_s": 60}', b"<html>"])
async def test_a_session_that_is_none_is_not_used(session: bytes) -> None:
    stub = Stub()
    stub.answers |= {"/state": IDLE, "/auth/session": session}
    async with stub.running(), asked(stub.url, "s3cret") as told:
        await told.duties.until((Trouble.NONSENSE, 0), 2)
        assert "/state" not in stub.asked


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 alone, as a node makes its own."""
    from datetime import UTC, datetime

    from meshfleet.node.certificate import for_http

    for_http("own", folder, ("127.0.0.1",), datetime.now(UTC))
    return folder / "http.crt", folder / "http.key"


async def test_over_https_its_certificate_must_be_vouched_for(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(crt, key)
    asked_for: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            asked_for.append(bytes(await secure.receive_some()))
            await secure.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + b'{"status": "idle"}')
            await secure.aclose()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        url = (await served(answer, nursery=nursery)).replace("http:", "https:")
        async with asked(url, "s3cret") as told:
            await told.duties.until((Trouble.UNTRUSTED, 0), 2)
            assert b"".join(asked_for) == b"", "the token was told to nobody"
        async with asked(url, ca=crt) as told:
            await told.until_shown(lambda state: state["status"] == "idle")
        async with asked(url, ca=tmp_path / "nowhere") as told:
            await told.duties.until((Trouble.UNTRUSTED, 0))
        nursery.cancel_scope.cancel()


def test_a_session_lasts_within_bounds() -> None:
    assert read_session(b'{"token": "a", "expires_in_s": 1e9}').lasts == reading.LONGEST_LIFE
    assert read_session(b'{"token": "a", "expires_in_s": 1}').lasts == reading.LEAST_LIFE
    for wrong in (b'{"token": "a", "expires_in_s": -1}', b'{"token": "", "expires_in_s": 60}', b"7"):
        with pytest.raises(Nonsense):
            read_session(wrong)
