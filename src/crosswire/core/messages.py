"""The client protocol: the messages between a server and its clients, in JSON and in MessagePack.

An event is ``{"event", "payload"}``. A client's call adds ``"callbackId"`` and is answered
``{"payload", "callbackId"}`` or ``{"callbackId", "error"}``; a server's call adds ``"callId"`` and is answered
``{"callId", "payload"}`` or ``{"callId", "error"}``. The order of the keys is the original's. Events and calls of a
peer that traces end in ``"traceparent"``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire.errors import EventError

MAX_CALL_ID = 64
"""The longest id of a call, in characters."""

MSGPACK_SUBPROTOCOL = "crosswire.msgpack"
"""The WebSocket subprotocol of a client that wants MessagePack."""

VERSION_PARAMETER = "_cw"
"""Parameter of the URL with the version of this protocol that a client speaks; the original's clients have none.

1: the client waits for :data:`READY` before it counts as open, and heartbeats that it sent before are echoed after it.
2: it also keeps its position in each room that has a history, and is told of the room with :data:`ROOM`.
"""

KEEPS_POSITIONS = 2
"""Version from which on a client keeps its positions in rooms."""

POSITIONS_PARAMETER = "_cw_at"
"""Parameter of the URL with the positions that a client has kept, joined by commas, the newest first."""

MAX_OFFERED = 4096
"""Characters of :data:`POSITIONS_PARAMETER` that are read."""

RENEWAL_PARAMETER = "_cw_renew"
"""Parameter of the URL of a client that answers :data:`RENEW`: 1."""

SERVER_HEADER = "Crosswire"
"""Header field in the response to the upgrade: the server knows :data:`VERSION_PARAMETER`."""

READY = "$ready"
"""Event for a client of version 1: it is let in, its events are handled from now on, and its user is reachable."""

RENEW = "$renew"
"""Call to a client with :data:`RENEWAL_PARAMETER`: it answers with the parameters of its next URL, and a new token."""

ROOM = "$room"
"""Event for a client of version 2: its position in a room, after a join and whenever what it has heard is not all."""

LEFT = "$left"
"""Event for a client of version 2: it is no longer in a room that keeps history, and may forget its position."""

BACKGROUND = "$background"
FOREGROUND = "$foreground"
"""Events of a client: its application was hidden, and is visible again."""


ABSENT = msgspec.Raw(b"")
"""Payload of a message that has none."""


class Refusal(msgspec.Struct, gc=False):
    """Value of ``error`` in an answer."""

    code: str
    message: str = ""


class Message(msgspec.Struct, gc=False, rename={"callback_id": "callbackId", "call_id": "callId"}):
    """A message of any kind. Its payload stays raw until a handler with a type for it is known.

    So does its ``traceparent``, which may be anything: one that is no string is no reason to refuse the message.
    """

    event: str | None = None
    payload: msgspec.Raw = ABSENT
    callback_id: str | None = None
    call_id: str | None = None
    error: Refusal | None = None
    traceparent: msgspec.Raw = ABSENT


class PlacedMessage(Message, gc=False):
    """A message of a server, with the position behind it if it is one of a room that keeps history.

    Like its ``traceparent``, the position may be anything: an original server may mean something else by it.
    """

    at: Any = None


class RoomPosition(msgspec.Struct, gc=False):
    """Payload of :data:`ROOM`.

    Attributes:
        room: namespace and id.
        at: the client's position in the room from now on; None if it has none.
        recovered: True if all that was said since the client's former position has reached it, or comes right behind;
            False if that can't be known; None if it had no position, as far as the server knows.
        reason: why it is False; see :class:`crosswire.types.RoomState`.
    """

    room: tuple[str, str]
    at: str | None = None
    recovered: bool | None = None
    reason: str | None = None


class RoomLeft(msgspec.Struct, gc=False):
    """Payload of :data:`LEFT`; ``room`` is namespace and id."""

    room: tuple[str, str]


class EventMessage(msgspec.Struct, gc=False):
    """An event, for either direction."""

    event: str
    payload: Any


class _CallbackCall(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
    event: str
    payload: Any
    call_id: str


class _TracedEvent(msgspec.Struct, gc=False):
    event: str
    payload: Any
    traceparent: str


class _TracedCallbackCall(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
    event: str
    payload: Any
    call_id: str
    traceparent: str


class _TracedServerCall(msgspec.Struct, gc=False, rename={"call_id": "callId"}):
    event: str
    payload: Any
    call_id: str
    traceparent: str


class CallbackAnswer(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
    """The server's answer to a client's call."""

    payload: Any
    call_id: str


class _CallbackRefusal(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
    call_id: str
    error: Refusal


class _ServerCall(msgspec.Struct, gc=False, rename={"call_id": "callId"}):
    event: str
    payload: Any
    call_id: str


class _ServerCallAnswer(msgspec.Struct, gc=False, rename={"call_id": "callId"}):
    call_id: str
    payload: Any


class _ServerCallRefusal(msgspec.Struct, gc=False, rename={"call_id": "callId"}):
    call_id: str
    error: Refusal


def event(name: str, payload: Any) -> msgspec.Struct:
    """Return an event, for either direction."""
    return EventMessage(name, payload)


def traced(message: msgspec.Struct, traceparent: str) -> msgspec.Struct:
    """Return an event or a call with its place in a trace (W3C Trace Context); another message as it is."""
    if isinstance(message, EventMessage):
        return _TracedEvent(message.event, message.payload, traceparent)
    if isinstance(message, _CallbackCall):
        return _TracedCallbackCall(message.event, message.payload, message.call_id, traceparent)
    if isinstance(message, _ServerCall):
        return _TracedServerCall(message.event, message.payload, message.call_id, traceparent)
    return message


def client_call(name: str, payload: Any, call_id: str) -> msgspec.Struct:
    """Return a call of a client to the server."""
    return _CallbackCall(name, payload, call_id)


def answer(call_id: str, payload: Any) -> msgspec.Struct:
    """Return the server's answer to a client's call."""
    return CallbackAnswer(payload, call_id)


def refusal(call_id: str, error: EventError) -> msgspec.Struct:
    """Return the server's refusal of a client's call."""
    return _CallbackRefusal(call_id, Refusal(error.code, error.message))


def server_call(name: str, payload: Any, call_id: str) -> msgspec.Struct:
    """Return a server's call to a client; the original's client takes it as an event."""
    return _ServerCall(name, payload, call_id)


def server_call_answer(call_id: str, payload: Any) -> msgspec.Struct:
    """Return a client's answer to a server's call."""
    return _ServerCallAnswer(call_id, payload)


def server_call_refusal(call_id: str, error: EventError) -> msgspec.Struct:
    """Return a client's refusal of a server's call."""
    return _ServerCallRefusal(call_id, Refusal(error.code, error.message))
