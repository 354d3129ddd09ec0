"""A member that turned tells what others have used: more than they did, less, or in their names. Over real sockets."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from meshfleet.errors import Malformed
from meshfleet.fleet.names import AgentId, Epoch, NodeName
from meshfleet.fleet.state import Snapshot
from meshfleet.fleet.usage import Account, Daily, Figures, Usage
from meshfleet.gossip.messages import Revoked, SnapshotMessage
from meshfleet.node.books import Books
from meshfleet.node.ledger import Seen
from meshfleet.node.opening import open_node
from meshfleet.node.trust import Trust, seeded
from meshfleet.wire import cbor
from meshfleet.wire.accounts import OWN, TOLD, Marks, Signer, pack, read_statement
from tests.node.meshing import FLEET, config, counted, see, state
from tests.node.rogue import ROGUE, Rogue

if TYPE_CHECKING:
    from meshfleet.node.node import Node

PATIENCE = 30.0
INFLATED = {"2026-11-01": Usage(10**12, 10**12, 10**12)}


def told_by(rogue: Rogue, agent: str, body: bytes, seq: int) -> SnapshotMessage:
    snapshot = Snapshot(ROGUE, Epoch(1), seq, 0, 0, AgentId(agent), body)  # type: ignore[arg-type]  # a node's name
    return SnapshotMessage(rogue.trust.notary.sign(snapshot))


def signer(rogue: Rogue) -> Signer:
    return Signer(rogue.trust.fleet, rogue.trust.key, rogue.trust.certificate)


def fields(statement: bytes) -> list[object]:
    item = cbor.load(statement, max_depth=5, text_keys=True)
    assert isinstance(item, list)
    return item


async def costs(node: Node, usd: float) -> None:
    while node.fleet().totals.period.cost_usd != usd:
        await node.changed(node.version())


async def test_nobody_can_say_what_another_has_used() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, open_node(config("n2", n1.address)) as n2, rogue.stream(n1) as frames:
            await see(n1, 3)
            n2.publish(msgspec.structs.replace(state("n2/a"), cost_usd=2.0))
            await costs(n1, 2.0)
            (genuine,) = n2.accounting.books.accounts.values()
            period = n1.fleet().totals.period.start
            inflated = Account("n2", genuine.ledger, genuine.seq + 1, genuine.at, {period: Usage(10**12, 0, 0)})
            day = n1.fleet().totals.today
            assert day is not None
            made_up = Daily(day.day, Usage(10**12, 10**12, 10**12))
            inflated = msgspec.structs.replace(inflated, newest=made_up)
            by_me = fields(signer(rogue).account(inflated))
            by_me[2] = "n2"
            theirs = fields(n1.accounting.books._bytes[(1, genuine.key)])
            theirs[6] = [[20261101, 10**12, 0, 0]]
            days = fields(n1.accounting.books._bytes[(1, genuine.key)])[:9] + by_me[9:]
            lies = [cbor.dump(by_me), cbor.dump(theirs), cbor.dump(days), b"noise"]
            for seq, name in enumerate((OWN, TOLD + "00"), 1):
                body = pack([*lies, seq.to_bytes(2, "big")])
                await frames.send(rogue.packet(told_by(rogue, name, body, seq)))
            await counted(n1, "forged_account", 6)
            assert n1.fleet().totals.today == day
            assert n1.fleet().totals.period.cost_usd == 2.0
            assert {account.node for account in n1.accounting.books.accounts.values()} == {"n2"}


async def test_a_day_that_a_member_makes_up_is_no_more_than_the_period_that_stands_under_its_name() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, rogue.stream(n1) as frames:
            await see(n1, 2)
            n1.publish(msgspec.structs.replace(state("n1/a"), cost_usd=2.0, session="s1"))
            await costs(n1, 2.0)
            now, period, today = int(time.time()), n1.fleet().totals.period.start, n1.fleet().totals.today
            assert today is not None
            most = Usage(2**53 - 1, 2**53 - 1, 2**53 - 1)
            said = [
                Account(ROGUE, b"ledger-1", 1, now, {period: Usage(1_000_000)}, Daily(today.day, most)),
                Account(ROGUE, b"ledger-2", 1, now, {period: Usage(1_000_000)}, Daily("9999-12-31", most)),
                Account(ROGUE, b"ledger-3", 1, now, {"2020-01-01": most}, Daily("2020-13-99", most)),
                Account(ROGUE, b"ledger-4", 1, now, {}, Daily(today.day, most)),
            ]
            body = pack([signer(rogue).account(each) for each in said])
            await frames.send(rogue.packet(told_by(rogue, OWN, body, 1)))
            await costs(n1, 4.0)
            shown = n1.fleet().totals.today
            assert shown is not None
            assert (shown.day, shown.cost_usd) == (today.day, 3.0)
            assert {name: spent.cost_usd for name, spent in (await n1.cost()).by_node.items()}[ROGUE] == 2.0
            n1.publish(msgspec.structs.replace(state("n1/a"), cost_usd=3.0, session="s1"))
            await costs(n1, 5.0)


async def test_a_liar_takes_nothing_from_what_others_count_and_drives_nobody_out() -> None:
    with Rogue() as rogue, trio.fail_after(PATIENCE):
        async with open_node(config("n1")) as n1, rogue.stream(n1) as frames:
            await see(n1, 2)
            n1.publish(msgspec.structs.replace(state("n1/a"), cost_usd=2.0, session="s1"))
            await costs(n1, 2.0)
            now, session = int(time.time()), Seen("n1/a", "s1", None, "test", Figures(), "2026-11-25")
            marks = Marks(ROGUE, b"ledger-9", 1, now, {session.key: Usage(10**12, 10**12, 10**12)})
            await frames.send(rogue.packet(told_by(rogue, TOLD + "m0", pack([signer(rogue).marks(marks)]), 1)))
            sign = signer(rogue)
            for i in range(3):  # in its own name it may say what it likes: it is kept to so many
                ids = [n.to_bytes(8, "big") for n in range(20 * i, 20 * i + 20)]
                accounts = [sign.account(Account(ROGUE, each, 1, now + i, {"2020-01-01": Usage(1)})) for each in ids]
                await frames.send(rogue.packet(told_by(rogue, f"{TOLD}0{i}", pack(accounts), 2 + i)))
            await counted(n1, "dropped_ledger", 1)
            n1.publish(msgspec.structs.replace(state("n1/a"), cost_usd=3.0, session="s1"))
            await costs(n1, 3.0)


def test_an_old_statement_is_believed_and_one_from_after_its_certificate_is_not() -> None:
    identity = seeded(FLEET, "n1", 1_000_000.0)
    signs = Signer(identity.fleet, identity.key, identity.certificate)
    while_it_was = Account("n1", b"ledger-1", 1, 1_000_001, INFLATED)
    after_it = msgspec.structs.replace(while_it_was, at=int(identity.certificate.not_after) + 1)
    year_later = identity.certificate.not_after + 365 * 86_400.0
    assert read_statement(identity.fleet, signs.account(while_it_was), year_later) == while_it_was
    with pytest.raises(Malformed, match="nobody vouches"):
        read_statement(identity.fleet, signs.account(after_it), year_later)


def test_of_a_node_that_was_thrown_out_what_it_said_before_is_kept_and_nothing_after() -> None:
    now, counts = time.time(), Counter[str]()
    revoked, me = seeded(FLEET, "n2", now), Trust(seeded(FLEET, "n1", now), lambda: now)
    me.cast_out(Revoked("n2", int(now * 1000), bytes(64)))
    signs = Signer(revoked.fleet, revoked.key, revoked.certificate)
    books = Books(NodeName("n1"), me, counts, lambda: now)
    before = Account("n2", b"ledger-1", 1, int(now) - 10, INFLATED)
    after = msgspec.structs.replace(before, seq=2, at=int(now) + 10)
    assert books.take(signs.account(before))
    assert not books.take(signs.account(after))
    assert books.accounts == {before.key: before}
    assert counts["revoked_account"] == 1


@settings(max_examples=50)
@given(st.data())
def test_in_whatever_order_accounts_come_all_nodes_end_up_with_the_same(data: st.DataObject) -> None:
    now = 1_795_000_000.0
    identities = {name: seeded(FLEET, name, now) for name in ("n1", "n2")}
    used = st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
    told = data.draw(
        st.lists(
            st.builds(
                Account,
                st.sampled_from(["n1", "n2"]),
                st.sampled_from([b"ledger-1", b"ledger-2"]),
                st.integers(0, 3),
                st.just(int(now)),
                st.dictionaries(st.sampled_from(["2026-10-01", "2026-11-01"]), used),
                st.none() | st.builds(Daily, st.sampled_from(["2026-11-25", "2026-11-26"]), used),
            ),
            max_size=8,
        )
    )
    signed = [Signer(i.fleet, i.key, i.certificate).account(a) for a in told for i in [identities[a.node]]]
    here, there = (Books(NodeName("n9"), Trust(identities["n1"], lambda: now), Counter(), lambda: now) for _ in "ab")
    for each in [*signed, *signed]:
        here.take(each)
    for each in data.draw(st.permutations(signed)):
        there.take(each)
    assert here.accounts == there.accounts
    for account in told:
        assert here.accounts[account.key].rank >= account.rank
