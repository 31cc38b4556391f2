"""Formats of messages on a connection: JSON or MessagePack, compressed or not. A message is encoded once for each."""

from __future__ import annotations

import msgspec

from crosswire.core.deflate import MIN_SIZE, compress
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.messages import JSON, MSGPACK, Codec
from crosswire.errors import InvalidPayload


class Payloads(msgspec.Struct, frozen=True, gc=False):
    """An encoded message, as it travels to the servers whose clients get it.

    Attributes:
        json: JSON text.
        msgpack: the same as MessagePack, or None if no client was known to want that.
    """

    json: bytes
    msgpack: bytes | None = None


def encode(message: msgspec.Struct, *, msgpack: bool) -> Payloads:
    """Encode a message as JSON and, if anybody wants it, as MessagePack.

    Raises:
        InvalidPayload: its data has no such form.
    """
    text = JSON.encode(message)
    return Payloads(text, MSGPACK.from_json(text) if msgpack else None)


def require_text(data: bytes) -> bytes:
    """Return data from another node, checked, for a text frame.

    Raises:
        InvalidPayload: it is no UTF-8; a client that got it would drop its connection.
    """
    if not data.isascii():  # many times faster than decoding
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"a message for clients is no text: {error}") from error
    return data


class Format:
    """Format of the messages on a connection; puts them into WebSocket frames.

    Args:
        codec: JSON or MessagePack.
        deflate: whether permessage-deflate was negotiated.
    """

    __slots__ = ("_deflate", "_opcode", "codec")

    def __init__(self, codec: Codec, *, deflate: bool) -> None:
        self.codec = codec
        self._deflate = deflate
        self._opcode = Opcode.BINARY if codec.binary else Opcode.TEXT

    def frame(self, message: msgspec.Struct) -> bytes:
        """Encode a message into a frame.

        Raises:
            InvalidPayload: its data has no such form.
        """
        payload = self.codec.encode(message)
        return self.raw(self._opcode, payload) if self._deflate else encode_frame(self._opcode, payload)

    def wrap(self, payloads: Payloads) -> bytes:
        """Put an encoded message into a frame.

        Raises:
            InvalidPayload: it came as JSON that is none, and must be MessagePack.
        """
        if not self.codec.binary:
            return self.raw(self._opcode, payloads.json)
        if payloads.msgpack is None:  # the first client that wants it has just connected: the sender did not know
            return self.raw(self._opcode, MSGPACK.from_json(payloads.json))
        return self.raw(self._opcode, payloads.msgpack)

    def raw(self, opcode: Opcode, payload: bytes) -> bytes:
        """Put a payload that the application has encoded into a frame."""
        if self._deflate and len(payload) >= MIN_SIZE:
            return encode_frame(opcode, compress(payload), rsv1=True)
        return encode_frame(opcode, payload)


JSON_TEXT = Format(JSON, deflate=False)
_FORMATS = {
    (False, False): JSON_TEXT,
    (False, True): Format(JSON, deflate=True),
    (True, False): Format(MSGPACK, deflate=False),
    (True, True): Format(MSGPACK, deflate=True),
}


def format_for(*, msgpack: bool, deflate: bool) -> Format:
    """Return the (shared) format for what was negotiated."""
    return _FORMATS[msgpack, deflate]
