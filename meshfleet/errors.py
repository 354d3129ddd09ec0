"""Every error that meshfleet raises on purpose, as one small tree.

    MeshfleetError
    ├── ConfigError       what the operator gave us is wrong: a flag, a key in meshfleet.toml, an address
    ├── StateDirError     the state dir can't be used: not ours, not writable, held by another node
    ├── JoinError         a peer could not be joined, and why
    ├── PublishError      what an agent wants to publish can't travel
    ├── AccessDenied      what a reader showed lets it in nowhere, and why
    ├── NoAnswer          no node answered where one was expected
    ├── Refused           the node answered that it won't, or can't
    ├── RuntimeDataError  a runtime's file can't be read at all (single bad lines are counted, never raised)
    ├── TelemetryError    what a program sent as telemetry is none; the message shows nothing of what was in it
    │   ├── NotInstalled  nobody here can read that encoding
    │   └── Busy          as much is waiting to be read as may wait
    └── WireError         bytes from the network; never leaves the node: counted by cause and dropped
        ├── Malformed     authentic, but not a message of ours
        ├── Unsealed      not sealed with a key of this fleet: a stranger's, or damaged
        ├── Replayed      sealed by this fleet, and here before
        ├── Untrusted     a certificate that is not of this fleet, has expired, was revoked, or is another's
        └── TooBig        over the limit of its transport

A message says what was wrong, with which value, and what to do about it.
"""

from __future__ import annotations


class MeshfleetError(Exception):
    """Base of all errors of this package."""


class ConfigError(MeshfleetError):
    """The operator's input is wrong. Nothing was changed."""


class StateDirError(MeshfleetError):
    """The state dir can't be used. Nothing in it was changed."""


class JoinError(MeshfleetError):
    """A peer could not be joined. The node goes on with the peers it has."""


class PublishError(MeshfleetError):
    """A state can't travel. The last published state of the agent stays as it was."""


class AccessDenied(MeshfleetError):
    """A key, token, proof or code that is not good, or not any more. The message goes on from "it"; it shows no
    secret."""


class NoAnswer(MeshfleetError):
    """No node answered where one was expected."""


class Refused(MeshfleetError):
    """The node answered that it won't, or can't."""


class RuntimeDataError(MeshfleetError):
    """A runtime's file can't be read. Other sessions are not affected."""


class TelemetryError(MeshfleetError):
    """What was sent as telemetry is none. Nothing of it was counted. The message shows nothing of what was in it."""


class NotInstalled(TelemetryError):
    """What reads that encoding is not installed."""


class Busy(TelemetryError):
    """As much is waiting to be read as may wait. The same may be sent again."""


class WireError(MeshfleetError):
    """Bytes from the network that are of no use. The receiver's state is unchanged."""

    cause = "wire"
    """Name of the drop counter that this error raises by one."""


class Malformed(WireError):
    """Authentic, yet not a message of this protocol."""

    cause = "malformed"


class Unsealed(WireError):
    """Not sealed with a key of this fleet."""

    cause = "unsealed"


class Replayed(WireError):
    """Authentic, and here before: a copy that the network or somebody on the way made."""

    cause = "replayed"


class Untrusted(WireError):
    """A certificate or a signature that proves nothing to this fleet."""

    cause = "untrusted"


class TooBig(WireError):
    """Over the limit of its transport."""

    cause = "too_big"
