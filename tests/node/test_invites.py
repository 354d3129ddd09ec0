"""Invitations: one line lets one machine in, once, in time, and into no other fleet."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from meshfleet.errors import ConfigError, JoinError, StateDirError
from meshfleet.fleet.names import Address, NodeName
from meshfleet.node import invites
from meshfleet.node.entering import enter
from meshfleet.node.invites import INVITES, ISSUED, Book, Issued, Refusal, _Open, read_invite
from meshfleet.node.office import MOST_USES
from meshfleet.node.opening import open_node
from meshfleet.node.sockets import RealNetwork
from meshfleet.node.store import StateDir
from meshfleet.node.tending import AGAIN
from meshfleet.node.trust import RENEWED_LATE
from meshfleet.wire.entrance import Enter, FetchRing, Refused, Renew, Welcome, Word, dump, load
from meshfleet.wire.identity import LIFETIME, Authority, NodeKey, Requested
from tests.node.meshing import config, counted, owner, see

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.node.node import Node
    from meshfleet.node.trust import Identity

PATIENCE = 30.0
N2 = Requested(NodeName("n2"), b"2" * 32)
N3 = Requested(NodeName("n3"), b"3" * 32)


async def entered(line: str, name: str, key: NodeKey | None = None) -> Identity:
    with trio.fail_after(PATIENCE):
        return await enter(RealNetwork(), read_invite(line), NodeName(name), key or NodeKey.new(), time.time)


async def test_who_is_invited_becomes_a_member_that_all_believe() -> None:
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        assert re.fullmatch(r"mfi1_[A-Za-z0-9_-]+", line)
        identity = await entered(line, "n2")
        member = msgspec.structs.replace(config("n2", n1.address), identity=identity)
        async with open_node(member) as n2, open_node(config("n3", n1.address)) as n3:
            with trio.fail_after(PATIENCE):
                for node in (n1, n2, n3):
                    await see(node, 3)
        assert [told.name for told in n1.office.keys().nodes] == ["n1", "n2"]


async def test_an_invitation_that_would_last_too_long_is_told_in_days() -> None:
    async with open_node(owner("n1")) as n1:
        with pytest.raises(ConfigError, match="an invitation lasts up to 30 days, not 400\\."):
            await n1.office.invite("agent", 400 * 86_400.0, 1)


async def test_the_role_of_the_invitation_is_in_the_certificate() -> None:
    async with open_node(owner("n1")) as n1:
        identity = await entered(await n1.office.invite("observer", 60.0, 1), "n2")
    assert identity.certificate.role == "observer"


async def test_an_invitation_for_one_lets_no_second_machine_in() -> None:
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        await entered(line, "n2")
        with pytest.raises(JoinError, match="refused: this invitation was used already"):
            await entered(line, "n3")
        assert n1.counters()["entrance_refused"] == 1


async def test_who_did_not_get_the_answer_may_ask_again_with_the_same_key() -> None:
    key = NodeKey.new()
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        first, again = await entered(line, "n2", key), await entered(line, "n2", key)
    assert first.certificate.public == again.certificate.public == key.public


async def test_the_same_line_and_key_make_no_second_name_not_even_for_whom_was_thrown_out() -> None:
    key = NodeKey.new()
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        await entered(line, "n2", key)
        with pytest.raises(JoinError, match="this invitation was used already, by this node as n2"):
            await entered(line, "n3", key)
        await n1.office.revoke(NodeName("n2"))
        with pytest.raises(JoinError, match="n2 was revoked"):
            await entered(line, "n2", key)
        with pytest.raises(JoinError, match="this invitation was used already, by this node as n2"):
            await entered(line, "back", key)
        assert [told.name for told in n1.office.keys().nodes] == ["n1", "n2"]


async def test_another_invitation_is_another_name_for_the_same_key() -> None:
    key = NodeKey.new()
    async with open_node(owner("n1")) as n1:
        await entered(await n1.office.invite("agent", 60.0, 1), "n2", key)
        line = await n1.office.invite("agent", 60.0, 1)
        for _ in range(2):  # the answer was lost
            assert (await entered(line, "n3", key)).name == "n3"


async def test_who_is_thrown_out_while_its_certificate_is_made_gets_no_ring() -> None:
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        written = n1.entrance._written

        async def late(write: Callable[[], object]) -> object:
            told = await written(write)
            if "n2" in {node.name for node in n1.office.keys().nodes} and not n1.tending.trust.is_revoked("n2"):
                await n1.office.revoke(NodeName("n2"))
            return told

        n1.entrance._written = late  # type: ignore[method-assign,assignment]  # what else goes on while a disk writes
        with pytest.raises(JoinError, match="refused: n2 was revoked"):
            await entered(line, "n2")


async def test_an_invitation_for_many_lets_so_many_in() -> None:
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 2)
        await entered(line, "n2")
        await entered(line, "n3")
        with pytest.raises(JoinError, match="used already"):
            await entered(line, "n4")


async def test_a_name_that_another_key_goes_by_is_given_to_nobody_and_costs_no_use() -> None:
    async with open_node(owner("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n1, 2)
        line = await n1.office.invite("agent", 60.0, 1)
        for taken in (n1.name, n2.name):
            with pytest.raises(JoinError, match=f"the name {taken} is taken"):
                await entered(line, taken)
        assert (await entered(line, "n3")).name == "n3"


async def test_an_invitation_says_where_to_dial_and_each_address_is_tried() -> None:
    async with open_node(owner("n1")) as n1:
        nobody = Address("127.0.0.1", 1)
        line = await n1.office.invite("agent", 60.0, 1, at=(nobody, Address("localhost", n1.address.port)))
        assert read_invite(line).addresses == ("127.0.0.1:1", f"localhost:{n1.address.port}")
        assert (await entered(line, "n2")).name == "n2"
        with pytest.raises(ConfigError, match="up to 4 addresses, not 5"):
            await n1.office.invite("agent", 60.0, 1, at=(nobody,) * 5)


async def test_an_expired_invitation_is_refused_on_both_sides() -> None:
    now = time.time()
    async with open_node(owner("n1"), wall=lambda: now) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
        with pytest.raises(JoinError, match="has expired, by this machine's clock"):
            await enter(RealNetwork(), read_invite(line), NodeName("n2"), NodeKey.new(), lambda: now + 61)
        now += 61
        with pytest.raises(JoinError, match="refused: this invitation has expired"):
            await enter(RealNetwork(), read_invite(line), NodeName("n2"), NodeKey.new(), lambda: now - 61)


async def test_a_newcomer_can_not_be_tricked_into_another_fleet_nor_made_to_tell_the_secret() -> None:
    heard: list[Word] = []
    async with open_node(owner("n1")) as n1, open_node(config("n1", fleet=b"x" * 32)) as impostor:
        invite = read_invite(await n1.office.invite("agent", 60.0, 1))
        elsewhere = msgspec.structs.replace(invite, addresses=(str(impostor.address),))
        answer = impostor.entrance._answer

        async def listens(word: Word, hello: object, source: object) -> Word:
            heard.append(word)
            return await answer(word, hello, source)  # type: ignore[arg-type]  # handed through as they came

        impostor.entrance._answer = listens  # type: ignore[method-assign]  # to hear what is told
        with pytest.raises(JoinError, match="The secret was not told to it"):
            await entered(elsewhere.line(), "n9")
        assert heard == []


async def test_another_member_that_answers_for_the_inviting_one_is_not_told_the_secret() -> None:
    async with open_node(owner("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        invite = read_invite(await n1.office.invite("agent", 60.0, 1))
        elsewhere = msgspec.structs.replace(invite, addresses=(str(n2.address),))
        with pytest.raises(JoinError, match="n2 answers, and n1 invited"):
            await entered(elsewhere.line(), "n9")


async def test_the_second_address_is_tried_where_the_first_does_not_answer() -> None:
    async with open_node(owner("n1")) as n1:
        invite = read_invite(await n1.office.invite("agent", 60.0, 1))
        both = msgspec.structs.replace(invite, addresses=("127.0.0.1:1", str(n1.address)))
        assert (await entered(both.line(), "n2")).name == "n2"


async def test_who_holds_no_authority_says_who_does() -> None:
    async with open_node(owner("n1")) as n1, open_node(config("n2", n1.address)) as n2:
        with trio.fail_after(PATIENCE):
            await see(n2, 2)
        with pytest.raises(ConfigError, match=r"so it can't invite\. Ask n1"):
            await n2.office.invite("agent", 60.0, 1)


@pytest.mark.parametrize(
    ("role", "seconds", "uses", "said"),
    [
        ("king", 60.0, 1, "not a role"),
        ("agent", 0.0, 1, "lasts up to"),
        ("agent", 9e9, 1, "lasts up to"),
        ("agent", 1.0, 0, "good for 1 to"),
    ],
)
async def test_an_invitation_that_makes_no_sense_is_refused(role: str, seconds: float, uses: int, said: str) -> None:
    async with open_node(owner("n1")) as n1:
        with pytest.raises(ConfigError, match=said):
            await n1.office.invite(role, seconds, uses)


async def test_a_line_with_anything_changed_is_refused_before_it_is_used() -> None:
    async with open_node(owner("n1")) as n1:
        line = await n1.office.invite("agent", 60.0, 1)
    for damaged in (line[:-1], line[:40] + line[41:], line.replace("mfi1_", "mfi2_"), "", line + "x", line[:30] + "é"):
        with pytest.raises(ConfigError, match="Copy the"):
            read_invite(damaged)
    assert read_invite(f"  {line}\n") == read_invite(line)
    assert "secret" not in repr(read_invite(line))


async def test_nonsense_at_the_entrance_is_refused_and_counted() -> None:
    async with open_node(owner("n1")) as n1:
        invite = read_invite(await n1.office.invite("agent", 60.0, 1))
        wrong = msgspec.structs.replace(invite, secret=bytes(16))
        with pytest.raises(JoinError, match="not known here"):
            await entered(wrong.line(), "n2")
        for word in (Welcome(b""), Renew(), FetchRing(), Enter(invite.invite, invite.secret, b"no request")):
            assert isinstance(await _said(n1, dump(word)), Refused)
        assert isinstance(await _said(n1, b"\xff\xff"), Refused)
        assert n1.counters()["entrance_refused"] == 6
        assert n1.counters().get("fault", 0) == 0
        assert (await entered(invite.line(), "n2")).name == "n2"


async def _said(node: Node, question: bytes) -> Word:
    """What a stranger without a certificate is answered."""
    from meshfleet.node import tls
    from meshfleet.node.frames import greet

    with trio.fail_after(PATIENCE):
        async with await RealNetwork().dial(node.address) as stream:
            frames = (await greet(stream, tls.newcomers(), dialled=True)).frames
            assert isinstance(load(await frames.receive()), Welcome)
            await frames.send(question)
            return load(await frames.receive())


async def test_a_stranger_at_the_mesh_or_the_entrance_costs_the_node_nothing_that_lasts() -> None:
    async with open_node(owner("n1")) as n1:
        for _ in range(20):
            await _said(n1, dump(FetchRing()))
        with trio.fail_after(PATIENCE):
            await counted(n1, "entrance_refused", 20)
        assert len(n1._driver.links) == 0


# The book


def test_a_use_is_on_the_disk_before_it_is_told(tmp_path: Path) -> None:
    with StateDir.open(tmp_path) as store:
        book = Book(store)
        number, secret, _ = book.invite("agent", 60.0, 1, now=0.0)
        assert secret not in (tmp_path / INVITES).read_bytes()
        assert book.redeem(number, secret, N2, 1.0) == "agent"
    with StateDir.open(tmp_path) as store:  # as after a crash: nothing was saved on the way out
        again = Book(store)
        assert again.redeem(number, secret, N2, 1.0) == "agent"
        with pytest.raises(Refusal, match="used already"):
            again.redeem(number, secret, N3, 1.0)


def test_a_use_that_can_not_be_saved_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StateDir.open(tmp_path) as store:
        book = Book(store)
        number, secret, _ = book.invite("agent", 60.0, 1, now=0.0)

        def full(_name: str, _data: bytes) -> None:
            raise StateDirError("the disk is full")

        with monkeypatch.context() as disk:
            disk.setattr(store, "write", full)
            for _ in range(2):  # nor when it asks once more
                with pytest.raises(StateDirError):
                    book.redeem(number, secret, N2, 1.0)
        assert book.redeem(number, secret, N3, 1.0) == "agent", "and it costs no use"
        assert Book(store).redeem(number, secret, N3, 1.0) == "agent"


def test_invitations_that_are_made_and_used_at_once_are_all_kept(tmp_path: Path) -> None:
    with StateDir.open(tmp_path) as store:
        book = Book(store)
        number, secret, _ = book.invite("agent", 60.0, 8, now=0.0)

        def works(i: int) -> bytes:
            assert book.redeem(number, secret, Requested(NodeName(f"n{i}"), bytes([i]) * 32), 1.0) == "agent"
            return book.invite("agent", 60.0, 1, now=0.0)[0]

        with ThreadPoolExecutor(8) as threads:
            made = set(threads.map(works, range(8)))
        kept = Book(store)._open
    assert set(kept) == made | {number}
    assert (kept[number].uses, len(kept[number].entered)) == (0, 8), "a used one stays for answers that were lost"


def test_a_book_that_is_full_can_be_read_again(tmp_path: Path) -> None:
    with StateDir.open(tmp_path) as store:
        book = Book(store)
        book.issued = {f"{i:064}": Issued(N2.public, "observer", 1e9) for i in range(invites.ISSUED_LIMIT)}
        book.record(Authority.begin(NodeKey.new(), 0.0).issue(N2.name, "agent", N2.public, 0.0))
        used = {f"{i:064}": i.to_bytes(32, "big") for i in range(MOST_USES)}
        for i in range(invites.OPEN_LIMIT):
            number = i.to_bytes(8, "big")
            book._open[number] = _Open(number, bytes(32), "observer", 1e9, 0, used)
        book._save(book._open)
        again = Book(store)
    assert again.issued == book.issued
    assert again._open == book._open


def test_a_name_is_held_for_its_key_until_that_can_no_longer_come_back() -> None:
    book, authority = Book(None), Authority.begin(NodeKey.new(), 0.0)
    book.record(authority.issue(N2.name, "agent", N2.public, 0.0))
    book.check_free(N2.name, N2.public, 1.0)
    with pytest.raises(Refusal, match="the name n2 is taken"):
        book.check_free(N2.name, N3.public, LIFETIME + RENEWED_LATE - 1)
    book.check_free(N2.name, N3.public, LIFETIME + RENEWED_LATE + 1)


def test_a_name_gets_no_second_certificate_within_a_moment_unless_the_clock_was_set_back() -> None:
    book, authority, made = Book(None), Authority.begin(NodeKey.new(), 0.0), 1_000_000.7
    book.check_pace(N2.name, made)
    book.record(authority.issue(N2.name, "agent", N2.public, made))
    for soon in (made, made + invites.RENEWED_EVERY - 1):
        with pytest.raises(Refusal, match="n2 got a certificate less than a minute ago"):
            book.check_pace(N2.name, soon)
    for later in (made - 1, made - LIFETIME, made + AGAIN[0]):
        book.check_pace(N2.name, later)
    book.check_pace(N3.name, made)


def test_names_are_bounded_and_those_that_ended_long_ago_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invites, "ISSUED_LIMIT", 2)
    book, authority = Book(None), Authority.begin(NodeKey.new(), 0.0)
    for name in ("n1", "n2"):
        book.check_free(NodeName(name), b"k", 1.0)
        book.record(authority.issue(NodeName(name), "agent", N2.public, 0.0))
    with pytest.raises(Refusal, match="all that this fleet has room for"):
        book.check_free(NodeName("n3"), N3.public, LIFETIME)
    book.check_free(NodeName("n3"), N3.public, LIFETIME + RENEWED_LATE + 1)
    assert book.issued == {}


def test_files_of_the_book_are_the_owners_alone_and_damage_is_told(tmp_path: Path) -> None:
    with StateDir.open(tmp_path) as store:
        book = Book(store)
        book.invite("agent", 60.0, 1, now=0.0)
        assert (tmp_path / INVITES).stat().st_mode & 0o777 == 0o600
        for name in (INVITES, ISSUED):
            (tmp_path / name).write_bytes(b"[{")
            with pytest.raises(StateDirError, match=f"{name} is damaged.*Remove it"):
                Book(store)
            (tmp_path / name).unlink()


def test_open_invitations_are_bounded_and_expired_or_used_ones_make_room() -> None:
    book = Book(None)
    for _ in range(255):
        book.invite("agent", 60.0, 1, now=0.0)
    number, secret, _ = book.invite("agent", 60.0, 1, now=0.0)
    with pytest.raises(ConfigError, match="256 invitations are open"):
        book.invite("agent", 60.0, 1, now=59.0)
    assert book.redeem(number, secret, N2, 59.0) == "agent"
    book.invite("agent", 60.0, 1, now=59.0)
    book.invite("agent", 60.0, 1, now=60.0)
