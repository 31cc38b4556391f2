"""Messages with a position: the same bytes for who hears a message live and for who gets it later, from the history."""

from __future__ import annotations

from crosswire.core.formats import EncodedMessage
from crosswire.errors import InvalidPayload

_SMALLEST_FIXMAP = 0x80
_LARGEST_FIXMAP = 0x8F
_MAP16 = 0xDE
_MAP32 = 0xDF
_AT_KEY = b"\xa2at"
_FIXSTR = 0xA0
"""First byte of a string of MessagePack, plus its length of up to 31 bytes; a position has 29 at most."""


def with_position(message: EncodedMessage, epoch: str, offset: int) -> EncodedMessage:
    """Return a message with its position as the last field, ``at``. Nothing is decoded.

    Raises:
        InvalidPayload: the message is no object.
    """
    at = f"{epoch}.{offset}".encode()
    text, packed = message.json, message.msgpack
    if text.startswith(b'{"') and text.endswith(b"}"):  # as nodes encode it
        positioned = b'%b,"at":"%b"}' % (text[:-1], at)
    else:
        positioned = _with_json_field(text, at)
    return EncodedMessage(positioned, None if packed is None else _with_msgpack_field(packed, at), message.policy)


def _with_json_field(text: bytes, at: bytes) -> bytes:
    end = text.rfind(b"}")
    if end <= 0:
        raise InvalidPayload("a message without a closing brace takes no position")
    comma = b"" if text[:end].strip() == b"{" else b","
    return b'%b%b"at":"%b"%b' % (text[:end], comma, at, text[end:])


def _with_msgpack_field(packed: bytes, at: bytes) -> bytes:
    return b"%b%b%c%b" % (_with_larger_map(packed), _AT_KEY, _FIXSTR + len(at), at)


def _with_larger_map(packed: bytes) -> bytes:
    """Return a map that announces one more entry than it has."""
    kind = packed[0] if packed else 0
    if _SMALLEST_FIXMAP <= kind < _LARGEST_FIXMAP:
        return b"%c%b" % (kind + 1, packed[1:])
    if kind == _LARGEST_FIXMAP:
        return b"%c%b%b" % (_MAP16, (16).to_bytes(2, "big"), packed[1:])
    if kind not in (_MAP16, _MAP32):
        raise InvalidPayload("a message that is no map takes no position")
    width = 2 if kind == _MAP16 else 4
    entries = int.from_bytes(packed[1 : 1 + width], "big") + 1
    if entries == 1 << (8 * width):
        if kind == _MAP32:
            raise InvalidPayload("a message with so many fields takes no position")
        return b"%c%b%b" % (_MAP32, entries.to_bytes(4, "big"), packed[1 + width :])
    return b"%c%b%b" % (kind, entries.to_bytes(width, "big"), packed[1 + width :])
