"""What is settled before a node runs: who it is, what it may be, where it listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.errors import CarriesNone, ConfigError
from meshfleet.wire.identity import OBSERVER

if TYPE_CHECKING:
    from meshfleet.fleet.names import Address, NodeName
    from meshfleet.node.config import NodeConfig
    from meshfleet.node.network import Network
    from meshfleet.node.trust import Identity, Trust
    from meshfleet.node.vault import Vault


def role_of(config: NodeConfig, trust: Trust) -> str:
    """A certificate for an observer makes no agent's node, whatever the settings say."""
    return OBSERVER if trust.certificate.role == OBSERVER else config.role


def refuse_observer(role: str, name: NodeName) -> None:
    """CarriesNone where a node only looks. Nobody would believe what it says of agents."""
    if role == OBSERVER:
        raise CarriesNone(
            f"{name} is an observer, which carries no agents. Where it was not invited as one, start it with --role "
            "agent; else have it invited anew."
        )


def identity_of(config: NodeConfig, vault: Vault | None, now: float) -> Identity:
    """With what the node shows who it is. ConfigError where it has nothing, or goes by another name."""
    if config.identity is not None:
        if config.identity.name != config.name:
            raise ConfigError(f"the identity is that of {config.identity.name}, and the node is to be {config.name}.")
        return config.identity
    if vault is None:
        raise ConfigError("a node without a state dir needs an identity: give one that its fleet's authority made.")
    return vault.identity(config.name, now)


async def resolved(network: Network, address: Address) -> Address:
    """The address to bind, as an IP address. ConfigError where there is none."""
    try:
        return await network.resolve(address)
    except OSError as error:
        raise ConfigError(
            f"{address.host!r} can't be resolved: {error.strerror or error}. Give an IP address of this machine."
        ) from error
