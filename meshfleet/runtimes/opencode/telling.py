"""The JSON of opencode's events and answers, as far as anything of it is looked at.

Structs are the allow-list: a field that has no place here is skipped by the decoder and never becomes an object. Old
and new names of an event's fields stand side by side (`requestID`, `permissionID`).
"""

from __future__ import annotations

import msgspec

from meshfleet.runtimes.record import counted
from meshfleet.runtimes.usage import Usage


class Cache(msgspec.Struct, frozen=True, gc=False):
    """Tokens of the prompt that were cached, or are now."""

    read: object = None
    write: object = None


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Of one answer, or of a session: each kind excludes the others. `total` is what the context holds after it."""

    input: object = None
    output: object = None
    reasoning: object = None
    cache: Cache = Cache()
    total: object = None

    def plain(self) -> Usage:
        """The same in our words: reasoning is output."""
        return Usage(
            fresh=counted(self.input),
            cache_read=counted(self.cache.read),
            cache_write=counted(self.cache.write),
            output=counted(self.output) + counted(self.reasoning),
        )


class Model(msgspec.Struct, frozen=True, gc=False):
    """Which model, as a session names it."""

    id: str | None = None
    providerID: str | None = None


class Time(msgspec.Struct, frozen=True, gc=False):
    """Milliseconds since 1970."""

    created: object = None
    updated: object = None
    start: object = None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """What of an error's data is looked at: not its text."""

    statusCode: object = None


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error of a session."""

    name: str | None = None
    data: Refusal = Refusal()


class Info(msgspec.Struct, frozen=True, gc=False):
    """A session or a message."""

    id: str | None = None
    sessionID: str | None = None
    parentID: str | None = None
    role: str | None = None
    directory: str | None = None
    time: Time = Time()
    cost: object = None
    tokens: Tokens | None = None
    model: Model | None = None
    modelID: str | None = None
    providerID: str | None = None


class ToolState(msgspec.Struct, frozen=True, gc=False):
    """How far a tool call is."""

    status: str | None = None
    time: Time = Time()


class Part(msgspec.Struct, frozen=True, gc=False):
    """A part of a message. Of all kinds only `tool` is looked at."""

    type: str | None = None
    tool: str | None = None
    callID: str | None = None
    sessionID: str | None = None
    state: ToolState | None = None


class Doing(msgspec.Struct, frozen=True, gc=False):
    """`busy`, `idle` or `retry`."""

    type: str | None = None


class Call(msgspec.Struct, frozen=True, gc=False):
    """The tool call that a request for a person's word is about."""

    callID: str | None = None


class Properties(msgspec.Struct, frozen=True, gc=False):
    """What an event says. Which fields it has depends on its type."""

    id: str | None = None
    sessionID: str | None = None
    requestID: str | None = None
    permissionID: str | None = None
    info: Info | None = None
    part: Part | None = None
    status: Doing | None = None
    error: Failure | None = None
    tool: Call | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of `/event`."""

    type: str = ""
    properties: Properties = Properties()


class _Typed(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    payload: msgspec.Raw = msgspec.Raw()


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as `/session/ID/message` lists it."""

    info: Info
    parts: list[Part] = []


class Request(msgspec.Struct, frozen=True, gc=False):
    """What waits for a person, as `/permission` and `/question` list it."""

    id: str
    sessionID: str


class _Limit(msgspec.Struct, frozen=True, gc=False):
    context: object = None


class _Offered(msgspec.Struct, frozen=True, gc=False):
    limit: _Limit = _Limit()


class _Provider(msgspec.Struct, frozen=True, gc=False):
    id: str
    models: dict[str, _Offered] = {}


class _Providers(msgspec.Struct, frozen=True, gc=False):
    providers: list[_Provider]


LOOKED_AT = frozenset(
    {
        "message.part.updated",
        "message.updated",
        "permission.asked",
        "permission.replied",
        "permission.updated",
        "question.asked",
        "question.rejected",
        "question.replied",
        "session.created",
        "session.deleted",
        "session.error",
        "session.idle",
        "session.status",
        "session.updated",
    }
)
"""Types of events that tell something. The others are not decoded further."""

_typed = msgspec.json.Decoder(_Typed)
_properties = msgspec.json.Decoder(Properties)
_sessions = msgspec.json.Decoder(list[Info])
_doing = msgspec.json.Decoder(dict[str, Doing])
_messages = msgspec.json.Decoder(list[Message])
_requests = msgspec.json.Decoder(list[Request])
_providers = msgspec.json.Decoder(_Providers)

WINDOWS_LIMIT = 8192
"""Models of one server whose windows are kept. All that opencode knows of are some 5,000."""


def event(data: bytes) -> Event | None:
    """The event, of `/event` or wrapped as in `/global/event`; None where it is of no type that is looked at.
    msgspec.DecodeError where it has another shape."""
    typed = _typed.decode(data)
    if not typed.type and bytes(typed.payload):
        typed = _typed.decode(typed.payload)
    if typed.type not in LOOKED_AT:
        return None
    return Event(typed.type, _properties.decode(typed.properties))


def sessions(data: bytes) -> list[Info]:
    """`GET /session`"""
    return _sessions.decode(data)


def doing(data: bytes) -> dict[str, Doing]:
    """`GET /session/status`: those that do something."""
    return _doing.decode(data)


def messages(data: bytes) -> list[Message]:
    """`GET /session/ID/message`"""
    return _messages.decode(data)


def requests(data: bytes) -> list[Request]:
    """`GET /permission`, `GET /question`"""
    return _requests.decode(data)


def windows(data: bytes) -> dict[tuple[str, str], int]:
    """`GET /config/providers` -> tokens that a model's context holds, by provider and model. The keys to the
    providers that stand beside are skipped."""
    found: dict[tuple[str, str], int] = {}
    for provider in _providers.decode(data).providers:
        for model, offered in provider.models.items():
            window = counted(offered.limit.context)
            if window and len(found) < WINDOWS_LIMIT:
                found[provider.id, model] = window
    return found
