"""The entrance of a fleet, seen from inside: newcomers with an invitation are let in, members get what they come for.

Who has no certificate can do one thing here: show an invitation. Everything is answered with what was asked for or a
sentence why not, and counted.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from meshfleet.errors import StateDirError, WireError
from meshfleet.logs import get_logger
from meshfleet.node.invites import Refusal
from meshfleet.wire import entrance
from meshfleet.wire.entrance import (
    REVOKED_TOLD,
    Admitted,
    At,
    Enter,
    FetchFleet,
    FetchRing,
    FindDelegates,
    FindZone,
    FleetPart,
    Refused,
    Renew,
    RingIs,
    Welcome,
    Where,
    Word,
)
from meshfleet.wire.identity import read_request
from meshfleet.wire.seal import FRAME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.gossip.limits import Counts
    from meshfleet.gossip.messages import Revoked
    from meshfleet.node.frames import Hello
    from meshfleet.node.invites import Book
    from meshfleet.node.trust import Trust
    from meshfleet.wire.identity import Authority, Certificate

QUESTION_LIMIT = 768
"""Bytes of a question. Strangers may ask: what they send is bounded before it is read, so that it costs less than 1 ms
and 64 KiB. A real one has at most 270."""

PLACES = 16
"""Addresses in an answer."""

PART_BYTES = 48_000
"""Of a packed view, in each frame."""

HANGING_UP = 1.0
"""Seconds that whoever was answered has to close the stream. Closing first could take the answer from it."""

_T = TypeVar("_T")

log = get_logger("meshfleet.node")


class Directory(Protocol):
    """What is known of zones, where a fleet is on two levels."""

    def delegates(self) -> tuple[Address, ...]:
        """Where those listen, in the upper mesh, who speak for this zone."""
        ...

    def of_zone(self, zone: str) -> tuple[Address, ...]:
        """Where members of a zone listen."""
        ...

    def view(self) -> bytes:
        """This zone's view, as JSON."""
        ...


class Entrance:
    """Answers at the entrance of one node."""

    def __init__(
        self,
        trust: Trust,
        book: Book | None,
        counts: Counts,
        issuers: Callable[[], list[NodeName]],
        is_live: Callable[[NodeName], bool],
        directory: Directory,
    ) -> None:
        self._directory = directory
        self._trust = trust
        self._book = book
        """Where the authority's key is."""
        self._counts = counts
        self._issuers = issuers
        self._is_live = is_live
        self._one_at_a_time = trio.Lock()
        self._one_view_at_a_time = trio.Lock()

    async def serve(self, hello: Hello, source: Address) -> None:
        """Answer one question."""
        hello.frames.limit = QUESTION_LIMIT
        await hello.frames.send(entrance.dump(Welcome(self._trust.fleet.der)))
        try:
            answer = await self._answer(entrance.load(await hello.frames.receive()), hello, source)
        except Refusal as error:
            answer = Refused(str(error))
        except WireError as error:
            answer = Refused(f"{error}.")
        except StateDirError as error:
            log.error("nobody can be let in while the state dir can't be written", why=str(error))
            answer = Refused("the node that was asked can't write its state dir; its log has more.")
        if isinstance(answer, Refused):
            self._counts["entrance_refused"] += 1
            log.info("refused at the entrance", source=str(source), why=answer.why)
        hello.frames.limit = FRAME_LIMIT
        await hello.frames.send(entrance.dump(answer))
        with trio.move_on_after(HANGING_UP):
            await hello.frames.receive()

    async def _answer(self, word: Word, hello: Hello, source: Address) -> Word:
        match word:
            case Enter():
                certificate = await self._let_in(word)
                admitted = self._admitted(certificate)
                log.info("let in by invitation", node=certificate.name, role=certificate.role, source=str(source))
                return admitted
            case Renew():
                known = self._trust.admit_late(hello.certificate)
                admitted = self._admitted(await self._issue(known.name, known.role, known.public, again=True))
                log.info("gave a new certificate", node=known.name, role=known.role, source=str(source))
                return admitted
            case FetchRing():
                self._trust.admit(hello.certificate)
                return RingIs(self._trust.ring.dump(), self._revoked())
            case FindDelegates():
                self._trust.admit(hello.certificate)
                return _at(self._directory.delegates())
            case FindZone():
                self._trust.admit(hello.certificate)
                return _at(self._directory.of_zone(word.zone))
            case FetchFleet():
                self._trust.admit(hello.certificate)
                return await self._tell_all(hello)
            case _:
                raise Refusal("that is nothing to ask for here.")

    async def _tell_all(self, hello: Hello) -> FleetPart:
        """Tell all parts of the view but the last; that is returned."""
        async with self._one_view_at_a_time:
            self._trust.admit(hello.certificate)  # again, after its turn came
            packed = await trio.to_thread.run_sync(zlib.compress, self._directory.view(), 1)
        hello.frames.limit = FRAME_LIMIT
        parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
        for part in parts[:-1]:
            await hello.frames.send(entrance.dump(FleetPart(part, more=True)))
        return FleetPart(parts[-1], more=False)

    def _admitted(self, certificate: Certificate) -> Admitted:
        """The ring of this moment goes to nobody who was thrown out while the certificate was made and written down:
        it is the one that was made to keep them out."""
        if self._trust.is_revoked(certificate.name):
            raise Refusal(f"{certificate.name} was revoked.")
        return Admitted(certificate.der, self._trust.ring.dump(), self._revoked())

    def _revoked(self) -> tuple[Revoked, ...]:
        """The newest: who was thrown out last is whom a ring made since is to be kept from, and whom gossip may not
        have told of yet. In which order they were heard here says nothing of it."""
        return tuple(sorted(self._trust.revoked, key=lambda each: each.at_ms)[-REVOKED_TOLD:])

    async def _let_in(self, word: Enter) -> Certificate:
        who = read_request(word.request)
        _, book = self._office()
        if self._trust.is_revoked(who.name):
            raise Refusal(
                f"{who.name} was revoked, and that name is given to nobody again. Choose another with --name."
            )
        known = book.issued.get(who.name)
        if self._is_live(who.name) and (known is None or known.public != who.public):
            raise Refusal(f"the name {who.name} is taken by another node of this fleet. Choose another with --name.")
        async with self._one_at_a_time:
            role = await self._written(lambda: book.redeem(word.invite, word.secret, who, self._trust.wall()))
        return await self._issue(who.name, role, who.public)

    async def _issue(self, name: NodeName, role: str, public: bytes, *, again: bool = False) -> Certificate:
        """`again`: for the asking alone, without an invitation; so not as often as somebody likes."""
        authority, book = self._office()
        async with self._one_at_a_time:
            now = self._trust.wall()
            if again:
                book.check_pace(name, now)
            book.check_free(name, public, now)
            certificate = authority.issue(name, role, public, now)
            await self._written(lambda: book.record(certificate))
        return certificate

    def _office(self) -> tuple[Authority, Book]:
        if self._trust.authority is None or self._book is None:
            holders = ", ".join(self._issuers())
            where = f"Ask {holders}." if holders else "Nobody is known here who does."
            raise Refusal(f"this node does not hold the fleet's authority. {where}")
        return self._trust.authority, self._book

    async def _written(self, write: Callable[[], _T]) -> _T:
        assert self._book is not None
        return await trio.to_thread.run_sync(write) if self._book.is_kept else write()


def _at(addresses: tuple[Address, ...]) -> At:
    return At(tuple(Where(address.host, address.port) for address in addresses[:PLACES]))
