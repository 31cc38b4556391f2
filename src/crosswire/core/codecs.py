"""Encodings of messages: JSON, and MessagePack as clients and as nodes use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from crosswire.core.json_types import to_json_types, to_msgpack
from crosswire.core.messages import ABSENT, Message, PlacedMessage
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.errors import InvalidMessage, InvalidPayload

MessageT = TypeVar("MessageT", bound=Message)
"""The kind of message that a codec decodes."""


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


class ClientCodec(Codec, Protocol):
    """Codec of a client, whose messages may have a position."""

    def decode(self, data: str | bytes) -> PlacedMessage: ...


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
UNDECODABLE = (msgspec.MsgspecError, RecursionError, ValueError)
"""Errors that msgspec raises for data that it can't decode."""
UNENCODABLE = (TypeError, ValueError, RecursionError, OverflowError, AttributeError)
"""Errors that msgspec raises for data that it can't encode; the last one for a field that is unset."""


class JsonCodec(Generic[MessageT]):
    """Codec of messages as JSON text.

    The functions of msgspec are there too, for code that is run for every message and calls them directly.

    Args:
        kind: what it decodes.

    Attributes:
        decode_text: as :meth:`decode`, for text, but raises one of :data:`UNDECODABLE`.
        encode_data: as :meth:`encode`, but raises one of :data:`UNENCODABLE`.
    """

    binary = False

    def __init__(self, kind: type[MessageT]) -> None:
        self.decode_text: Callable[[str], MessageT] = msgspec.json.Decoder(kind).decode
        self.encode_data: Callable[[Any], bytes] = msgspec.json.Encoder().encode

    def decode(self, data: str | bytes) -> MessageT:
        try:
            # The payload stays raw, and a handler may pass it on: so bytes that are no UTF-8 are refused at once.
            return self.decode_text(data if isinstance(data, str) else data.decode())
        except UNDECODABLE as error:
            text = data if isinstance(data, str) else data.decode("utf-8", "replace")
            raise no_json_message(text, error) from error

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        try:
            return kind.decode_json(_JSON_NULL if raw is ABSENT else raw)
        except UNDECODABLE as error:
            raise InvalidPayload(str(error)) from error

    def encode(self, message: Any) -> bytes:
        try:
            return self.encode_data(message)
        except UNENCODABLE as error:
            raise no_json_form(error) from error


class _Msgpack(Generic[MessageT]):
    """Base of the codecs of MessagePack, which differ in how they convert data."""

    binary = True

    def __init__(self, kind: type[MessageT]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._encoder = msgspec.msgpack.Encoder()

    def decode(self, data: str | bytes) -> MessageT:
        try:
            return self._decoder.decode(data.encode() if isinstance(data, str) else data)
        except UNDECODABLE as error:
            raise InvalidMessage(str(error)) from error


class MsgpackCodec(_Msgpack[MessageT]):
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


class ClientMsgpackCodec(MsgpackCodec[MessageT]):
    """Codec of a client's messages as MessagePack: bytes stay bytes, everything else is as in JSON."""

    def encode(self, message: Any) -> bytes:
        try:
            return self._encoder.encode(to_json_types(message))
        except UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


class NodeMsgpackCodec(_Msgpack[MessageT]):
    """Codec of messages between nodes as MessagePack, with all its types."""

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        try:
            return kind.decode_msgpack(_MSGPACK_NIL if raw is ABSENT else raw)
        except UNDECODABLE as error:
            raise InvalidPayload(str(error)) from error

    def encode(self, message: Any) -> bytes:
        try:
            return self._encoder.encode(message)
        except UNENCODABLE as error:
            raise InvalidPayload(f"the data has no MessagePack form: {error}") from error


def no_json_message(text: str, error: Exception) -> InvalidMessage:
    """Return the error for text that is no message, with the id of the call if it is one."""
    return InvalidMessage(str(error), _find_callback_id(text))


def no_json_form(error: Exception) -> InvalidPayload:
    """Return the error for data that can't be encoded."""
    return InvalidPayload(f"the data has no JSON form: {error}")


def _find_callback_id(text: str) -> str | None:
    """Find the id in a call that can't be decoded, so that the caller need not wait for the timeout."""
    found = _TRAILING_ID.search(text[-_SEARCHED_TAIL:]) or _LEADING_ID.match(text)
    return found[1] if found else None


JSON = JsonCodec(Message)
MSGPACK = MsgpackCodec(Message)
CLIENT_JSON = JsonCodec(PlacedMessage)
CLIENT_MSGPACK = ClientMsgpackCodec(PlacedMessage)
NODE_MSGPACK = NodeMsgpackCodec(Message)
