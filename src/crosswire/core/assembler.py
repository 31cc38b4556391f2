"""Joining fragments into messages, within limits; text is checked on arrival (RFC 6455, 5.4 and 8.1). Sans-IO."""

from __future__ import annotations

import codecs

from crosswire.core.frames import Opcode
from crosswire.errors import ProtocolFailure
from crosswire.types import CloseCode

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Assembler:
    """The message of one connection that is still arriving in fragments.

    A fragment takes no memory besides its bytes, however small it is.

    Args:
        max_message: bytes of a whole message.
        max_fragments: fragments of a message.

    Attributes:
        opcode: of the message that is arriving, or arrived last.
        compressed: whether that message is compressed; then it is handed out as bytes, whatever its opcode.
    """

    __slots__ = ("_count", "_data", "_max_fragments", "_max_message", "_text", "compressed", "opcode")

    def __init__(self, max_message: int, max_fragments: int) -> None:
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._data = bytearray()
        self._text: codecs.IncrementalDecoder | None = None  # checks text on arrival
        self._count = 0
        self.compressed = False
        self.opcode = Opcode.TEXT

    @property
    def active(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._count > 0

    def begin(self, opcode: Opcode, payload: bytes, *, compressed: bool = False) -> None:
        """Take the first fragment of a message that has more fragments.

        Raises:
            ProtocolFailure: another message has not ended yet (1002), or as for :meth:`add`.
        """
        if self.active:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a new message began inside a fragmented one")
        self.compressed = compressed
        self.opcode = opcode
        # Compressed text can be checked only when it is whole.
        self._text = _Utf8Decoder() if opcode is Opcode.TEXT and not compressed else None
        self._take(payload, final=False)

    def add(self, payload: bytes, *, final: bool) -> str | bytes | None:
        """Take a further fragment; return the message after its last one, text as str and anything else as bytes.

        Raises:
            ProtocolFailure: nothing had begun (1002), too many bytes or fragments (1009), or no UTF-8 (1007).
        """
        if not self.active:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
        self._take(payload, final=final)
        if not final:
            return None
        whole: str | bytes = bytes(self._data) if self._text is None else self._data.decode()
        self._data = bytearray()
        self._text = None
        self._count = 0
        return whole

    def _take(self, payload: bytes, *, final: bool) -> None:
        self._count += 1
        if len(self._data) + len(payload) > self._max_message:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {self._max_message} bytes")
        if self._count > self._max_fragments:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {self._max_fragments} fragments")
        if self._text is not None:
            decode_text(payload, self._text, final)
        self._data += payload


def decode_text(payload: bytes, decoder: codecs.IncrementalDecoder | None = None, final: bool = True) -> str:
    """Decode UTF-8, whole or a piece of it.

    Raises:
        ProtocolFailure: it is no UTF-8 (1007).
    """
    try:
        return payload.decode() if decoder is None else decoder.decode(payload, final)
    except UnicodeDecodeError:
        raise ProtocolFailure(CloseCode.INVALID_TEXT, "text that is no UTF-8") from None
