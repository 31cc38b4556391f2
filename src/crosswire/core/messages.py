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
from crosswire.core.payloads import PayloadType, RawPayload
from crosswire.errors import EventError, InvalidMessage, InvalidPayload

MAX_ID = 64
"""The longest id of a call, in characters."""

MSGPACK_SUBPROTOCOL = "crosswire.msgpack"
"""The WebSocket subprotocol of a client that wants MessagePack."""

UNDERSTANDS = "_cw"
"""The parameter of the URL by which a client says what it understands besides the original's protocol.

1: it wants to be told by :data:`READY` when it is let in, and its heartbeats before that are echoed after it.
"""

OURS = "Crosswire"
"""The header field of the answer to the upgrade by which a server says that it knows :data:`UNDERSTANDS`."""

READY = "$ready"
"""The event that tells such a client that it is let in: its events are handled from now on, and its user reachable."""

BACKGROUND = "$background"
FOREGROUND = "$foreground"
"""The events by which a client says that nobody sees its application, and that somebody does again."""


ABSENT = msgspec.Raw(b"")
"""The payload of a message that has none."""


class Refusal(msgspec.Struct, gc=False):
    """The ``error`` of an answer."""

    code: str
    message: str = ""


class Message(msgspec.Struct, gc=False, rename={"callback_id": "callbackId", "call_id": "callId"}):
    """Any message, decoded but for its payload, which waits for the handler that knows its type."""

    event: str | None = None
    payload: msgspec.Raw = ABSENT
    callback_id: str | None = None
    call_id: str | None = None
    error: Refusal | None = None


class _Event(msgspec.Struct, gc=False):
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
    """Turns messages into the payload of a frame, and back."""

    @property
    def binary(self) -> bool:
        """Whether its messages are bytes, for binary frames."""
        ...

    def decode(self, data: str | bytes) -> Message:
        """Decode one message, leaving its payload raw; raises :exc:`InvalidMessage`."""
        ...

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        """Decode a message's payload (None where there is none); raises :exc:`InvalidPayload`."""
        ...

    def encode(self, message: Any) -> bytes:
        """Encode a message; raises :exc:`InvalidPayload` for data that has no such form."""
        ...


_JSON_NULL = msgspec.Raw(b"null")
_MSGPACK_NIL = msgspec.Raw(b"\xc0")
# Valid JSON ends in the outermost object's brace: an id right before it is the message's own, however deep its payload.
_TRAILING_ID = re.compile(r'[{,]\s*"callbackId"\s*:\s*"([^"\\\x00-\x1f]{1,64})"\s*\}\s*\Z')
_LEADING_ID = re.compile(
    r'\A\s*\{\s*(?:"event"\s*:\s*(?:"[^"\\]{0,256}"|[\d.eE+-]{1,32}|true|false|null)\s*,\s*)?'
    r'"callbackId"\s*:\s*"([^"\\\x00-\x1f]{1,64})"'
)
_TAIL = 256
_UNENCODABLE = (TypeError, ValueError, RecursionError, OverflowError, AttributeError)  # the last: a field that is unset


class JsonCodec:
    """Messages as JSON text."""

    binary = False

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Message)
        self._encoder = msgspec.json.Encoder()

    def decode(self, data: str | bytes) -> Message:
        """Decode a message; see :class:`Codec`."""
        try:
            # The payload stays raw, and a handler may pass it on as it is: bytes that are no text must not get so far.
            return self._decoder.decode(data if isinstance(data, str) else data.decode())
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            text = data if isinstance(data, str) else data.decode("utf-8", "replace")
            raise InvalidMessage(str(error), _find_callback_id(text)) from error

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        """Decode a payload; see :class:`Codec`."""
        return kind.from_json(_JSON_NULL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        """Encode a message; see :class:`Codec`."""
        try:
            return self._encoder.encode(message)
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no JSON form: {error}") from error


class _Msgpack:
    """MessagePack in binary frames; what data becomes in it is up to those below."""

    binary = True

    def __init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(Message)
        self._encoder = msgspec.msgpack.Encoder()

    def decode(self, data: str | bytes) -> Message:
        """Decode a message; see :class:`Codec`."""
        try:
            return self._decoder.decode(data.encode() if isinstance(data, str) else data)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidMessage(str(error)) from error


class MsgpackCodec(_Msgpack):
    """Messages as MessagePack, for clients of the subprotocol ``crosswire.msgpack``: their JSON form, in other bytes.

    So every client gets the same value, whatever it speaks, whoever sent it, and whether or not that one knew of it.
    """

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        """Decode a payload; see :class:`Codec`."""
        return kind.from_client(_MSGPACK_NIL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        """Encode a message; see :class:`Codec`."""
        return self.from_json(JSON.encode(message))

    def from_json(self, text: bytes) -> bytes:
        """Encode a message that is encoded as JSON already; raises InvalidPayload if it is no JSON."""
        try:
            return to_msgpack(text)
        except (ValueError, RecursionError) as error:
            raise InvalidPayload(f"the message is no JSON: {error}") from error


class ClientMsgpackCodec(MsgpackCodec):
    """As a client speaks it: bytes travel as bytes, and everything else as in JSON."""

    def encode(self, message: Any) -> bytes:
        """Encode a message; see :class:`Codec`."""
        try:
            return self._encoder.encode(to_json_types(message))
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


class NodeMsgpackCodec(_Msgpack):
    """As nodes speak it: with all the types that MessagePack has."""

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        """Decode a payload; see :class:`Codec`."""
        return kind.from_msgpack(_MSGPACK_NIL if raw is ABSENT else raw)

    def encode(self, message: Any) -> bytes:
        """Encode a message; see :class:`Codec`."""
        try:
            return self._encoder.encode(message)
        except _UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


def _find_callback_id(text: str) -> str | None:
    """Find the id of a call that could not be decoded, so that its caller need not wait for the timeout."""
    found = _TRAILING_ID.search(text[-_TAIL:]) or _LEADING_ID.match(text)
    return found[1] if found else None


JSON = JsonCodec()
MSGPACK = MsgpackCodec()
CLIENT_MSGPACK = ClientMsgpackCodec()
NODE_MSGPACK = NodeMsgpackCodec()


def event(name: str, payload: Any) -> msgspec.Struct:
    """An event, either way."""
    return _Event(name, payload)


def client_call(name: str, payload: Any, call_id: str) -> msgspec.Struct:
    """A client's call."""
    return _CallbackCall(name, payload, call_id)


def answer(call_id: str, payload: Any) -> msgspec.Struct:
    """The server's answer to a client's call."""
    return _CallbackAnswer(payload, call_id)


def refusal(call_id: str, error: EventError) -> msgspec.Struct:
    """The server's refusal of a client's call."""
    return _CallbackRefusal(call_id, Refusal(error.code, error.message))


def server_call(name: str, payload: Any, call_id: str) -> msgspec.Struct:
    """A server's call to a client; the original's client takes it as an event."""
    return _ServerCall(name, payload, call_id)


def server_call_answer(call_id: str, payload: Any) -> msgspec.Struct:
    """A client's answer to a server's call."""
    return _ServerCallAnswer(call_id, payload)


def server_call_refusal(call_id: str, error: EventError) -> msgspec.Struct:
    """A client's refusal of a server's call."""
    return _ServerCallRefusal(call_id, Refusal(error.code, error.message))
