"""The entrance of a fleet, seen from outside: entering with an invitation, and fetching what members need.

Every error is a JoinError, in words for the log or the operator.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import trio

from meshfleet.errors import ConfigError, JoinError, Malformed, Untrusted, WireError
from meshfleet.fleet.names import Address, is_listener
from meshfleet.fleet.view import FleetView
from meshfleet.logs import get_logger
from meshfleet.node import tls
from meshfleet.node.frames import broken_because, greet
from meshfleet.node.store import StateDir
from meshfleet.node.trust import RENEWED_LATE, Identity
from meshfleet.node.vault import Vault
from meshfleet.wire import entrance
from meshfleet.wire.entrance import (
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
    Word,
)
from meshfleet.wire.identity import Fleet, NodeKey
from meshfleet.wire.revocation import is_genuine
from meshfleet.wire.ring import Ring, read_ring

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from meshfleet.fleet.names import NodeName
    from meshfleet.gossip.messages import Revoked
    from meshfleet.node.frames import Hello
    from meshfleet.node.invites import Invite
    from meshfleet.node.network import Network
    from meshfleet.node.trust import Trust
    from meshfleet.wire.identity import Certificate


class NotLetIn(JoinError):
    """The entrance answered that it won't, and why."""


VIEW_LIMIT = 8 * 1024 * 1024
"""Bytes of a zone's view, unpacked: 1,000 agents take 1 MB."""

PARTS = 128
"""Frames of one, 48,000 bytes each."""

PATIENCE = 10.0
"""Seconds for the whole of one visit to the entrance."""

log = get_logger("meshfleet.node")


async def enter(network: Network, invite: Invite, name: NodeName, key: NodeKey, wall: Callable[[], float]) -> Identity:
    """Become a member of the fleet that `invite` is of, through the first of its addresses that answers."""
    if wall() >= invite.expires:
        raise JoinError("this invitation has expired, by this machine's clock. Ask for a new one.")
    failures: list[str] = []
    for address in invite.where():
        try:
            fleet, answer = await _visit(
                network,
                address,
                tls.newcomers(),
                lambda hello, welcome: _same_fleet(hello, welcome, invite, wall()),
                Enter(invite.invite, invite.secret, key.request(name)),
            )
        except JoinError as error:
            failures.append(str(error))
            continue
        return _identity(fleet, answer, name, key, wall())
    raise JoinError(" ".join(failures))


async def enter_once(
    network: Network, invite: Invite, name: NodeName, state_dir: Path | None, wall: Callable[[], float]
) -> Identity:
    """The same, kept in `state_dir`; a state dir that is of that fleet already is left as it is, but for a certificate
    that is not good now: then its node enters anew, with the key that it has. ConfigError where it is of another fleet.
    Without a state dir the identity lasts as long as the process."""
    if state_dir is None:
        return await enter(network, invite, name, NodeKey.new(), wall)
    with StateDir.open(state_dir) as store:
        vault = Vault(store)
        known = vault.load_unless_interrupted()
        if known is None:
            known = await enter(network, invite, name, vault.key_to_join_with(), wall)
            vault.install(known)
        elif known.fleet.fingerprint != invite.fingerprint:
            raise ConfigError(
                f"{state_dir} belongs to another fleet than the invitation. Give --state-dir another folder, or "
                "remove this one to change over."
            )
        # Under another name it does not start at all, and who holds the authority makes its own certificate.
        elif known.name == name and known.authority is None and not known.certificate.is_good(wall()):
            known = await _enter_anew(network, invite, known, vault, wall)
        return known


async def _enter_anew(
    network: Network, invite: Invite, known: Identity, vault: Vault, wall: Callable[[], float]
) -> Identity:
    """Be let in once more. Where that fails, a node that may still get a new certificate for its old one goes on as it
    is: an invitation that was used up long ago may stand in its settings."""
    try:
        entered = await enter(network, invite, known.name, known.key, wall)
    except JoinError as error:
        if wall() > known.certificate.not_after + RENEWED_LATE:
            raise
        log.warning("this node's certificate is not good now, and it was not let in anew; it will ask for another",
                    why=str(error))  # fmt: skip
        return known
    revoked = {each.name: each for each in (*known.revoked, *entered.revoked)}  # of the newest alone it was told
    entered = msgspec.structs.replace(entered, revoked=tuple(revoked.values()))
    vault.install(entered)
    log.info("this node's certificate was not good any more; it was let in anew", node=entered.name)
    return entered


async def renew(network: Network, trust: Trust, address: Address) -> Certificate:
    """A new certificate for the same name and key, from a node that holds the authority."""
    fleet, answer = await _visit(network, address, trust.entering, _ours(trust), Renew())
    if not isinstance(answer, Admitted):
        raise JoinError(f"{address} answered nothing that was asked for.")
    certificate = fleet.verify(answer.certificate, trust.wall())
    if (certificate.name, certificate.public) != (trust.certificate.name, trust.key.public):
        raise JoinError(f"{address} gave a certificate for another node.")
    return certificate


async def fetch_ring(network: Network, trust: Trust, address: Address) -> tuple[Ring, tuple[Revoked, ...]]:
    """The keyring that the node at `address` holds, and who it knows was thrown out."""
    fleet, answer = await _visit(network, address, trust.entering, _ours(trust), FetchRing())
    if not isinstance(answer, RingIs):
        raise JoinError(f"{address} answered nothing that was asked for.")
    return read_ring(fleet, answer.ring), _genuine(fleet, answer.revoked)


async def find_delegates(network: Network, trust: Trust, address: Address) -> tuple[Address, ...]:
    """Where those listen, in the upper mesh, who speak for the zone of the node at `address`."""
    return await _where(network, trust, address, FindDelegates())


async def find_zone(network: Network, trust: Trust, address: Address, zone: str) -> tuple[Address, ...]:
    """Where members of a zone are, as far as the node at `address` knows; itself, where it is one."""
    return await _where(network, trust, address, FindZone(zone))


async def _where(network: Network, trust: Trust, address: Address, question: Word) -> tuple[Address, ...]:
    _, answer = await _visit(network, address, trust.entering, _ours(trust), question)
    if not isinstance(answer, At):
        raise JoinError(f"{address} answered nothing that was asked for.")
    return tuple(Address(place.host, place.port) for place in answer.where if is_listener(place.host))


async def fetch_fleet(network: Network, trust: Trust, address: Address) -> FleetView:
    """The view that the node at `address` has of its zone."""
    parts: list[bytes] = []

    def take(answer: Word) -> bool:
        if not isinstance(answer, FleetPart):
            return False
        parts.append(answer.data)
        return answer.more and len(parts) < PARTS

    await _visit(network, address, trust.entering, _ours(trust), FetchFleet(), goes_on=take)
    try:
        return await trio.to_thread.run_sync(read_view, b"".join(parts))
    except Malformed as error:
        raise JoinError(f"{address}: {error}.") from error


def read_view(packed: bytes) -> FleetView:
    """A view as it was packed by whoever has it. Malformed where it is none, or of more than VIEW_LIMIT bytes."""
    unpacking = zlib.decompressobj()
    try:
        view = unpacking.decompress(packed, VIEW_LIMIT)
        if not unpacking.eof:
            raise Malformed(f"a view of its zone that is cut off, or over {VIEW_LIMIT:,} bytes")
        return msgspec.json.decode(view, type=FleetView)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no view of a zone ({error})") from error


async def _visit(
    network: Network,
    address: Address,
    context: ssl.SSLContext,
    welcomed: Callable[[Hello, Welcome], Fleet],
    question: Word,
    goes_on: Callable[[Word], bool] = lambda _answer: False,
) -> tuple[Fleet, Word]:
    """Ask one question. Nothing is said before `welcomed` found that it is asked of the right one. `goes_on` says of
    each answer whether another one follows."""
    try:
        with trio.fail_after(PATIENCE):
            stream = await network.dial(await network.resolve(address))
            try:
                hello = await greet(stream, context, dialled=True)
                welcome = entrance.load(await hello.frames.receive())
                if not isinstance(welcome, Welcome):
                    raise JoinError(f"{address} is not the entrance of a fleet.")
                fleet = welcomed(hello, welcome)
                await hello.frames.send(entrance.dump(question))
                answer = entrance.load(await hello.frames.receive())
                while goes_on(answer):
                    answer = entrance.load(await hello.frames.receive())
            finally:
                await trio.aclose_forcefully(stream)
    except trio.TooSlowError:
        raise JoinError(f"{address} did not answer within {PATIENCE:.0f} s.") from None
    except trio.BrokenResourceError as error:
        why = broken_because(BaseExceptionGroup("", [error])) or "it closed the connection"
        raise JoinError(f"{address}: {why}.") from error
    except OSError as error:
        raise JoinError(f"{address} can't be reached: {(error.strerror or str(error)).lower()}.") from error
    except WireError as error:
        raise JoinError(f"{address}: {error}.") from error
    if isinstance(answer, Refused):
        raise NotLetIn(f"{address} refused: {answer.why}")
    return fleet, answer


def _same_fleet(hello: Hello, welcome: Welcome, invite: Invite, now: float) -> Fleet:
    """The fleet, if it is the one that the invitation is of, and the node the one that made it."""
    fleet = Fleet(welcome.fleet)
    if fleet.fingerprint != invite.fingerprint or hello.certificate is None:
        raise JoinError(
            f"who answers is of the fleet {fleet.fleet_id.hex()[:8]}, and the invitation is of "
            f"{invite.fingerprint.hex()[:8]}. The secret was not told to it."
        )
    certificate = fleet.verify(hello.certificate, now)
    if certificate.name != invite.node:
        raise JoinError(f"{certificate.name} answers, and {invite.node} invited. The secret was not told to it.")
    return fleet


def _ours(trust: Trust) -> Callable[[Hello, Welcome], Fleet]:
    def check(hello: Hello, _welcome: Welcome) -> Fleet:
        trust.admit(hello.certificate)
        return trust.fleet

    return check


def _identity(fleet: Fleet, answer: Word, name: NodeName, key: NodeKey, now: float) -> Identity:
    if not isinstance(answer, Admitted):
        raise JoinError("the fleet's entrance answered nothing that was asked for.")
    try:
        certificate, ring = fleet.read_certificate(answer.certificate), read_ring(fleet, answer.ring)
    except WireError as error:
        raise JoinError(f"the fleet's entrance gave what can't be used: {error}.") from error
    if (certificate.name, certificate.public) != (name, key.public):
        raise JoinError(f"the fleet's entrance gave a certificate for another node, {certificate.name}.")
    try:
        fleet.verify(certificate.der, now)
    except Untrusted as error:
        raise JoinError(
            f"the fleet's entrance gave what is not good now: {error}. The clock of this machine is wrong, or that of "
            "the node that invited it. Put it right, then use the same invitation again."
        ) from error
    return Identity(fleet, key, certificate, ring, None, _genuine(fleet, answer.revoked))


def _genuine(fleet: Fleet, revoked: tuple[Revoked, ...]) -> tuple[Revoked, ...]:
    return tuple(each for each in revoked if is_genuine(fleet, each))
