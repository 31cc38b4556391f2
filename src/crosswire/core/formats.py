"""How a connection wants its messages: JSON or MessagePack, compressed or not. Encoded once for each."""

from __future__ import annotations

import msgspec

from crosswire.core.deflate import MIN_SIZE, compress
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.messages import JSON, MSGPACK, Codec
from crosswire.errors import InvalidPayload


class Payloads(msgspec.Struct, frozen=True, gc=False):
    """A message encoded, as it travels to whoever sends it on.

    Attributes:
        json: as JSON text.
        msgpack: the same in MessagePack, or None where nobody was known to want it.
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
    """Return what comes from elsewhere and is to go into a text frame.

    Raises:
        InvalidPayload: it is no UTF-8; a client that got it would drop its connection.
    """
    if not data.isascii():  # to ask is many times faster than to decode
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"a message for clients is no text: {error}") from error
    return data


class Format:
    """One way to put a message into a WebSocket frame.

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
        if payloads.msgpack is None:  # the first client that wants it has just come, and the sender did not know
            return self.raw(self._opcode, MSGPACK.from_json(payloads.json))
        return self.raw(self._opcode, payloads.msgpack)

    def raw(self, opcode: Opcode, payload: bytes) -> bytes:
        """Put a payload of the application's own into a frame."""
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
