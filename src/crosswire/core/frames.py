"""Encoding of WebSocket frames as a server sends them: unmasked; and what it sees of masked ones at a glance.

See RFC 6455, section 5.2.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

_LENGTH_16 = Struct("!BBH")
_LENGTH_64 = Struct("!BBQ")
_CODE = Struct("!H")
_FIN = 0x80
_RSV1 = 0x40
_MASKED, _LENGTH = 0x80, 0x7F
_SHORT_HEADER = 6
"""Bytes of the header of a masked frame of at most 125 bytes."""
TEXT_BYTE = 0x81
"""First byte of a frame with a whole text message that is not compressed."""
CLOSE_BYTE = 0x88
"""First byte of a Close frame."""
MAX_REASON = 123
"""Bytes of the longest reason that fits into a Close frame (RFC 6455, section 5.5)."""


class Opcode(IntEnum):
    """Kind of a frame (RFC 6455, section 11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


def _short_headers(rsv1: int) -> tuple[tuple[bytes, ...], ...]:
    """Return the headers of short frames, by opcode and length: indexing is many times faster than hashing an enum."""
    return tuple(tuple(bytes((_FIN | rsv1 | opcode, length)) for length in range(126)) for opcode in range(16))


_PLAIN = _short_headers(0)
_COMPRESSED = _short_headers(_RSV1)
SHORT_TEXT = _PLAIN[Opcode.TEXT]
"""Headers of text frames, by the length of their payload, as far as it needs no more than a byte."""


def encode_frame(opcode: Opcode, payload: bytes, *, rsv1: bool = False) -> bytes:
    """Return one complete, final frame; ``rsv1`` marks a compressed payload (RFC 7692, section 6)."""
    length = len(payload)
    if length < 126:
        return (_COMPRESSED if rsv1 else _PLAIN)[opcode][length] + payload
    first = _FIN | (_RSV1 if rsv1 else 0) | opcode
    if length < 1 << 16:
        return _LENGTH_16.pack(first, 126, length) + payload
    return _LENGTH_64.pack(first, 127, length) + payload


def close_payload(code: int | None, reason: str = "") -> bytes:
    """Return the payload of a Close frame: nothing for None, else the code and the reason, cut to fit."""
    if code is None:
        return b""
    return _CODE.pack(code) + reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore").encode()


def frame_size(data: bytes | memoryview) -> int:
    """Return the number of bytes of the whole frame that ``data`` begins with, or 0 if its header is not whole."""
    if len(data) < 2:
        return 0
    mask, length = 4 if data[1] & _MASKED else 0, data[1] & _LENGTH
    if length < 126:
        return 2 + mask + length
    end = 4 if length == 126 else 10
    return end + mask + int.from_bytes(data[2:end], "big") if len(data) >= end else 0


def whole_close(data: bytes) -> bytes | None:
    """Return the payload of a Close frame if ``data`` is one of a client, whole and with nothing behind it."""
    size = len(data) - _SHORT_HEADER
    if not 0 <= size <= 125 or data[0] != CLOSE_BYTE or data[1] != _MASKED | size:
        return None
    mask, payload = data[2:_SHORT_HEADER] * (size // 4 + 1), data[_SHORT_HEADER:]
    return (int.from_bytes(mask[:size], "big") ^ int.from_bytes(payload, "big")).to_bytes(size, "big")
