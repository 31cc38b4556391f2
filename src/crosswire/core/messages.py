"""The client protocol: the messages between a server and its clients, in JSON and in MessagePack.

An event is ``{"event", "payload"}``. A client's call adds ``"callbackId"`` and is answered
``{"payload", "callbackId"}`` or ``{"callbackId", "error"}``; a server's call adds ``"callId"`` and is answered
``{"callId", "payload"}`` or ``{"callId", "error"}``. The order of the keys is the original's.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

from crosswire.core.json_types import to_json_types, to_msgpack
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.errors import EventError, InvalidMessage, InvalidPayload

MAX_CALL_ID = 64
"""The longest id of a call, in characters."""

MSGPACK_SUBPROTOCOL = "crosswire.msgpack"
"""The WebSocket subprotocol of a client that wants MessagePack."""

VERSION_PARAMETER = "_cw"
"""Parameter of the URL with the version of this protocol that a client speaks; the original's clients have none.

1: the client waits for :data:`READY` before it counts as open, and heartbeats that it sent before are echoed after it.
"""

SERVER_HEADER = "Crosswire"
"""Header field in the response to the upgrade: the server knows :data:`VERSION_PARAMETER`."""

READY = "$ready"
"""Event for such a client: it is let in, its events are handled from now on, and its user is reachable."""

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
    """A message of any kind. Its payload stays raw until a handler with a type for it is known."""

    event: str | None = None
    payload: msgspec.Raw = ABSENT
    callback_id: str | None = None
    call_id: str | None = None
    error: Refusal | None = None


class _EventMessage(msgspec.Struct, gc=False):
    event: str
    payload: Any


class _CallbackCall(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
    event: str
    payload: Any
    call_id: str


class _CallbackAnswer(msgspec.Struct, gc=False, rename={"call_id": "callbackId"}):
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


class Codec(Protocol):
    """Encoding of messages as payloads of frames, and decoding."""

    @property
    def binary(self) -> bool:
        """Whether the messages are bytes, for binary frames."""
        ...

    def decode(self, data: str | bytes) -> Message:
        """Decode a message, but not its payload.

        Raises:
            InvalidMessage: it is none.
        """
        ...

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        """Decode a message's payload into a type; an absent payload is None.

        Raises:
            InvalidPayload: it is not of this type.
        """
        ...

    def encode(self, message: Any) -> bytes:
        """Encode a message.

        Raises:
            InvalidPayload: its data can't be encoded.
        """
        ...


_JSON_NULL = msgspec.Raw(b"null")
_MSGPACK_NIL = msgspec.Raw(b"\xc0")
# Valid JSON ends in the outermost object's brace: an id right before it is the message's own, however deep its payload.
_TRAILING_ID = re.compile(r'[{,]\s*"callbackId"\s*:\s*"([^"\\\x00-\x1f]{1,64})"\s*\}\s*\Z')
_LEADING_ID = re.compile(
    r'\A\s*\{\s*(?:"event"\s*:\s*(?:"[^"\\]{0,256}"|[\d.eE+-]{1,32}|true|false|null)\s*,\s*)?'
    r'"callbackId"\s*:\s*"([^"\\\x00-\x1f]{1,64})"'
)
_SEARCHED_TAIL = 256
"""Characters at the end of a message in which its id is looked for."""
_UNENCODABLE = (TypeError, ValueError, RecursionError, OverflowError, AttributeError)  # the last: a field that is unset


class JsonCodec:
    """Codec of messages as JSON text."""

    binary = False

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Message)
        self._encoder = msgspec.json.Encoder()

    def decode(self, data: str | bytes) -> Message:
        try:
            # The payload stays raw, and a handler may pass it on: bytes that are no text must be refused here.
            return self._decoder.decode(data if isinstance(data, str) else data.decode())
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            text = data if isinstance(data, str) else data.decode("utf-8", "replace")
            raise InvalidMessage(str(error), _find_callback_id(text)) from error

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        return kind.from_json(_JSON_NULL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        try:
            return self._encoder.encode(message)
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no JSON form: {error}") from error


class _Msgpack:
    """Base of the codecs of MessagePack, which differ in how they convert data."""

    binary = True

    def __init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(Message)
        self._encoder = msgspec.msgpack.Encoder()

    def decode(self, data: str | bytes) -> Message:
        try:
            return self._decoder.decode(data.encode() if isinstance(data, str) else data)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidMessage(str(error)) from error


class MsgpackCodec(_Msgpack):
    """Codec of a server's messages as MessagePack, for the subprotocol ``crosswire.msgpack``: of their JSON form.

    So every client gets the same value, in each format, even if the sender did not know the client's format.
    """

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        return kind.from_client(_MSGPACK_NIL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        return self.from_json(JSON.encode(message))

    def from_json(self, text: bytes) -> bytes:
        """Encode a message that is already encoded as JSON.

        Raises:
            InvalidPayload: it is no JSON.
        """
        try:
            return to_msgpack(text)
        except (ValueError, RecursionError) as error:
            raise InvalidPayload(f"the message is no JSON: {error}") from error


class ClientMsgpackCodec(MsgpackCodec):
    """Codec of a client's messages as MessagePack: bytes stay bytes, everything else is as in JSON."""

    def encode(self, message: Any) -> bytes:
        try:
            return self._encoder.encode(to_json_types(message))
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


class NodeMsgpackCodec(_Msgpack):
    """Codec of messages between nodes as MessagePack, with all its types."""

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        return kind.from_msgpack(_MSGPACK_NIL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        try:
            return self._encoder.encode(message)
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


def _find_callback_id(text: str) -> str | None:
    """Find the id in a call that can't be decoded, so that the caller need not wait for the timeout."""
    found = _TRAILING_ID.search(text[-_SEARCHED_TAIL:]) or _LEADING_ID.match(text)
    return found[1] if found else None


JSON = JsonCodec()
MSGPACK = MsgpackCodec()
CLIENT_MSGPACK = ClientMsgpackCodec()
NODE_MSGPACK = NodeMsgpackCodec()


def event(name: str, payload: Any) -> msgspec.Struct:
    """Return an event, for either direction."""
    return _EventMessage(name, payload)


def client_call(name: str, payload: Any, call_id: str) -> msgspec.Struct:
    """Return a call of a client to the server."""
    return _CallbackCall(name, payload, call_id)


def answer(call_id: str, payload: Any) -> msgspec.Struct:
    """Return the server's answer to a client's call."""
    return _CallbackAnswer(payload, call_id)


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
